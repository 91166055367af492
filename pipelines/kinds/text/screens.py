"""The screens for synthetic texts. Each says why a text must go, or lets it pass.

A screen is an object with `name` and `reasons(frame)`: an object array (rows,) that is empty text for rows that
pass and otherwise a short text, always the same for the same fault, because reports count them. Screens see
train rows only. A frame with `_source_row` is an editor's: its texts are compared with those they started from.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from leaven.generators.contract import SOURCE
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.generators.text.base import as_texts, text_column
from leaven.generators.text.encoder import encode
from leaven.generators.text.plain import NOUNS_IN_CAPITALS, plain
from leaven.generators.text.plain import words as words_of
from leaven.pipelines.kinds.agreement import LabelAgreement, Level
from leaven.pipelines.kinds.ensemble import Ensemble
from leaven.pipelines.kinds.text import facts
from leaven.pipelines.kinds.text.features import Features
from leaven.pipelines.kinds.text.language import language, languages
from leaven.pipelines.kinds.text.learners import points_model, words_model
from leaven.pipelines.kinds.text.safety import PersonalData, Toxicity
from leaven.pipelines.kinds.text.subsets import spread, stratified
from leaven.pipelines.quality.texts.near import NearTexts
from leaven.pipelines.quality.texts.same import same_keys
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.task import Task

LEARNED = 20_000  # train texts that the label screen learns from
COMPARED = 100_000  # train texts that near copies are looked for among
HEARD = 2_000  # train texts whose language is looked at
SHORT = 3  # letters that a text made of nothing must have, unless there are real ones with fewer
OTHER = 0.99  # probability from which a text counts as one in another language


class Screen(Protocol):
    """What every screen is."""

    name: str

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        """Why each row must go, object (rows,); empty text where it may stay."""


def make(
    schema: Schema, task: Task, recipe: Recipe, *, train: Sequence[Path], seed: int, threads: int
) -> list[Screen]:
    """The screens that the recipe leaves on, fitted on train, the cheap ones first, but for that of duplicates.

    The label screen stands at the first of the recipe's levels; `at` gives it at another one.
    """
    rows, asked = Rows(list(train), schema), recipe.screen
    column = text_column(schema)

    @functools.cache
    def known() -> pd.DataFrame:
        return rows.frame()

    @functools.cache
    def texts() -> list[str]:
        return [str(text) for text in known()[column]]

    @functools.cache
    def spoken() -> list[tuple[str, float]]:
        return languages(spread(texts(), HEARD))

    def ensemble() -> Ensemble:
        # Half of the places are for classes alike, so that a class with few rows keeps them all.
        own, least = derive(seed, "label_agreement"), LEARNED // max(1, 2 * len(task.classes))
        learned = known().iloc[stratified(known()[task.target], LEARNED, own, least)].reset_index(drop=True)
        seeds = {"seed": own, "threads": threads}
        return Ensemble(Features(schema, task), task, learned, ("points", "texts"), _member, **seeds)

    screens: list[Screen] = [Empty(column, texts)]
    if asked.length:
        screens.append(Length(column, texts))
    if asked.copies:
        screens.append(Copies(column, texts))
    if asked.entities:
        screens.append(Entities(column, texts, spoken))
    if asked.language:
        screens.append(Language(column, texts, spoken))
    if asked.near_copies is not False:
        screens.append(NearCopies(column, texts))
    if asked.meaning is not False:
        screens.append(Meaning(column, texts, asked.meaning))
    if asked.personal_data:
        screens.append(PersonalData(column))
    if asked.toxicity is not False:
        screens.append(Toxicity(column, asked.toxicity, threads))
    if [one.label_agreement for one in asked.levels()] != [False]:
        screens.append(LabelAgreement(task, ensemble, asked.level))
    if asked.duplicates:  # last: what goes for another reason must not take its twin with it
        screens.append(Duplicates(column))
    return screens


def _member(kind: int, task: Task, width: int, seed: int, threads: int) -> object:
    return (points_model, words_model)[kind]()


def _all_or_nothing(keep: np.ndarray, reason: str) -> np.ndarray:
    return np.where(keep, "", reason).astype(object)


class _Beside:
    """A screen that looks at texts beside those of train."""

    name: str

    def __init__(self, column: str, train: Callable[[], list[str]]):
        self._column, self._train = column, train

    def _texts(self, frame: pd.DataFrame) -> list[str]:
        return as_texts(frame[self._column])

    def _sources(self, frame: pd.DataFrame) -> list[str | None]:
        """The train text that each row started from; None for a sampler's rows."""
        if SOURCE not in frame or not frame[SOURCE].notna().any():
            return [None] * len(frame)
        train = self._train()
        return [None if pd.isna(row) else train[int(row)] for row in frame[SOURCE]]


