"""The screens for synthetic images. Each says why an image must go, or lets it pass.

A screen is an object with `name` and `reasons(frame)`: an object array (rows,) that is empty text for rows that
pass and otherwise a short text, always the same for the same fault, because reports count them. Screens see
train rows only, and networks are trained when an image is judged for the first time.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import pandas as pd

from leaven.generators.image.pixels import image_column
from leaven.generators.rows import Rows, to_frame
from leaven.generators.schema import Schema
from leaven.pipelines.kinds.agreement import LabelAgreement, Level
from leaven.pipelines.kinds.image.crossfit import Ensemble, learned, learned_rows
from leaven.pipelines.kinds.image.extractor import Extractor
from leaven.pipelines.kinds.image.extractor import make as make_extractor
from leaven.pipelines.kinds.image.remembered import keys
from leaven.pipelines.quality.images.arms import pixels_of
from leaven.pipelines.quality.images.closeness import NearCopies, spaces
from leaven.pipelines.quality.images.strangeness import Strangeness
from leaven.pipelines.quality.neighbours import Copies
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.task import Task


class Screen(Protocol):
    """What every screen is."""

    name: str

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        """Why each row must go, object (rows,); empty text where it may stay."""


def make(
    schema: Schema, task: Task, recipe: Recipe, *, train: Sequence[Path], seed: int, threads: int
) -> list[Screen]:
    """The screens that the recipe leaves on, fitted on train, the cheap ones first.

    The label screen stands at the first of the recipe's levels; `at` gives it at another one.
    """
    from leaven.pipelines.run import resolve_device

    rows, asked = Rows(list(train), schema), recipe.screen
    device = resolve_device(recipe.device)
    name = recipe.quality.extractor

    @functools.cache
    def known() -> pd.DataFrame:
        return rows.frame(learned_rows(schema))

    @functools.cache
    def extractor() -> Extractor:
        return make_extractor(name, schema, task, known(), threads=threads, device=device)

    @functools.cache
    def pixels() -> np.ndarray:
        return pixels_of(schema, known())

    screens: list[Screen] = []
    if asked.copies:
        screens.append(ExactCopies(rows))
    if asked.duplicates:
        screens.append(Duplicates(schema))
    if asked.near_copies is not False:
        screens.append(Near(schema, extractor, pixels, asked.near_copies))
    if asked.out_of_distribution is not False:
        screens.append(OutOfDistribution(schema, extractor, pixels, asked.out_of_distribution))
    if asked.focus or [one.label_agreement for one in asked.levels()] != [False]:

        @functools.cache
        def ensemble() -> Ensemble:
            return Ensemble(schema, learned(schema, task, known(), threads=threads, device=device))

        agreement = LabelAgreement(task, ensemble, asked.level)
        screens.append(agreement)
        if asked.focus:
            screens.append(Focus(agreement))
    return screens


def _all_or_nothing(keep: np.ndarray, reason: str) -> np.ndarray:
    return np.where(keep, "", reason).astype(object)


class ExactCopies:
    """Images that equal a train image which stands only once in train, whatever the label."""

    name = "copy"

    def __init__(self, rows: Rows):
        column = image_column(rows.schema)
        only = Schema(columns=(column,), target=rows.schema.target)
        batches = (to_frame(batch, only) for batch in rows.batches(1024, [column.name]))
        self._copies = Copies.of(only, batches)

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        return _all_or_nothing(~self._copies.mask(frame), self.name)


class Duplicates:
    """Images that equal one that was judged before, by this object. `at` starts anew."""

    name = "duplicate"

    def __init__(self, schema: Schema):
        self._schema = schema
        self._seen = np.empty(0, dtype=np.uint64)

    def at(self, level: Level) -> "Duplicates":
        """The same screen for images that are judged once more, at another level: nothing has been seen."""
        return Duplicates(self._schema)

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        found = keys(pixels_of(self._schema, frame))
        _, first = np.unique(found, return_index=True)
        keep = np.zeros(len(found), dtype=bool)
        keep[first] = True
        keep &= ~np.isin(found, self._seen)
        self._seen = np.union1d(self._seen, found)
        return _all_or_nothing(keep, self.name)


class _Judged:
    """A screen that compares images with train, in pixels and in feature space; fitted when it is first asked."""

    name: str
    judge: type[NearCopies] | type[Strangeness]

    def __init__(
        self,
        schema: Schema,
        extractor: Callable[[], Extractor],
        train: Callable[[], np.ndarray],
        share: float,
    ):
        self._schema = schema
        self._fitted = functools.cache(lambda: self.judge(spaces(extractor(), train()), train(), share))

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        if not len(frame):
            return np.empty(0, dtype=object)
        return _all_or_nothing(~self._fitted().mask(pixels_of(self._schema, frame)), self.name)


class Near(_Judged):
    """Images nearer to a train image than all but a share of real ones come, in pixels or in feature space."""

    name, judge = "near_copy", NearCopies


class OutOfDistribution(_Judged):
    """Images stranger than all but a share of real ones; see `strangeness`."""

    name, judge = "out_of_distribution", Strangeness


class Focus:
    """Images of which a classifier is sure early: only those stay that it learns late.

    They are told by the confidence of the label screen's ensemble in an image's own label: an image stays where it is
    no higher than that of half of the real images of its class that pass the label screen at the same level.
    """

    name = "focus"

    def __init__(self, agreement: LabelAgreement):
        self._agreement = agreement

    def at(self, level: Level) -> Self:
        """The same screen behind another level of the label screen."""
        return type(self)(self._agreement.at(level))

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        if not len(frame):
            return np.empty(0, dtype=object)
        return _all_or_nothing(self._agreement.late(frame), f"{self.name}: learned early")
