"""The flow `sample`: more rows on demand from a released generator, asked for through Prefect's page or API.

Nothing is fitted. Where the rows are stands in the final state's message, in an artifact, and, where no place was
named, follows from the run's id.
"""

import contextlib
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed, State
from pydantic import Field

from leaven.flows import artifacts, progress
from leaven.flows.sample_more import sample_more
from leaven.generators.errors import InputError, StoreError
from leaven.pipelines.load import find
from leaven.pipelines.store import SAMPLES
from leaven.pipelines.version import Version


@flow(name="sample", persist_result=False, log_prints=False)
def sample(
    name: str,
    rows: Annotated[int, Field(ge=1)] = 1000,
    where: list[str] | None = None,
    out: str | None = None,
    store: str | None = None,
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0,
) -> State[dict[str, Any]]:
    """Make rows with a released generator, which is not fitted again. They pass the screens of the release.

    Args:
        name: a name in the store, or NAME@VERSION; without a version, the latest released one.
        rows: how many.
        where: conditions that every row meets: ["age>=60", "colour=red|blue"].
        out: a .parquet or .csv file on the machine that serves. When left out, a Parquet file that is named after
            the run, in the folder `samples` beside the versions of the name.
        store: folder of the store; `LEAVEN_STORE`, else `data/store`, when left out.
        seed: equal seeds give equal rows.
    """
    version = find(name, store=store)
    place = _place(version, out)
    with progress.stage(f"sample {version.name}") as tell:
        made = sample_more(version, rows, place, where=where or (), seed=seed, progress=tell)
    made = {"version": str(version), "path": str(place), **made}
    _publish(version, made)
    return Completed(message=f"{made['rows']:,} rows of {version} in {place}", data=made)


def _place(version: Version, out: str | None) -> Path:
    """The file that the rows get. A relative `out` counts from the folder of samples: a request has no folder."""
    if out is not None and Path(out).expanduser().is_absolute():
        return Path(out).expanduser()
    if version.fetch is not None:
        raise InputError("out: the store is a bucket; name an absolute path on the machine that serves")
    folder = version.path.parent.parent / SAMPLES
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror}; name a file with `out`") from error
    place = folder / (out or f"{flow_run.id or 'rows'}.parquet")
    if not place.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"out '{out}': leads out of {folder}; expected a name in it, or an absolute path")
    return place


def _publish(version: Version, made: dict[str, Any]) -> None:
    """Leave with the run which rows were made, of what, and where."""
    from prefect.artifacts import create_table_artifact

    with contextlib.suppress(Exception):  # a courtesy: the rows are there
        cells = {key: made[key] for key in ("version", "rows", "sampled", "path")}
        create_table_artifact(
            [cells], key=artifacts.key("sample", version.name), description=f"Rows of {version}"
        )
