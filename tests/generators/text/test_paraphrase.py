"""Paraphrases by an endpoint that the test serves: faults of all kinds, the cache, the budget, the key."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators.contract import Fit
from leaven.generators.errors import ModelError
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema
from leaven.generators.text.endpoint import texts_in
from leaven.generators.text.paraphrase import Paraphrase

from .fake_endpoint import KEY, Fake, serving

SCHEMA = Schema(
    columns=(Column(name="text", type="text"), Column(name="label", type="category")), target="label"
)


@pytest.fixture(autouse=True)
def own_cache_and_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LEAVEN_API_KEY", KEY)


def rows(tmp_path: Path, count: int = 10) -> Rows:
    frame = pd.DataFrame(
        {"text": [f"text number {n}" for n in range(count)], "label": ["a", "b"] * (count // 2)}
    )
    pq.write_table(to_arrow(frame, SCHEMA), tmp_path / "rows.parquet")
    return Rows(tmp_path / "rows.parquet", SCHEMA)


def fitted(tmp_path: Path, url: str, **more: Any) -> tuple[Paraphrase, Fit]:
    endpoint = {"url": url, "model": "tiny", "retries": 3, "timeout": 20.0, **more}
    generator = Paraphrase({"endpoint": endpoint})
    return generator, generator.fit(rows(tmp_path), seed=1)


def test_paraphrases_keep_their_label_and_say_where_they_came_from(tmp_path: Path) -> None:
    with serving(Fake()) as url:
        generator, fit = fitted(tmp_path, url)
    made = generator.sample(20, seed=3)
    train = [f"text number {n}" for n in range(10)]
    assert set(made["label"]) == {"a", "b"}
    for text, label, source in zip(made["text"], made["label"], made["_source_row"], strict=True):
        assert text.endswith(train[source])
        assert label == "ab"[source % 2]
    assert made["text"].nunique() == 20
    assert fit.notes == ["the endpoint was asked: 10 requests, 1,000 tokens asked and 500 answered"]


def test_a_rerun_asks_nothing_and_gives_the_same(tmp_path: Path) -> None:
    fake = Fake()
    with serving(fake) as url:
        first, _ = fitted(tmp_path, url)
        second, fit = fitted(tmp_path, url)
    assert len(fake.requests) == 10
    assert fit.notes == []
    pd.testing.assert_frame_equal(first.sample(8, seed=3), second.sample(8, seed=3))


def test_requests_go_beside_each_other(tmp_path: Path) -> None:
    fake = Fake()
    with serving(fake) as url:
        fitted(tmp_path, url, concurrency=4)
    assert 2 <= fake.most_at_once <= 4


@pytest.mark.parametrize("mode", ["busy", "broken"])
def test_what_fails_in_passing_is_tried_again(tmp_path: Path, mode: str) -> None:
    with serving(Fake(mode, mode, "ok")) as url:
        generator, _ = fitted(tmp_path, url, concurrency=1)
    assert (generator.sample(20, seed=1)["text"] != "").all()


@pytest.mark.parametrize("mode", ["malformed", "prose"])
def test_an_answer_that_is_none_fails_alone_and_is_asked_again_another_time(
    tmp_path: Path, mode: str
) -> None:
    fake = Fake(mode, "ok")
    with serving(fake) as url:
        generator, fit = fitted(tmp_path, url, concurrency=1)
        assert "1 of 10 texts have no paraphrase" in fit.notes
        such = ", such as 'I would rather not.'" if mode == "prose" else ""
        assert any(note.endswith(f"; 1 answers held no JSON array of texts{such}") for note in fit.notes)
        assert (generator.sample(10, seed=1)["text"] == "").sum() == 1
        fitted(tmp_path, url)
    assert len(fake.requests) == 11


def test_a_budget_stops_and_what_was_made_is_kept(tmp_path: Path) -> None:
    fake = Fake()
    with serving(fake) as url:
        _, fit = fitted(tmp_path, url, max_tokens=450, concurrency=1)
        assert "the budget ended it before all texts were asked about" in fit.notes
        assert len(fake.requests) == 3
        fitted(tmp_path, url)
    assert len(fake.requests) == 10


def test_a_cost_is_counted_and_stops(tmp_path: Path) -> None:
    fake = Fake()
    with serving(fake) as url:
        _, fit = fitted(tmp_path, url, price=[10.0, 20.0], max_cost=0.003, concurrency=1)
    assert len(fake.requests) == 2
    assert any("cost 0.004" in note for note in fit.notes)


def test_a_wrong_key_is_told_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_API_KEY", "sk-wrong-and-secret")
    with serving(Fake()) as url, pytest.raises(ModelError) as caught:
        fitted(tmp_path, url)
    assert "refuses the key (401)" in str(caught.value)
    assert "sk-wrong" not in str(caught.value)


@pytest.mark.parametrize(
    "mode, told", [("unknown", "404"), ("busy", "429"), ("slow", "gives no answer in 0.5 s")]
)
def test_an_endpoint_that_fails_for_good_is_told(tmp_path: Path, mode: str, told: str) -> None:
    with serving(Fake(mode)) as url, pytest.raises(ModelError, match=told):
        fitted(tmp_path, url, retries=0, timeout=0.5 if mode == "slow" else 20.0)


def test_an_endpoint_that_is_down_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be reached"):
        fitted(tmp_path, "http://127.0.0.1:9/v1", retries=0)


def test_what_was_answered_before_it_failed_is_kept(tmp_path: Path) -> None:
    fake = Fake("ok", "ok", "ok", "unknown")
    with serving(fake) as url:
        with pytest.raises(ModelError, match="404"):
            fitted(tmp_path, url, concurrency=1)
        fake.modes, asked = ["ok"], len(fake.requests)
        fitted(tmp_path, url, concurrency=1)
    assert len(fake.requests) - asked == 7


@pytest.mark.parametrize(
    "answer, texts",
    [
        ('["a b", " c  d "]', ["a b", "c d"]),
        ('Here: ["a", "a", 3, ""] done', ["a"]),
        ("[not json]", []),
        ("nothing", []),
        ('{"a": 1}', []),
    ],
)
def test_texts_in_an_answer(answer: str, texts: list[str]) -> None:
    assert texts_in(answer) == texts


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"endpoint": {"url": "ftp://x", "model": "m"}},
        {"endpoint": {"url": "http://k:v@x/v1", "model": "m"}},
    ],
)
def test_parameters_that_make_no_sense(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Paraphrase(parameters)
