"""New texts of a class: by an endpoint that the test serves, and by a tiny model that is fine-tuned."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators.contract import Budget, Fit
from leaven.generators.errors import ModelError
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema
from leaven.generators.text import tuned as tuned_module
from leaven.generators.text.language_model import LanguageModel

from .fake_endpoint import KEY, Clock, Fake, serving
from .tiny import causal_model

SCHEMA = Schema(
    columns=(Column(name="text", type="text"), Column(name="label", type="category")), target="label"
)
SKY = [f"the {one} cloud is {two}" for one in ("white", "grey", "small") for two in ("high", "low", "far")]
SEA = [f"a {one} wave was {two}" for one in ("tall", "salty", "blue") for two in ("near", "wet", "loud")]
LAND = [f"my {one} field has {two}" for one in ("green", "dry", "wide") for two in ("corn", "mud", "sheep")]
FRAME = pd.DataFrame({"text": SKY + SEA + LAND, "label": ["sky"] * 9 + ["sea"] * 9 + ["land"] * 9})


@pytest.fixture(autouse=True)
def own_cache_and_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LEAVEN_API_KEY", KEY)


def rows(tmp_path: Path) -> Rows:
    pq.write_table(to_arrow(FRAME, SCHEMA), tmp_path / "rows.parquet")
    return Rows(tmp_path / "rows.parquet", SCHEMA)


def asked(tmp_path: Path, url: str, **more: Any) -> tuple[LanguageModel, Fit]:
    generator = LanguageModel(
        {"endpoint": {"url": url, "model": "tiny", "retries": 0, **more}, "texts": 20, "neighbours": 1}
    )
    return generator, generator.fit(rows(tmp_path), seed=1)


def tuned(tmp_path: Path, budget: Budget | None = None, **more: Any) -> tuple[LanguageModel, Fit]:
    model = tmp_path / "model"
    if not model.exists():
        causal_model(model, [*FRAME["text"], "sky: sea: land:"])
    generator = LanguageModel({"model": str(model), "epochs": 40, "rate": 5e-3, **more})
    return generator, generator.fit(rows(tmp_path), seed=1, threads=1, budget=budget)


def test_a_prompt_shows_the_class_and_its_neighbours(tmp_path: Path) -> None:
    fake = Fake()
    with serving(fake) as url:
        generator, fit = asked(tmp_path, url)
    made = generator.sample(30, seed=1)
    assert [f"of {label}," in text for text, label in zip(made["text"], made["label"], strict=True)].count(
        False
    ) == 0
    assert len(fake.requests) == 6  # 3 classes, 20 texts in answers of 10
    prompts = [request["messages"][0]["content"] for request in fake.requests]
    of_sky = next(one for one in prompts if 'of the class "sky"' in one)
    examples, neighbours = of_sky.split("neighbouring classes")
    assert sum(text in examples for text in SKY) == 8
    assert sum(text in neighbours for text in SEA + LAND) == 2
    assert not any(text in neighbours for text in SKY)
    assert "6 requests, 600 tokens asked and 300 answered" in fit.notes[0]


def test_a_rerun_asks_nothing_and_gives_the_same(tmp_path: Path) -> None:
    fake = Fake()
    with serving(fake) as url:
        first, _ = asked(tmp_path, url)
        second, _ = asked(tmp_path, url)
    assert len(fake.requests) == 6
    pd.testing.assert_frame_equal(first.sample(30, seed=3), second.sample(30, seed=3))


def test_a_budget_stops_it_and_what_was_written_is_kept(tmp_path: Path) -> None:
    fake = Fake()
    with serving(fake) as url:
        _, fit = asked(tmp_path, url, max_tokens=300, concurrency=1)
        assert "the budget ended it before all texts were asked for" in fit.notes
        before = len(fake.requests)
        asked(tmp_path, url)
    assert before == 2
    assert len(fake.requests) == 6


def test_the_clock_ends_the_asking_and_a_replay_asks_no_more(tmp_path: Path) -> None:
    fake = Fake()
    with serving(fake) as url:
        asking = {"endpoint": {"url": url, "model": "tiny", "concurrency": 1}, "texts": 20, "neighbours": 0}
        first = LanguageModel(asking)
        fit = first.fit(rows(tmp_path), seed=1, budget=(clock := Clock()), progress=clock.progress)
        assert (fit.stopped_by, fit.steps) == ("budget", 4)
        again = LanguageModel(asking)
        again.fit(rows(tmp_path), seed=1, budget=Budget(steps=4))
    assert len(fake.requests) == 4
    assert again._written == first._written


def test_a_wrong_key_is_told_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_API_KEY", "sk-wrong-and-secret")
    with serving(Fake()) as url, pytest.raises(ModelError) as caught:
        asked(tmp_path, url)
    assert "refuses the key (401)" in str(caught.value)
    assert "sk-wrong" not in str(caught.value)


def test_a_tuned_model_writes_in_the_words_of_the_class(tmp_path: Path) -> None:
    generator, fit = tuned(tmp_path)
    made = generator.sample(60, seed=2)
    words = {
        "sky": set(" ".join(SKY).split()),
        "sea": set(" ".join(SEA).split()),
        "land": set(" ".join(LAND).split()),
    }
    own = [
        set(text.split()) <= words[label]
        for text, label in zip(made["text"], made["label"], strict=True)
        if text
    ]
    assert len(own) >= 55
    assert sum(own) / len(own) > 0.9
    assert made["text"].nunique() > 15  # it has not learned one text by heart
    assert fit.steps == 160  # 40 epochs of 27 texts by eights


def test_a_text_depends_on_its_own_seed_and_not_on_those_beside_it(tmp_path: Path) -> None:
    generator, _ = tuned(tmp_path)
    writer = generator._tuned
    labels, seeds = ["sky", "sea", "sky", "land"] * 5, list(range(20))
    together = writer.write(labels, seeds, temperature=1.0, top_p=0.95)
    alone = [
        writer.write([label], [seed], temperature=1.0, top_p=0.95)[0]
        for label, seed in zip(labels, seeds, strict=True)
    ]
    assert together == alone


def test_a_tuned_model_is_saved_as_safetensors_and_writes_the_same(tmp_path: Path) -> None:
    generator, _ = tuned(tmp_path, epochs=4)
    place = tmp_path / "saved"
    place.mkdir()
    generator.save(place)
    kept = {path.suffix for path in (place / "tuned").iterdir()}
    assert ".safetensors" in kept
    assert not kept & {".bin", ".pt", ".pkl"}
    pd.testing.assert_frame_equal(generator.sample(10, seed=4), LanguageModel.load(place).sample(10, seed=4))


def test_the_clock_ends_it_and_a_replay_is_equal(tmp_path: Path) -> None:
    first, fit = tuned(tmp_path, Budget(seconds=1.0), epochs=5_000)
    assert fit.stopped_by == "budget"
    again, _ = tuned(tmp_path, Budget(steps=fit.steps), epochs=5_000)
    pd.testing.assert_frame_equal(first.sample(10, seed=4), again.sample(10, seed=4))


def test_texts_longer_than_the_model_are_learned_from_without_their_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = FRAME.assign(text=[*[" ".join(SKY * 3)] * 2, *FRAME["text"][2:]])  # 64 positions
    monkeypatch.setitem(globals(), "FRAME", frame)
    seen: list[list[int]] = []
    learned = tuned_module._learned

    def watched(*given: Any) -> Any:
        seen.append(learned(*given)[1])
        return learned(*given)

    monkeypatch.setattr(tuned_module, "_learned", watched)
    generator, fit = tuned(tmp_path, epochs=1)
    assert [rest[-1] == 0 for rest in seen] == [False] * 2 + [True] * 25  # 0: the end mark
    assert [len(rest) for rest in seen[:2]] == [62, 62]  # after "sky" and ":"
    assert "2 of 27 texts are too long: learned from without their ends" in fit.notes
    assert len(generator.sample(5, seed=1)) == 5


def test_a_label_that_fills_the_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "FRAME", FRAME.assign(label=FRAME["label"] + " very" * 80))
    with pytest.raises(ModelError, match="alone has more than the model's 64 pieces"):
        tuned(tmp_path, epochs=1)


def test_a_loaded_model_moves_to_a_device(tmp_path: Path) -> None:
    generator, _ = tuned(tmp_path, epochs=1)
    place = tmp_path / "saved"
    place.mkdir()
    generator.save(place)
    moved = LanguageModel.load(place).to("meta")  # a device that every machine has
    assert (moved.device, moved._tuned._device, str(moved._tuned._model.device)) == ("meta", "meta", "meta")


def test_a_folder_that_is_no_model_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        tuned(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("parameters", [{}, {"model": "a", "endpoint": {"url": "http://x/v1", "model": "m"}}])
def test_parameters_that_make_no_sense(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either an endpoint or a model"):
        LanguageModel(parameters)