class _ByText(_Beside, ABC):
    """A screen that looks at each text, and at the one that it started from where there is one."""

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        both = zip(self._texts(frame), self._sources(frame), strict=True)
        return np.array([self._reason(text, source) for text, source in both], dtype=object)

    @abstractmethod
    def _reason(self, text: str, source: str | None) -> str:
        """Why the text must go; empty where it may stay."""


class Empty(_ByText):
    """No text at all: a generator could make none."""

    name = "empty"

    def _reason(self, text: str, source: str | None) -> str:
        return "" if plain(text) else f"{self.name}: no text was made"


class Length(_ByText):
    """Much shorter or longer than its source, or much longer than any train text; the same words again and again.

    What was made of nothing may be as short as a word: the words of a class are.
    """

    name = "length"

    @functools.cached_property
    def _bounds(self) -> tuple[float, float]:
        lengths = [len(text) for text in self._train()]
        return (min(SHORT, min(lengths)), max(lengths) * facts.TIMES) if lengths else (0, np.inf)

    def _reason(self, text: str, source: str | None) -> str:
        if source is None:
            low, high = self._bounds
            fault = "length" if not low <= len(text) <= high else facts.repeated(text, "")
        else:
            fault = facts.lengthened(text, source) or facts.repeated(text, source)
        return fault and (self.name if fault == "length" else f"{self.name}: {fault}")


class Copies(_Beside):
    """Texts that say word for word what a train text says."""

    name = "copy"

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        texts = self._texts(frame)
        return _all_or_nothing(~np.isin(same_keys(texts), self._keys), self.name)

    @functools.cached_property
    def _keys(self) -> np.ndarray:
        return np.unique(same_keys(self._train()))


class _ByLanguage(_ByText):
    """One that hangs on train's languages: with their shares, the commonest first."""

    def __init__(
        self, column: str, train: Callable[[], list[str]], spoken: Callable[[], list[tuple[str, float]]]
    ):
        super().__init__(column, train)
        self._languages = spoken


class Entities(_ByLanguage):
    """Numbers, addresses, code and names that its source has not, or that it lost."""

    name = "entities"

    @functools.cached_property
    def _capitals(self) -> bool:
        """Whether train's capitals are a sign of names: not in German, and not where most words have one."""
        words = [word for text in spread(self._train(), HEARD) for word in words_of(text)]
        few = sum(word[0].isupper() for word in words) <= len(words) / 2
        return few and next((code for code, _ in self._languages()), "") not in NOUNS_IN_CAPITALS

    def _reason(self, text: str, source: str | None) -> str:
        fault = "" if source is None else facts.changed(text, source, capitals=self._capitals)
        return fault and f"{self.name}: {fault}"


class Language(_ByLanguage):
    """Surely in another language than train."""

    name = "language"

    @functools.cached_property
    def _spoken(self) -> set[str]:
        return {code for code, share in self._languages() if share >= 0.05}

    def _reason(self, text: str, source: str | None) -> str:
        if not self._spoken:
            return ""
        found = language(text, OTHER)
        return "" if found is None or found in self._spoken else self.name


class NearCopies(_Beside):
    """A sampler's texts that share nearly all of their shingles with a train text."""

    name = "near_copy"

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        texts = self._texts(frame)
        return _all_or_nothing(np.array([not self._near.has(text) for text in texts], dtype=bool), self.name)

    @functools.cached_property
    def _near(self) -> NearTexts:
        near = NearTexts()
        for text in spread(self._train(), COMPARED):
            near.add(text)
        return near


class Duplicates:
    """Texts nearly equal to one that was judged before, by this object. `at` starts anew."""

    name = "duplicate"

    def __init__(self, column: str):
        self._column, self._seen = column, NearTexts()

    def at(self, level: Level) -> "Duplicates":
        """The same screen for texts that are judged once more, at another level: nothing has been seen."""
        return Duplicates(self._column)

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        keep = [self._seen.add_new(text) for text in as_texts(frame[self._column])]
        return _all_or_nothing(np.array(keep, dtype=bool), self.name)


class Meaning(_Beside):
    """An editor's texts that say something else than their source, by a sentence encoder, or the same in the same
    words."""

    name = "meaning"

    def __init__(self, column: str, train: Callable[[], list[str]], least: float):
        super().__init__(column, train)
        self._least = least

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        sources = self._sources(frame)
        found = np.full(len(frame), "", dtype=object)
        rows = [row for row, source in enumerate(sources) if source is not None]
        if not rows:
            return found
        texts = self._texts(frame)
        ours, theirs = encode([texts[row] for row in rows]), encode([str(sources[row]) for row in rows])
        alike = (ours * theirs).sum(axis=1)
        for row, cosine in zip(rows, alike, strict=True):
            if cosine < self._least:
                found[row] = self.name
            elif facts.hardly_changed(texts[row], str(sources[row])):
                found[row] = "novelty"
        return found
