"""Paraphrases by an endpoint that the test serves: faults of all kinds, the cache, the budget, the key."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators.contract import Budget, Fit
from leaven.generators.errors import FitError, ModelError
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema
from leaven.generators.text.endpoint import texts_in
from leaven.generators.text.paraphrase import Paraphrase
from leaven.generators.text.spent import forget_spent

from .fake_endpoint import KEY, Clock, Fake, serving

SCHEMA = Schema(
    columns=(Column(name="text", type="text"), Column(name="label", type="category")), target="label"
)


@pytest.fixture(autouse=True)
def own_cache_and_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LEAVEN_API_KEY", KEY)


def rows(tmp_path: Path, count: int = 10, part: int = 0) -> Rows:
    numbers = range(part * count, (part + 1) * count)
    frame = pd.DataFrame({"text": [f"text number {n}" for n in numbers], "label": ["a", "b"] * (count // 2)})
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


def test_a_question_that_is_refused_fails_alone(tmp_path: Path) -> None:
    fake = Fake()
    fake.too_long = "text number 3"
    with serving(fake) as url:
        generator, fit = fitted(tmp_path, url)
        assert len(fake.requests) == 10
        fitted(tmp_path, url)
    assert len(fake.requests) == 11
    assert sum(not found for found in generator._made.values()) == 1
    assert "1 of 10 texts have no paraphrase" in fit.notes
    assert any("it refused 1 questions" in note and "context_length_exceeded" in note for note in fit.notes)


@pytest.mark.parametrize(
    "mode, told", [("forbidden", "403"), ("unknown", "404"), ("broken", "500"), ("slow", "no answer")]
)
def test_the_other_answers_of_a_batch_that_failed_are_kept(tmp_path: Path, mode: str, told: str) -> None:
    fake = Fake("ok", "ok", "ok", mode, "ok")
    with serving(fake) as url:
        with pytest.raises(ModelError, match=told):
            fitted(tmp_path, url, retries=0, concurrency=4, timeout=1.0 if mode == "slow" else 20.0)
        answered = len(fake.requests) - 1
        assert answered >= 3
        fitted(tmp_path, url)
    assert len(fake.requests) == 11


def _body(choices: Any, **more: Any) -> bytes:
    return json.dumps({"choices": choices, **more}).encode()


GOOD = [{"message": {"content": '["another text"]'}}]


@pytest.mark.parametrize(
    "body",
    [
        _body([{"text": "a"}]),
        _body([None]),
        _body({"0": "a"}),
        _body([{"message": None}]),
        _body([{"message": {"content": [{"type": "text", "text": "a"}]}}]),
        _body([{"message": {"content": "[" * 100_000}}]),
        b"[" * 100_000,
        b'{"choices": [',
        b"null",
        b'"said"',
        b"",
    ],
)
def test_an_answer_of_any_form_fails_alone_and_is_counted(tmp_path: Path, body: bytes) -> None:
    fake = Fake("body", "ok")
    fake.body = body
    with serving(fake) as url:
        _, fit = fitted(tmp_path, url, concurrency=1)
    assert "1 of 10 texts have no paraphrase" in fit.notes
    assert any("1 answers held no JSON array of texts" in note for note in fit.notes)


@pytest.mark.parametrize("usage", ["12", {"prompt_tokens": "12"}, {"prompt_tokens": None}, [], -1, None])
def test_tokens_that_are_not_told_are_estimated(tmp_path: Path, usage: Any) -> None:
    fake = Fake()
    fake.usage = usage
    with serving(fake) as url:
        _, fit = fitted(tmp_path, url, max_tokens=450, concurrency=1)
    assert 1 < len(fake.requests) < 10
    asked = sum(-(-len(request["messages"][0]["content"]) // 4) for request in fake.requests)
    assert f"{asked:,} tokens asked" in fit.notes[0]
    assert f"did not count those of {len(fake.requests)}: estimated" in fit.notes[0]


def test_half_a_character_is_left_out_and_the_batch_is_kept(tmp_path: Path) -> None:
    fake = Fake("body", "ok")
    fake.body = _body([{"message": {"content": r'["half \ud83d of it", "whole \ud83d\ude00"]'}}])
    with serving(fake) as url:
        generator, _ = fitted(tmp_path, url, concurrency=1)
        fitted(tmp_path, url)
    assert len(fake.requests) == 10
    assert ["half of it", "whole 😀"] in generator._made.values()


@pytest.mark.parametrize("key", ["sk-schlüssel", "sk-two\nlines"])
def test_a_key_that_cannot_be_sent_is_told_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("LEAVEN_API_KEY", key)
    with pytest.raises(ModelError, match="holds characters that no key can hold") as caught:
        fitted(tmp_path, "http://127.0.0.1:9/v1")
    assert key not in str(caught.value)


def test_a_client_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError(f"no way, {KEY}")

    monkeypatch.setattr("openai.OpenAI", broken)
    with pytest.raises(ModelError, match=r"cannot be asked \(no way, \*\*\*\)"):
        fitted(tmp_path, "http://127.0.0.1:9/v1")


def test_all_fits_of_a_process_share_a_budget(tmp_path: Path) -> None:
    fake = Fake()
    with serving(fake) as url:
        generator = Paraphrase(
            {"endpoint": {"url": url, "model": "tiny", "max_tokens": 750, "concurrency": 1}}
        )
        for part in range(2):
            generator.fit(rows(tmp_path, 4, part), seed=1)
        assert len(fake.requests) == 5  # and not 8
        with pytest.raises(FitError, match="shared with other fits, together 5 requests, 500 tokens"):
            generator.fit(rows(tmp_path, 4, 2), seed=1)
        assert len(fake.requests) == 5
        forget_spent()
        generator.fit(rows(tmp_path, 4, 2), seed=1)
    assert len(fake.requests) == 9


def test_the_clock_ends_it_and_a_replay_is_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake()
    with serving(fake) as url:
        asked = {"endpoint": {"url": url, "model": "tiny", "concurrency": 1}}
        Paraphrase(asked).fit(rows(tmp_path, 2, 5), seed=1)  # the last of them are known from before
        first = Paraphrase(asked)
        fit = first.fit(rows(tmp_path, 12), seed=1, budget=(clock := Clock()), progress=clock.progress)
        assert len(fake.requests) == 2 + 4
        assert (fit.stopped_by, fit.steps) == ("budget", 4)
        assert "the budget ended it before all texts were asked about" in fit.notes
        for cache in ("cache", "empty"):
            monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / cache))
            again = Paraphrase(asked)
            replay = again.fit(rows(tmp_path, 12), seed=1, budget=Budget(steps=4))
            assert (replay.stopped_by, replay.steps) == ("budget", 4)
            assert again._made == first._made
    assert len(fake.requests) == 6 + 4


def test_a_budget_of_tokens_is_not_the_clock(tmp_path: Path) -> None:
    with serving(Fake()) as url:
        _, fit = fitted(tmp_path, url, max_tokens=450, concurrency=1)
    assert (fit.stopped_by, fit.steps) == ("done", 0)


def test_a_clock_that_ends_it_at_once_says_so(tmp_path: Path) -> None:
    generator = Paraphrase({"endpoint": {"url": "http://127.0.0.1:9/v1", "model": "tiny"}})
    with pytest.raises(FitError, match=r"no paraphrase was made \(the clock ended it after 0 texts"):
        generator.fit(rows(tmp_path), seed=1, budget=Budget(seconds=0.0))


@pytest.mark.parametrize(
    "answer, texts",
    [
        ('["a b", " c  d "]', ["a b", "c d"]),
        ('Here: ["a", "a", 3, ""] done', ["a"]),
        ("[not json]", []),
        ("nothing", []),
        ('{"a": 1}', []),
        ("] no [", []),
        ("[" * 100_000, []),
        ("[" * 100_000 + "]", []),
        (r'["\ud83d", "a\ud83d"]', ["a"]),
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
        {"endpoint": {"url": "http://localhost:80a0/v1", "model": "m"}},
        {"endpoint": {"url": "http://localhost:99999/v1", "model": "m"}},
        {"endpoint": {"url": "http://:80/v1", "model": "m"}},
        {"endpoint": {"url": "http://x/v1", "model": "m", "max_cost": 1.0}},
        {"endpoint": {"url": "http://x/v1", "model": "m", "max_cost": 1.0, "price": [0, 0]}},
        {"endpoint": {"url": "http://x/v1", "model": "m", "price": [-1, 0]}},
    ],
)
def test_parameters_that_make_no_sense(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Paraphrase(parameters)
