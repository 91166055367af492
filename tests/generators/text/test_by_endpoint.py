"""An endpoint as a translator: there and back, its budget, and what is kept when it fails."""

from pathlib import Path

import pytest

from leaven.generators.errors import ModelError
from leaven.generators.text.calls import Calls
from leaven.generators.text.endpoint import Endpoint
from leaven.generators.text.endpoint_parameters import EndpointParameters
from leaven.generators.text.translation.by_endpoint import ByEndpoint
from leaven.generators.text.translation.texts import translate
from leaven.generators.text.translation.translators import pair

from .fake_endpoint import KEY, Fake, serving

SENTENCES = [f"sentence {n} of them" for n in range(12)]


@pytest.fixture(autouse=True)
def own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_API_KEY", KEY)


def endpoint(url: str, **more: object) -> EndpointParameters:
    return EndpointParameters.model_validate(
        {"url": url, "model": "m", "retries": 0, "concurrency": 1, **more}
    )


def test_both_directions_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    fake, calls = Fake(), Calls(tmp_path / "calls.sqlite")
    with serving(fake) as url:
        there, back = pair("embedded", "en", "de", endpoint=endpoint(url))
        found = translate(there, SENTENCES, 2, calls)
        again = translate(there, SENTENCES, 2, calls)
        returned = translate(back, found[SENTENCES[0]], 1, calls)
    assert found[SENTENCES[3]] == ["sentence 3 of them de0", "sentence 3 of them de1"]
    assert again == found
    assert list(returned.values()) == [["sentence 0 of them de0 en0"], ["sentence 0 of them de1 en0"]]
    assert len(fake.requests) == 14
    assert "14 requests" in back.told  # one budget for both


def test_a_budget_stops_it_and_the_rest_is_asked_another_time(tmp_path: Path) -> None:
    fake, calls = Fake(), Calls(tmp_path / "calls.sqlite")
    with serving(fake) as url:
        short = ByEndpoint(Endpoint(endpoint(url, max_tokens=700)), "en", "de")
        found = translate(short, SENTENCES, 1, calls)
        assert "its budget ended it" in short.told
        whole = translate(ByEndpoint(Endpoint(endpoint(url)), "en", "de"), SENTENCES, 1, calls)
    assert sum(bool(ways) for ways in found.values()) == 5
    assert all(whole.values())
    assert len(fake.requests) == 12


def test_what_was_translated_before_it_failed_is_kept(tmp_path: Path) -> None:
    fake, calls = Fake("ok", "ok", "unknown"), Calls(tmp_path / "calls.sqlite")
    with serving(fake) as url:
        with pytest.raises(ModelError, match="404"):
            translate(ByEndpoint(Endpoint(endpoint(url)), "en", "de"), SENTENCES, 1, calls)
        fake.modes, before = ["ok"], len(fake.requests)
        translate(ByEndpoint(Endpoint(endpoint(url)), "en", "de"), SENTENCES, 1, calls)
    assert len(fake.requests) - before == 10


def test_a_bad_answer_fails_alone(tmp_path: Path) -> None:
    with serving(Fake("prose", "ok")) as url:
        found = translate(
            ByEndpoint(Endpoint(endpoint(url)), "en", "de"), SENTENCES, 1, Calls(tmp_path / "calls.sqlite")
        )
    assert [bool(ways) for ways in found.values()].count(False) == 1


def test_a_sentence_that_is_refused_fails_alone(tmp_path: Path) -> None:
    fake = Fake()
    fake.too_long = "sentence 7 "
    with serving(fake) as url:
        there = ByEndpoint(Endpoint(endpoint(url)), "en", "de")
        found = translate(there, SENTENCES, 1, Calls(tmp_path / "calls.sqlite"))
    assert [sentence for sentence, ways in found.items() if not ways] == ["sentence 7 of them"]
    assert "it refused 1 questions" in there.told


def test_an_endpoint_that_failed_one_way_is_not_asked_the_other_way(tmp_path: Path) -> None:
    fake, shared = Fake("unknown"), Calls(tmp_path / "calls.sqlite")
    with serving(fake) as url:
        for one in pair("embedded", "en", "de", endpoint=endpoint(url)):
            with pytest.raises(ModelError, match="404"):
                translate(one, SENTENCES, 1, shared)
    assert len(fake.requests) == 1
