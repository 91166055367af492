"""Images: everything that stages ask of this kind. Each function imports what it needs when it is called."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from leaven.generators.errors import InputError
from leaven.generators.schema import Schema
from leaven.pipelines.recipe import Candidate, Gate, Recipe
from leaven.pipelines.task import Task


def read(*args: Any, **options: Any) -> Any:
    """Source -> Parquet of pixels; see `reader.read`."""
    from leaven.pipelines.kinds.image import reader

    return reader.read(*args, **options)


def read_like(*args: Any, **options: Any) -> pd.DataFrame:
    """Images have no cells to be filled in."""
    raise InputError("--like: is for tables; an image has no missing cells to fill in")


def source_digest(path: Path) -> str:
    """Digest of a source: of its file, or of the names, sizes and times of what lies in a folder."""
    from leaven.pipelines.kinds.image.sources import digest

    return digest(path)


def takes(path: Path) -> bool:
    """Whether a source looks like labelled images rather than a table."""
    from leaven.pipelines.kinds.image.sources import looks_like_images

    return looks_like_images(path)


def guess_targets(path: Path) -> list[tuple[str, str]]:
    """What may be the label of a source, likeliest first, with the reason."""
    from leaven.pipelines.kinds.image.sources import guess_targets as guess

    return guess(path)


def layout(schema: Schema) -> Any:
    """How a version keeps the rows: images as PNG files."""
    from leaven.pipelines.kinds.image.layout import Layout

    return Layout(schema)


FEW = 1_000  # real images up to which many synthetic ones are tried
MOST_BYTES = 2**28  # of their pixels


def compared_by(batch: pa.Table, schema: Schema) -> pa.Table:
    """What tells rows apart when they are split: pixels and label."""
    return batch.select([column.name for column in schema if column.type != "identifier"])


def auto_candidates(schema: Schema, task: Task, rows: int) -> list[Candidate]:
    """The generator that `auto` tries: mixes with labels by an ensemble, and of many images what is made out of
    noise."""
    return [Candidate(generator="distillation" if rows <= FEW else "diffusion")]


def refuse(candidate: Candidate, recipe: Recipe) -> None:
    """Nothing that a candidate names has to be looked at before it is fitted."""
    return


OWN_LABELS = ("policy", "distillation")  # what keeps its image's label, or has asked an ensemble for it


def doubt(generator: str, rows: int) -> float:
    """How many standard errors a candidate's gain on validation rows must exceed, with so many train rows."""
    return 1.0


def usual_levels(generator: str) -> tuple[Any, ...]:
    """The levels of the label screen that `auto` tries: none where nothing is left to be asked."""
    return (False,) if generator in OWN_LABELS else ("mild",)


def usual_ratio(generator: str, schema: Schema, rows: int) -> float:
    """Synthetic images for each real one where the recipe names no amount.

    What an ensemble knows takes many mixes to pass on: beside 1,000 images, as many mixes and five times as many have
    done harm, twenty times as many good. So many large images that they fill the memory are not asked for.
    """
    from leaven.generators.image.pixels import image_shape

    asked = 20.0 if generator == "distillation" else 5.0 if rows <= FEW else 1.0
    return max(1.0, min(asked, math.floor(MOST_BYTES / (rows * math.prod(image_shape(schema))))))


def costs(schema: Schema, recipe: Recipe) -> Any:
    """What parts of a run take; see `estimate.Costs`."""
    from leaven.generators.image.pixels import image_shape
    from leaven.pipelines.kinds.image.costs import Costs

    return Costs(max(image_shape(schema)[:2]), recipe.threads, LEAST_SEEDS)


def features(schema: Schema, task: Task, reference: pd.DataFrame) -> Any:
    """Rows as arrays of pixels."""
    from leaven.pipelines.kinds.image.features import Features

    return Features(schema, task)


def learners(task: Task, names: Sequence[str] | None = None, device: str = "cpu") -> list[Any]:
    """The classifiers that measure lift."""
    from leaven.pipelines.kinds.image.learners import learners as make

    return make(task, list(names) if names is not None else None, device)


