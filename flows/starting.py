"""What happens before a run: the recipe is read and refused, or the server is started and the flow called.

Nothing here imports Prefect or torch before all that can be refused has been.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from leaven.pipelines.recipe import Recipe
    from leaven.pipelines.release import Outcome


def refuse(path: Path, overrides: Sequence[str]) -> "tuple[Recipe, Path]":
    """The recipe and its folder, once nothing is found wrong with it, its data and this machine.

    Raises:
        InputError: what is wrong, in one line.
    """
    from leaven.pipelines.recipe_file import load_recipe
    from leaven.pipelines.run import resolve_device

    recipe, folder = load_recipe(path, overrides)
    _check(recipe, folder)
    resolve_device(recipe.device)
    return recipe, folder


def _check(recipe: "Recipe", folder: Path) -> None:
    from leaven.pipelines.check import check as look

    look(recipe, folder)


def run(
    recipe: "Recipe", folder: Path, store: str | None, console: "Console | None", verbose: bool = False
) -> "Outcome":
    """Run the flow in this process, with progress on `console`."""
    from leaven.flows import prefect_setup, progress

    with progress.display(console):
        with progress.stage("start Prefect") as tell:
            server = prefect_setup.api(verbose)
            tell(float("nan"), "importing")
            from leaven.flows.augment import run_recipe

            if server is not None:
                server.wait()
        return run_recipe(recipe, folder, store)
