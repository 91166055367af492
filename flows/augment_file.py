"""The whole way for a recipe's file, read when the run begins: what work pools deploy (deploy/prefect.yaml)."""

import os
from pathlib import Path

from prefect import flow

from leaven.flows import starting
from leaven.flows.augment import augment
from leaven.pipelines.release import Outcome


@flow(name="augment", persist_result=False, log_prints=False)
def augment_file(path: str, store: str | None = None) -> Outcome:
    """Run the recipe in a file of the machine, container or pod that this runs in.

    Args:
        path: the recipe; its own paths count from its folder.
        store: folder or URI of the store; `LEAVEN_STORE`, else the recipe's, when left out.

    Raises:
        InputError: the recipe, or its data, is wrong.
    """
    recipe, folder = starting.refuse(Path(path), [])
    return augment.fn(recipe, str(folder), store or os.environ.get("LEAVEN_STORE"))
