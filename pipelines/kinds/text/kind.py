"""Texts: everything that stages ask of this kind. Each function imports what it needs when it is called."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from leaven.generators.errors import InputError
from leaven.generators.schema import Schema
from leaven.pipelines.recipe import LEVELS, TUNED, Candidate, Gate, Recipe
from leaven.pipelines.task import Task


def read(*args: Any, **options: Any) -> Any:
    """Source -> Parquet of texts and labels; see `reader.read`."""
    from leaven.pipelines.kinds.text import reader

    return reader.read(*args, **options)


def read_like(*args: Any, **options: Any) -> pd.DataFrame:
    """Texts have no cells to be filled in."""
    raise InputError("--like: is for tables; a text has no missing cells to fill in")


def source_digest(path: Path) -> str:
    """Digest of a source: of its file."""
    from leaven.pipelines.stage import file_digest

    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a file")
    return file_digest(path)


def takes(path: Path) -> bool:
    """Whether a source looks like labelled texts rather than a table."""
    from leaven.pipelines.kinds.text.guess import looks_like_texts

    return looks_like_texts(path)


def guess_targets(path: Path) -> list[tuple[str, str]]:
    """What may be the label of a source, likeliest first, with the reason."""
    from leaven.pipelines.kinds.text.guess import guess_targets as guess

    return guess(path)


def guess_text(path: Path) -> str:
    """The column of a source that holds the texts."""
    from leaven.pipelines.kinds.text.guess import guess_text as guess

    return guess(path)


def layout(schema: Schema) -> Any:
    """How a version keeps the rows: as they are."""
    from leaven.pipelines.kinds.plain import Plain

    return Plain()


def compared_by(batch: pa.Table, schema: Schema) -> pa.Table:
    """What tells rows apart when they are split: the text in the form in which texts are compared, whatever its
    label."""
    from leaven.generators.text.base import text_column
    from leaven.pipelines.quality.texts.same import same

    name = text_column(schema)
    return pa.table({name: pa.array([same(text) for text in batch.column(name).to_pylist()], pa.string())})


def auto_candidates(schema: Schema, task: Task, rows: int) -> list[Candidate]:
    """The generators that `auto` tries.

    Where labels have words of their own, those alone with few texts: back-translations paid less in every measured
    cell, and the fewer texts there are, the oftener the luckier of two candidates is not the better one.
    """
    from leaven.generators.text.labels import apart, spoken

    words, other = Candidate(generator="class_words"), Candidate(generator="back_translation")
    named = any(apart([spoken(label) for label in task.classes]))
    return [words] if rows <= FEW and named else [words, other]


def refuse(candidate: Candidate, recipe: Recipe) -> None:
    """Look at what a candidate and its screen name, before anything is fitted.

    Raises:
        InputError: a translator that is not there, or does not know the languages; what a screen needs is not there;
            a learner's model that is not there.
    """
    for name in recipe.utility.learners or ():
        if name.startswith(TUNED):
            from leaven.pipelines.kinds.text.transformer import refuse_missing

            refuse_missing(name)
    screen = recipe.screen
    if screen.personal_data or screen.toxicity:
        from leaven.pipelines.kinds.text import safety

        if screen.personal_data:
            safety.recognizers()
        if screen.toxicity:
            safety.classifier(screen.toxicity)
    from leaven.generators import catalog
    from leaven.generators.errors import ModelError

    if candidate.generator != "back_translation":
        return
    from leaven.generators.text.translation.translators import refuse as look

    asked: Any = catalog.parameters(candidate.generator, "text").model_validate(candidate.parameters)
    if asked.endpoint is not None:
        return
    try:
        look(asked.translator, asked.language, asked.pivot)
    except ModelError as error:
        raise InputError(f"candidates: back_translation: {error}") from None


def doubt(generator: str, rows: int) -> float:
    """How many standard errors a candidate's gain on validation texts must exceed, with so many train texts.

    Words of classes have gained in most measured cells of few texts and lost in none for certain (docs/text.md), so
    that any gain is enough there: with one standard error half of the runs went without, and the mean lift was three
    quarters of this one. Where texts are many, they say more of a class than its label does.
    """
    return 0.0 if generator == "class_words" and rows <= FEW else 1.0


def usual_levels(generator: str) -> tuple[Any, ...]:
    """The levels of the label screen that `auto` tries; none for words of a class, which are not like the texts that
    it has learned from."""
    return (False,) if generator == "class_words" else LEVELS


def usual_ratio(generator: str, schema: Schema, rows: int) -> float:
    """Synthetic texts for each real one where the recipe names no amount."""
    if generator == "class_words":
        return min(1.0, FEW / rows)
    return 3.0 if rows <= FEW else 1.0


def costs(schema: Schema, recipe: Recipe) -> Any:
    """What parts of a run take; see `estimate.Costs`."""
    from leaven.pipelines.kinds.text.costs import Costs

    return Costs(LEAST_SEEDS)


def features(schema: Schema, task: Task, reference: pd.DataFrame) -> Any:
    """Texts as they are, or as points of a sentence encoder."""
    from leaven.pipelines.kinds.text.features import Features

    return Features(schema, task)


def learners(task: Task, names: Sequence[str] | None = None, device: str = "cpu") -> list[Any]:
    """The classifiers that measure lift."""
    from leaven.pipelines.kinds.text.learners import learners as make

    return make(task, list(names) if names is not None else None, device)


FEW = 1_000  # train texts
GATES: dict[str, Gate] = {}  # besides those of every kind
LEAST_SEEDS = 1  # of a random classifier in each fold
COMPARED = "real"  # what a candidate's rows are added to while candidates are compared


def classic_arms(
    task: Task, schema: Schema, real: pd.DataFrame, extra: list[pd.DataFrame], seed: int, recipe: Recipe
) -> list[Any]:
    """The cheap ways that must be beaten, on real rows plus `extra` ones."""
    from leaven.pipelines.kinds.text.classic import classic_arms as make

    return make(task, schema, real, extra, seed)


def screens(*args: Any, **options: Any) -> Any:
    """The screens for synthetic texts, fitted on train; see `screens.make`."""
    from leaven.pipelines.kinds.text.screens import make

    return make(*args, **options)


def duplicates(schema: Schema, recipe: Recipe) -> Any:
    """A screen that remembers the texts that it has seen; None where the recipe leaves it out."""
    from leaven.generators.text.base import text_column
    from leaven.pipelines.kinds.text.screens import Duplicates

    return Duplicates(text_column(schema)) if recipe.screen.duplicates else None


def fidelity(schema: Schema, task: Task, recipe: Recipe, **rows: Any) -> dict[str, dict[str, Any]]:
    """How alike synthetic and real texts are; see `quality.texts.fidelity.measure`."""
    from leaven.pipelines.quality.texts.fidelity import measure

    return measure(schema, task, **rows)


def diversity(schema: Schema, task: Task, recipe: Recipe, **rows: Any) -> dict[str, dict[str, Any]]:
    """How much of the real texts' variety is there; see `quality.texts.diversity.measure`."""
    from leaven.pipelines.quality.texts.diversity import measure

    return measure(schema, task, **rows)


def privacy(schema: Schema, task: Task, recipe: Recipe, **rows: Any) -> dict[str, dict[str, Any]]:
    """What attacks learn of train texts; see `quality.texts.privacy.measure`."""
    from leaven.pipelines.quality.texts.privacy import measure

    return measure(schema, task, **rows)


def panels(
    schema: Schema,
    task: Task,
    recipe: Recipe,
    *,
    train: pd.DataFrame,
    rejected: Sequence[Path],
    fitted: Any,
    **rows: Any,
) -> dict[str, Any]:
    """What the report shows of the texts; see `panels.panels`."""
    from leaven.pipelines.fit import load
    from leaven.pipelines.kinds.text.panels import panels as make

    generator = load(Candidate(generator=fitted.result["generator"]), fitted, "text")
    return make(schema, task, train=train, rejected=rejected, generator=generator, **rows)


def load_frame(paths: Sequence[Path], schema: Schema) -> pd.DataFrame:
    """Rows of Parquet files as a data frame."""
    from leaven.generators.rows import Rows

    return Rows(list(paths), schema).frame()
