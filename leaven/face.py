"""What a Python program calls to make rows: `run` and `sample`. The command line uses the same code."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from leaven.pipelines.recipe import Recipe
    from leaven.pipelines.release import Outcome


def run(
    recipe: "Recipe | str | Path",
    *,
    folder: str | Path = ".",
    store: str | None = None,
    overrides: Sequence[str] = (),
) -> "Outcome":
    """The whole way: learn from the recipe's rows, make synthetic ones, release them only if a classifier gets better.

    Args:
        recipe: a `Recipe`, or the path of a YAML file.
        folder: what the paths of a `Recipe` count from; those of a file count from the file's folder.
        store: folder or URI of the store, in place of the recipe's.
        overrides: `key=value` settings on top of a file, as `--set` takes them.

    Returns:
        The version with its verdict (`released` or `withheld`), path and report.

    Raises:
        InputError: the recipe or its data is wrong, or another run of this name is going on; nothing was written.
        StoreError: the store cannot be written; a rerun resumes.
    """
    from leaven.flows import starting

    if isinstance(recipe, (str, Path)):
        checked, place = starting.refuse(Path(recipe), overrides)
    else:
        checked, place = recipe, Path(folder).resolve()
        starting.refuse_recipe(checked, place)
    return starting.run(checked, place, store, console=None)


def sample(
    name: str | Path,
    rows: int,
    where: Sequence[str] = (),
    *,
    seed: int = 0,
    version: str | None = None,
    store: str | Path | None = None,
    screened: bool = True,
    format: Literal["pandas", "arrow"] = "pandas",
) -> Any:
    """`rows` new rows from a released generator; `leaven sample` writes the same ones into a file.

    Args:
        name: a name in the store, `NAME@VERSION`, or the folder of a version.
        where: conditions that every row meets: `["age>=60", "colour=red|blue"]`.
        seed: equal seeds give equal rows.
        version: its id; the latest released one when left out.
        store: folder or URI of the store; `LEAVEN_STORE`, else `data/store`, when left out.
        screened: false gives the rows as the generator makes them.
        format: `pandas` for a data frame, `arrow` for a `pyarrow.Table`; images are as `load` gives them.

    Raises:
        InputError: no such version, `rows` is not positive, or a condition cannot be met.
        StoreError: the version holds no generator, or one whose files were altered.
    """
    import pyarrow.parquet as pq

    from leaven.flows.sample_more import sample_more
    from leaven.pipelines.load import find, shown

    found = find(name, version, store)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.parquet"
        sample_more(found, rows, out, where=where, seed=seed, screened=screened)
        table = pq.read_table(out)
    return table if format == "arrow" else shown(table, found.schema)
