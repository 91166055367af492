"""`leaven sample --like`: rows of a file with their missing cells filled in by a released generator."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.flows.sample_more import check_out, first_new_row, whole
from leaven.generators.contract import Progress, silent
from leaven.generators.errors import ConditionError, InputError

if TYPE_CHECKING:
    from leaven.pipelines.version import Version


def sample_like(
    version: "Version",
    like: Path,
    out: Path,
    *,
    copies: int = 1,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write the rows of `like` with every missing cell filled in to `out`, a Parquet or CSV file.

    Rows come in the file's order, all of them `copies` times over, each time with other draws. They are not
    screened: each row stands for the row that it was made from, so none may go.

    Args:
        like: a CSV or Parquet file with some of the version's columns; what is empty or left out is filled in.
        seed: equal seeds give equal rows.

    Returns:
        `rows` written, and `filled`: cells that were filled in, by column.

    Raises:
        InputError: a value or column that does not fit (names it), or a generator that cannot fill in.
        ConditionError: a row's given cells leave no values that keep the constraints.
        StoreError: the version holds no generator, or an altered one; or `out` cannot be written.
    """
    from leaven.pipelines import kinds
    from leaven.pipelines.recipe import Source
    from leaven.pipelines.sample import shard_seed

    check_out(out, version)
    if copies < 1:
        raise InputError(f"--copies {copies}: at least 1 is needed")
    source = Source.model_validate(version.manifest["recipe"]["source"])
    kind = kinds.get(source.kind)
    real = [*version.paths("train"), *version.paths("validation")]
    frame = kind.read_like(like, version.schema, source, real)
    generator = version.generator()
    offset = first_new_row(version)
    filled: dict[str, int] = {}
    with whole(out, version) as write:
        for copy in range(copies):
            one = shard_seed(version.name, version.id, seed, copy)
            try:
                made = generator.complete(frame, seed=one, offset=offset + copy * len(frame))
            except ConditionError as error:
                raise ConditionError(f"{like.name} {error}") from error
            write(made, one)
            for name in made.columns:
                before = frame[name].notna().sum() if name in frame else 0
                filled[name] = filled.get(name, 0) + int(made[name].notna().sum() - before)
            progress((copy + 1) / copies, f"{copy + 1:,} of {copies:,} copies")
    return {"rows": copies * len(frame), "filled": {name: count for name, count in filled.items() if count}}
