"""Tables: everything that stages ask of this kind. Each function imports what it needs when it is called."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from leaven.generators.errors import InputError
from leaven.generators.schema import Schema
from leaven.pipelines.recipe import LEVELS, Candidate, Gate, Recipe
from leaven.pipelines.task import Task


def read(*args: Any, **options: Any) -> Any:
    """Source -> typed Parquet; see `reader.read`."""
    from leaven.pipelines.kinds.table import reader

    return reader.read(*args, **options)


def read_like(*args: Any, **options: Any) -> pd.DataFrame:
    """Rows of a file, some cells missing, read as the columns of a version; see `like.read_like`."""
    from leaven.pipelines.kinds.table import like

    return like.read_like(*args, **options)


def guess_targets(path: Path) -> list[tuple[str, str]]:
    """Columns of a file that may be the target, likeliest first, with the reason."""
    from leaven.pipelines.kinds.table import guess

    return guess.guess_targets(path)


def layout(schema: Schema) -> Any:
    """How a version keeps the rows: as they are."""
    from leaven.pipelines.kinds.plain import Plain

    return Plain()


FEW = 5_000  # train rows up to which distillation pays
ENOUGH = 1_000  # and from which a network has enough to learn from


def compared_by(batch: pa.Table, schema: Schema) -> pa.Table:
    """What tells rows apart when they are split: all columns but identifiers."""
    return batch.select([column.name for column in schema if column.type != "identifier"])


def auto_candidates(schema: Schema, task: Task, rows: int) -> list[Candidate]:
    """The generators that `auto` tries: those that have paid at this size, cheap ones first.

    Few, because every further one makes the best on validation more of a lucky one. SMOTE-NC is not among them: its
    rows lie so near to train rows that the attacks nearly always stop it, and the report has it as a classic way.
    TVAE and CTGAN take long and were behind the autoregressive generator wherever they were measured. So was the copula
    behind distilled rows: beside them, few validation rows chose it for its luck.
    """
    found = ["distillation"] if rows <= FEW else []
    if rows > FEW or task.type == "regression":
        found.insert(0, "gaussian_copula")
    if rows >= ENOUGH:
        found.append("autoregressive")
    return [Candidate(generator=name) for name in found]


def refuse(candidate: Candidate, recipe: Recipe) -> None:
    """Nothing that a candidate names has to be looked at before it is fitted."""
    return


def doubt(generator: str, rows: int) -> float:
    """How many standard errors a candidate's gain on validation rows must exceed, with so many train rows."""
    return 1.0


def usual_levels(generator: str) -> tuple[Any, ...]:
    """The levels of the label screen that `auto` tries: those that have paid for the generator, since every further
    one makes the best on few validation rows more of a lucky one.

    The copula's rows have hurt as they come wherever they were measured. Distilled rows have their labels from an
    ensemble already.
    """
    return {"gaussian_copula": ("mild", "strict"), "distillation": (False,)}.get(generator, LEVELS)


def usual_ratio(generator: str, schema: Schema, rows: int) -> float:
    """Synthetic rows for each real one where the recipe names no amount.

    What an ensemble knows takes many rows to pass on: of 100 or 300 rows, ten times as many distilled ones have lifted
    more, and more surely, than as many. Rows of other generators have done most harm where they were many.
    """
    if generator != "distillation":
        return 1.0
    return next((ratio for most, ratio in ((400, 10.0), (1_500, 3.0)) if rows <= most), 1.0)


def costs(schema: Schema, recipe: Recipe) -> Any:
    """What parts of a run take; see `estimate.Costs`."""
    from leaven.pipelines.kinds.table.costs import Costs

    return Costs(len(schema.features) + 1, LEAST_SEEDS)


def features(schema: Schema, task: Task, reference: pd.DataFrame) -> Any:
    """The feature extractor, fitted on `reference` (real train rows)."""
    from leaven.pipelines.kinds.table.features import Features

    return Features(schema, task).fit(reference)


def learners(task: Task, names: Sequence[str] | None = None, device: str = "cpu") -> list[Any]:
    """The classifiers (or regressors) that measure lift. They compute on the processor, whatever the device."""
    from leaven.pipelines.kinds.table.learners import learners as make

    return make(task, list(names) if names is not None else None)


GATES: dict[str, Gate] = {}  # besides those of every kind
LEAST_SEEDS = 1  # of a random classifier in each fold
COMPARED = "real"  # what a candidate's rows are added to while candidates are compared


def source_digest(path: Path) -> str:
    """Digest of a source: of its file."""
    from leaven.pipelines.stage import file_digest

    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a file")
    return file_digest(path)


def classic_arms(
    task: Task, schema: Schema, real: pd.DataFrame, extra: list[pd.DataFrame], seed: int, recipe: Recipe
) -> list[Any]:
    """The cheap ways that must be beaten, on real rows plus `extra` ones."""
    from leaven.pipelines.kinds.table.classic import classic_arms as make

    return make(task, schema, real, extra, seed)


def screens(*args: Any, **options: Any) -> Any:
    """The screens for synthetic rows, fitted on train; see `screens.make`."""
    from leaven.pipelines.kinds.table.screens import make

    return make(*args, **options)


def duplicates(schema: Schema, recipe: Recipe) -> Any:
    """Rows of tables may be alike."""
    return None


def fidelity(schema: Schema, task: Task, recipe: Recipe, **rows: Any) -> dict[str, dict[str, Any]]:
    """How alike synthetic and real rows are; see `quality.fidelity.measure`."""
    from leaven.pipelines.quality.fidelity import measure

    return measure(schema, task, **rows)


def diversity(schema: Schema, task: Task, recipe: Recipe, **rows: Any) -> dict[str, dict[str, Any]]:
    """How much of the real rows' variety is there; see `quality.diversity.measure`."""
    from leaven.pipelines.quality.diversity import measure

    return measure(schema, task, **rows)


def privacy(schema: Schema, task: Task, recipe: Recipe, **rows: Any) -> dict[str, dict[str, Any]]:
    """What attacks learn of train rows; see `quality.privacy.measure`."""
    from leaven.pipelines.quality.privacy import measure

    return measure(schema, task, **rows)


def panels(
    schema: Schema, task: Task, recipe: Recipe, *, rejected: Sequence[Path], fitted: Any, **rows: Any
) -> dict[str, Any]:
    """What the report draws of the rows; see `panels.panels`."""
    from leaven.pipelines.kinds.table.panels import panels as make

    return make(schema=schema, task=task, **rows)


def load_frame(paths: Sequence[Path], schema: Schema) -> pd.DataFrame:
    """Rows of Parquet files as a data frame."""
    from leaven.generators.rows import Rows

    return Rows(list(paths), schema).frame()
