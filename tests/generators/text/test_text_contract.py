"""The contract that every generator for texts keeps, whatever its method."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators import catalog
from leaven.generators.conditions import parse
from leaven.generators.contract import SOURCE, Fit
from leaven.generators.errors import ConditionError, FitError
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema
from leaven.generators.text.translation import translators

from .fake_endpoint import KEY, Fake, serving
from .planted import Back, There

SCHEMA = Schema(
    columns=(Column(name="text", type="text"), Column(name="label", type="category")), target="label"
)
NAMES = catalog.names("text")
ENDPOINT = {"paraphrase", "language_model"}


@pytest.fixture(autouse=True)
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LEAVEN_API_KEY", KEY)
    monkeypatch.setattr(translators, "pair", lambda *args, **options: (There(), Back()))


def frame(count: int = 24) -> pd.DataFrame:
    size, speed = ["big", "small"], ["quick", "slow"]
    texts = [
        f"a {size[n % 2]} and {speed[n // 2 % 2]} thing that we begin with, case {n} of it"
        for n in range(count)
    ]
    return pd.DataFrame({"text": texts, "label": [("sky", "sea", "land")[n % 3] for n in range(count)]})


def rows(tmp_path: Path, source: pd.DataFrame) -> Rows:
    path = tmp_path / f"rows{len(source)}.parquet"
    pq.write_table(to_arrow(source, SCHEMA), path)
    return Rows(path, SCHEMA)


def fitted(name: str, tmp_path: Path, source: pd.DataFrame | None = None) -> tuple[Any, Fit]:
    given = rows(tmp_path, frame() if source is None else source)
    if name not in ENDPOINT:
        generator = catalog.get(name, "text")()
        return generator, generator.fit(given, seed=5)
    with serving(Fake()) as url:
        generator = catalog.get(name, "text")({"endpoint": {"url": url, "model": "tiny"}})
        return generator, generator.fit(given, seed=5)


@pytest.mark.parametrize("name", NAMES)
def test_rows_have_the_schema_and_their_sources(name: str, tmp_path: Path) -> None:
    generator, fit = fitted(name, tmp_path)
    made, train = generator.sample(60, seed=1), frame()
    assert fit.rows == 24
    assert list(made.columns) == ["text", "label", *([SOURCE] if generator.role == "editor" else [])]
    assert len(made) == 60
    assert set(made["label"]) <= {"sky", "sea", "land"}
    assert made["text"].map(type).eq(str).all()
    if generator.role == "editor":
        assert (train["label"].to_numpy()[made[SOURCE]] == made["label"]).all()
        assert (made["text"] != train["text"].to_numpy()[made[SOURCE]]).mean() > 0.9
        assert made[SOURCE].nunique() == 24  # all come in turn before one comes again


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_rows_and_others_do_not(name: str, tmp_path: Path) -> None:
    generator, _ = fitted(name, tmp_path)
    again, _ = fitted(name, tmp_path)
    one, two, other = generator.sample(30, seed=1), again.sample(30, seed=1), generator.sample(30, seed=2)
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(other)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_and_loaded_makes_the_same(name: str, tmp_path: Path) -> None:
    generator, _ = fitted(name, tmp_path)
    folder = tmp_path / "saved"
    folder.mkdir()
    generator.save(folder)
    loaded = catalog.get(name, "text").load(folder)
    pd.testing.assert_frame_equal(generator.sample(20, seed=3), loaded.sample(20, seed=3))
    assert all(path.suffix in (".json", ".safetensors") for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", NAMES)
def test_a_class_can_be_asked_for(name: str, tmp_path: Path) -> None:
    generator, _ = fitted(name, tmp_path)
    assert set(generator.sample(10, seed=1, conditions=parse(["label=sea"], SCHEMA))["label"]) == {"sea"}
    with pytest.raises(ConditionError, match="no class meets"):
        generator.sample(10, seed=1, conditions=parse(["label=moon"], SCHEMA))


@pytest.mark.parametrize("name", NAMES)
def test_one_text_in_a_class_and_odd_texts(name: str, tmp_path: Path) -> None:
    odd = ["🙂🙂 ok?", "שלום עולם, איך אתה", "=1+2", "a", "line\nbreak here", "x" * 2_000]
    source = pd.DataFrame({"text": odd, "label": list("abcdef")})
    generator, _ = fitted(name, tmp_path, source)
    made = generator.sample(40, seed=1)
    assert len(made) == 40
    assert np.isin(made["label"], list("abcdef")).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_are_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(FitError, match="no train texts"):
        fitted(name, tmp_path, frame(0))


def test_a_rerun_translates_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = There()
    monkeypatch.setattr(translators, "pair", lambda *args, **options: (there, Back()))
    _, first = fitted("back_translation", tmp_path)
    asked = len(there.asked)
    _, second = fitted("back_translation", tmp_path)
    assert asked == 24
    assert len(there.asked) == asked
    assert first == second  # reports do not depend on what was kept


def test_back_translation_brings_synonyms(tmp_path: Path) -> None:
    generator, _ = fitted("back_translation", tmp_path)
    assert generator.sample(24, seed=1)["text"].str.contains("large|little|fast|start").all()


@pytest.mark.parametrize("name", ["edits"])
def test_shards_do_not_repeat_each_other(name: str, tmp_path: Path) -> None:
    generator, _ = fitted(name, tmp_path)
    both = pd.concat([generator.sample(24, seed=1), generator.sample(24, seed=2, offset=24)])
    assert both["text"].nunique() > 40


def test_a_further_round_of_an_editor_takes_other_ways(tmp_path: Path) -> None:
    """Where a text has several: those that were taken do not come first again."""
    generator, _ = fitted("paraphrase", tmp_path)  # with two paraphrases of each
    rounds = [generator.sample(24, seed=1 + n, offset=24 * n) for n in range(2)]
    first, second = (one.groupby(SOURCE)["text"].first() for one in rounds)
    both = first.index.intersection(second.index)
    assert len(both) > 12 and (first[both] != second[both]).all()
