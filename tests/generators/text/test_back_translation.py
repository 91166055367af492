"""What of a text's sentences comes back, by which way, and what is left where the time ends."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaven.generators.contract import Budget, Fit, silent
from leaven.generators.text.back_translation import BackTranslation
from leaven.generators.text.base import Ask
from leaven.generators.text.translation import translators

from .planted import Back, There

MANY = [f"a big thing and the case {word}" for word in ("apple", "pear", "plum", "fig", "lime", "nut", "oat", "pea",
        "rye", "tea", "corn", "leek", "kale", "rice", "soy", "yam", "date", "beet", "herb", "mint")]  # fmt: skip


class Several(There):
    """Two translations."""

    def translate(self, sentences: Any, count: int) -> list[list[str]]:
        return [[f"{one[0]} zuerst", f"{one[0]} danach"] for one in super().translate(sentences, count)]


class Told(Back):
    """Other words for each translation, none for what holds `same`."""

    def translate(self, sentences: Any, count: int) -> list[list[str]]:
        return [
            [one.rpartition(" ")[0].replace("xx", "")]
            if "same" in one
            else [f"back of {one.replace('xx', '')}"]
            for one in sentences
        ]


@pytest.fixture(autouse=True)
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(translators, "pair", lambda *args, **options: (There(), Back()))


def learned(texts: list[str], budget: Budget | None = None) -> tuple[BackTranslation, Fit]:
    generator = BackTranslation({})
    generator.texts, generator.labels = texts, np.zeros(len(texts), int)
    return generator, generator._learn(seed=1, budget=budget or Budget(), progress=silent)


def made(generator: BackTranslation, source: int) -> set[str]:
    return {generator._one(Ask(source, 0, seed, seed)) for seed in range(20)}


def test_a_sentence_that_comes_back_unchanged_stays_as_it_is() -> None:
    generator, _ = learned(["Nothing changes here. A big dog came.", "Nothing changes here."])
    assert made(generator, 0) == {"Nothing changes here. A large dog came."}
    assert made(generator, 1) == {""}


def test_the_way_that_a_text_came_by_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(translators, "pair", lambda *args, **options: (Several(), Told()))
    generator, _ = learned(["We go home. They stay."])
    text = generator.texts[0]
    found = {one: generator.through(text, one) for one in made(generator, 0)}
    assert len(found) == 4
    for one, way in found.items():
        assert way is not None
        assert one == " ".join(
            f"back of {part.replace('xx', '')}" for part in way.replace(" They", "|They").split("|")
        )
    assert generator.through(text, "something else") is None
    generator._save(tmp_path)
    loaded = BackTranslation({})
    loaded._load(tmp_path)
    assert {one: loaded.through(text, one) for one in found} == found


class Clock(Budget):
    """A clock that goes on with each look at it, so with each batch."""

    ticks = 0.0

    @property
    def elapsed(self) -> float:
        self.ticks += 1.0
        return self.ticks


@pytest.mark.parametrize("seconds", [1.0, 2.0, 4.0])
def test_the_clock_ends_it_and_a_replay_is_the_same(
    seconds: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(There, "batch", 4)
    monkeypatch.setattr(Back, "batch", 4)
    whole, _ = learned(MANY)
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "other"))
    cut, fit = learned(MANY, Clock(seconds=seconds))
    assert fit.stopped_by == "budget"
    assert 0 < fit.steps == len(cut._ways) < len(whole._ways)
    assert all(whole._ways[sentence] == ways for sentence, ways in cut._ways.items())
    for cache in ("other", "fresh"):
        monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / cache))
        again, replayed = learned(MANY, Budget(steps=fit.steps))
        assert (again._ways, again._pivots, replayed) == (cut._ways, cut._pivots, fit)


def test_enough_time_is_as_no_clock() -> None:
    one, _ = learned(MANY)
    two, fit = learned(MANY, Budget(seconds=1e6))
    assert (list(one._ways.items()), one._pivots) == (list(two._ways.items()), two._pivots)
    assert fit == Fit()