WALK_STEPS = 9  # images between two points of a latent space, in the report
GATES = {"lift_over_classic": Gate(min=0.0)}  # besides those of every kind
LEAST_SEEDS = 2  # of a classifier in each fold: two that learn beside each other take no longer than one
COMPARED = "classic"  # nobody trains on images without augmentation: what helps must help on top of it


def classic_arms(
    task: Task, schema: Schema, real: pd.DataFrame, extra: list[pd.DataFrame], seed: int, recipe: Recipe
) -> list[Any]:
    """The cheap ways that must be beaten, on real rows plus `extra` ones."""
    from leaven.pipelines.kinds.image.classic import classic_arms as make

    return make(task, schema, real, extra, seed, recipe.utility.classic)


def screens(*args: Any, **options: Any) -> Any:
    """The screens for synthetic images, fitted on train; see `screens.make`."""
    from leaven.pipelines.kinds.image.screens import make

    return make(*args, **options)


def duplicates(schema: Schema, recipe: Recipe) -> Any:
    """A screen that remembers the images that it has seen; None where the recipe leaves it out."""
    from leaven.pipelines.kinds.image.screens import Duplicates

    return Duplicates(schema) if recipe.screen.duplicates else None


def fidelity(schema: Schema, task: Task, recipe: Recipe, **rows: Any) -> dict[str, dict[str, Any]]:
    """How alike synthetic and real images are; see `quality.images.fidelity.measure`."""
    from leaven.pipelines.quality.images.fidelity import measure

    return measure(schema, task, extractor=_extractor(schema, task, recipe, rows["train"]), **rows)


def diversity(schema: Schema, task: Task, recipe: Recipe, **rows: Any) -> dict[str, dict[str, Any]]:
    """How much of the real images' variety is there; see `quality.images.diversity.measure`."""
    from leaven.pipelines.quality.images.diversity import measure

    return measure(schema, task, extractor=_extractor(schema, task, recipe, rows["train"]), **rows)


def privacy(schema: Schema, task: Task, recipe: Recipe, **rows: Any) -> dict[str, dict[str, Any]]:
    """What attacks learn of train images; see `quality.images.privacy.measure`."""
    from leaven.pipelines.quality.images.privacy import measure

    return measure(schema, task, extractor=_extractor(schema, task, recipe, rows["train"]), **rows)


def _extractor(schema: Schema, task: Task, recipe: Recipe, train: pd.DataFrame) -> Any:
    """The features in which images are compared: those of a classifier of train, or what the recipe names."""
    from leaven.pipelines.kinds.image import extractor
    from leaven.pipelines.run import resolve_device

    device = resolve_device(recipe.device)
    return extractor.make(
        recipe.quality.extractor, schema, task, train, threads=recipe.threads, device=device
    )


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
    """What the report draws of the images; see `panels.panels`."""
    from leaven.pipelines.kinds.image.crossfit import learned
    from leaven.pipelines.kinds.image.panels import panels as make
    from leaven.pipelines.run import resolve_device

    extractor = _extractor(schema, task, recipe, train)
    known = learned(schema, task, train, threads=recipe.threads, device=resolve_device(recipe.device))
    return make(
        schema,
        task,
        train=train,
        rejected=rejected,
        extractor=extractor,
        space=extractor.name,
        probabilities=known.whole.probabilities,
        losses=fitted.result["losses"],
        walk=_walk(recipe, fitted),
        **rows,
    )


def _walk(recipe: Recipe, fitted: Any) -> Any:
    """Images between points of the generator's latent space, where it has one."""
    from leaven.pipelines.fit import load
    from leaven.pipelines.run import resolve_device

    candidate = Candidate(generator=fitted.result["generator"])
    generator: Any = load(candidate, fitted, "image").to(resolve_device(recipe.device))
    return generator.walk(WALK_STEPS, recipe.split.seed) if hasattr(generator, "walk") else None


def load_frame(paths: Sequence[Path], schema: Schema) -> pd.DataFrame:
    """Rows of Parquet files as a data frame."""
    from leaven.generators.rows import Rows

    return Rows(list(paths), schema).frame()
