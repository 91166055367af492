"""`leaven sample`: more rows on demand from a released generator, straight into one file or folder."""

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.generators.contract import Progress, silent
from leaven.generators.errors import InputError, LeavenError, StoreError

if TYPE_CHECKING:
    from pandas import DataFrame

    from leaven.pipelines.version import Version

Write = Callable[["DataFrame", int], None]
LEAST_YIELD = 0.02  # below it, the rows asked for are not chased any further
PATIENCE = 5  # shards over which the yield is judged


def sample_more(
    version: "Version",
    rows: int,
    out: Path,
    *,
    where: Sequence[str] = (),
    seed: int = 0,
    shard_rows: int | None = None,
    screened: bool = True,
    threads: int = 2,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write `rows` new rows to `out`, which appears only when it is whole: a Parquet or CSV file, or, of images, a
    Parquet file or a folder with a folder for each class.

    Shards are made and written one by one, so memory does not grow with `rows`. They pass the same screens as
    the released rows did, against the version's real rows; what is rejected is made up for.

    Args:
        where: conditions that every row meets: `["age>=60"]`.
        seed: equal seeds give equal rows.
        screened: false writes the rows as the generator makes them.
        threads: of the screen's classifier.

    Returns:
        `rows` written, `sampled`, and `rejected` by reason.

    Raises:
        InputError: `out` is of another format, its folder is missing, or `rows` is not positive.
        ConditionError: a condition cannot be met.
        StoreError: the version holds no generator, or an altered one; or `out` cannot be written.
        LeavenError: nearly all rows are rejected.
    """
    from leaven.generators import conditions
    from leaven.pipelines.sample import shard_seed

    check_out(out, version)
    if rows < 1:
        raise InputError(f"--rows {rows}: at least 1 is needed")
    asked = conditions.parse(where, version.schema)
    generator = version.generator()
    why = _screens(version, generator.role, threads) if screened else None
    written, offset = 0, first_new_row(version)
    at_once = shard_rows or version.layout.shard_rows
    rejected: Counter[str] = Counter()
    yields: list[float] = []
    with whole(out, version) as write:
        while written < rows:
            count = min(rows - written, at_once)
            one = shard_seed(version.name, version.id, seed, len(yields))
            frame = generator.sample(count, seed=one, conditions=asked, offset=offset)
            offset += count
            if why is not None:
                reasons = why(frame)
                rejected.update(reasons[reasons != ""])
                frame = frame[reasons == ""]
            write(frame, one)
            written += len(frame)
            yields.append(len(frame) / count)
            if len(yields) >= PATIENCE and sum(yields[-PATIENCE:]) < PATIENCE * LEAST_YIELD:
                reason, times = rejected.most_common(1)[0]
                raise LeavenError(
                    f"{version}: the screen rejects nearly all rows that are asked for, most often as '{reason}' "
                    f"({times:,} times); only {written:,} of {rows:,} were kept"
                )
            progress(written / rows, f"{written:,} of {rows:,} rows")
    return {"rows": written, "sampled": written + rejected.total(), "rejected": dict(rejected)}


def check_out(out: Path, version: "Version") -> None:
    """Refuse what cannot be written, before anything is made.

    Raises:
        InputError: `out` is of another format, a folder that is no place for the rows, or in one that is missing.
    """
    formats = version.layout.formats
    if out.suffix.lower() not in formats:
        told = [f"a file that ends in {' or '.join(suffix for suffix in formats if suffix)}"]
        told += ["a folder"] if "" in formats else []
        raise InputError(f"--out {out}: expected {' or '.join(told)}")
    if out.suffix and out.is_dir():
        raise InputError(f"--out {out}: is a folder")
    if not out.suffix and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out}: is there already; expected a new or an empty folder")
    if not out.resolve().parent.is_dir():
        raise InputError(f"--out {out}: its folder does not exist")


def first_new_row(version: "Version") -> int:
    """New identifiers go on where those of the released rows end."""
    rows = version.report.get("rows", {})
    return sum(rows.get(part) or 0 for part in ("synthetic", "rejected"))


def _screens(version: "Version", role: str, threads: int) -> Any:
    """The release's own screens, fitted on the rows that its generator learned from."""
    from leaven.generators.rows import to_arrow
    from leaven.generators.seeds import derive
    from leaven.pipelines import kinds, marked
    from leaven.pipelines.recipe import Recipe
    from leaven.pipelines.screen import for_role, why

    recipe = Recipe.model_validate(version.manifest["recipe"])
    taken = (version.report.get("certified") or {}).get("screen")  # one of those that were tried
    if taken and taken.get("label_agreement") is not None:
        screen = recipe.screen.model_copy(update=taken)
        recipe = recipe.model_copy(update={"screen": screen})
    recipe, kind = for_role(recipe, role), kinds.get(recipe.source.kind)
    real = [*version.paths("train"), *version.paths("validation")]
    seed = derive("on-demand-screen", version.name, version.id)
    screens = kind.screens(version.schema, version.task, recipe, train=real, seed=seed, threads=threads)
    found = marked.FILE in version.files
    rejects = marked.Marked.kept(version.file(marked.FILE)) if found else None

    def reasons(frame: "DataFrame") -> Any:
        told = why(screens, frame)
        if rejects is not None:
            told[rejects.among(to_arrow(frame, version.schema))] = marked.REASON
        return told

    return reasons


@contextlib.contextmanager
def whole(out: Path, version: "Version") -> Iterator[Write]:
    """A function that appends frames, each with its seed; `out` takes its name at the end, if all went well."""
    target = out.resolve()
    temporary = None
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        made = temporary / target.name
        with _writer(made, version) as write:
            yield write
        if target.is_dir():
            target.rmdir()
        made.replace(target)
    except OSError as error:
        raise StoreError(f"--out {out}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _writer(path: Path, version: "Version") -> Iterator[Write]:
    import pyarrow.csv
    import pyarrow.parquet

    from leaven.flows.csv_cells import unrunnable
    from leaven.generators.rows import to_arrow

    schema, layout = version.schema, version.layout
    generator = str(version.manifest["generator"]["generator"])
    if not path.suffix:
        path.mkdir()
        folder = layout.folder(path, version.task.classes)
        yield lambda frame, seed: folder.write(frame, (generator, seed))
        return
    is_csv = path.suffix.lower() == ".csv"
    kind: Any = pyarrow.csv.CSVWriter if is_csv else pyarrow.parquet.ParquetWriter
    with kind(path, layout.schema(schema.arrow())) as writer:

        def write(frame: "DataFrame", seed: int) -> None:
            rows = to_arrow(unrunnable(frame, schema) if is_csv else frame, schema)
            for start in range(0, len(rows), layout.group_rows):
                part = rows.slice(start, layout.group_rows)
                writer.write_table(layout.table(part, (generator, seed)))

        yield write
