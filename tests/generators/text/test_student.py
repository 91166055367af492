"""A student learns a planted language, copies what is masked, resumes after a kill, and runs the same in every way."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from leaven.generators import checkpoint
from leaven.generators.contract import Budget
from leaven.generators.errors import InputError, ModelError
from leaven.generators.text.calls import Calls
from leaven.generators.text.translation import translators
from leaven.generators.text.translation.marian import Marian, checked, found
from leaven.generators.text.translation.packed import pack, unpacked
from leaven.generators.text.translation.pairs import Changed, Pair, divide, read_pairs
from leaven.generators.text.translation.student import Size, Student, fit
from leaven.generators.text.translation.texts import translate
from leaven.generators.text.translation.torch_marian import TorchMarian

SMALL = Size(width=48, inner=96, encoder=1, decoder=1, heads=2, pieces=160, batch=512)
NOUNS = {
    "cat": "chat",
    "dog": "chien",
    "house": "maison",
    "tree": "arbre",
    "river": "fleuve",
    "bird": "oiseau",
}
VERBS = {"sees": "voit", "likes": "aime", "finds": "trouve", "takes": "prend"}


def pairs(count: int = 900, seed: int = 0) -> list[Pair]:
    """Sentences word by word; names and numbers stay."""
    rng = np.random.default_rng(seed)
    made: dict[Pair, None] = {}
    for _ in range(count):
        one, other = rng.choice(list(NOUNS), 2)
        verb, number = rng.choice(list(VERBS)), int(rng.integers(1, 99))
        name = rng.choice(["", " Anna", " Boris", " Chloe"])
        source = f"The {one} {verb} {number} {other}s{' of' if name else ''}{name}."
        target = f"Le {NOUNS[one]} {VERBS[verb]} {number} {NOUNS[other]}s{' de' if name else ''}{name}."
        made[Pair(source, target)] = None
    return list(made)


def trained(budget: Budget | None = None) -> Student:
    given = divide(pairs(), "planted")
    return fit(given, seed=3, size=SMALL, epochs=30, rate=3e-3, threads=1, budget=budget)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained student."""
    folder = tmp_path_factory.mktemp("student")
    trained().save(folder, "en", "fr")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))


def test_it_has_learned_the_language_and_copies_what_is_masked(model: Path, tmp_path: Path) -> None:
    asked = ["The bird finds 12345 dogs.", "The tree takes 7 cats of Zebulon.", "The river sees 3 houses."]
    told = [
        "Le oiseau trouve 12345 chiens.",
        "Le arbre prend 7 chats de Zebulon.",
        "Le fleuve voit 3 maisons.",
    ]
    said = translate(Marian(model, "en", "fr"), asked, 1, Calls(tmp_path / "c.sqlite"))
    assert [said[sentence][0] for sentence in asked] == told


def test_both_engines_and_the_packed_model_say_the_same(model: Path, tmp_path: Path) -> None:
    sentences = [pair.source for pair in pairs(60, seed=9)]
    packed = tmp_path / "packed"
    packed.mkdir()
    pack(model, packed)
    ways = [Marian(model, "en", "fr"), TorchMarian(model, "en", "fr"), Marian(unpacked(packed), "en", "fr")]
    said = [[found[0] for found in way.translate(sentences, 1)] for way in ways]
    assert np.mean([one == other for one, other in zip(said[0], said[1], strict=True)]) > 0.95
    assert said[0] == said[2]
    assert sum(file.stat().st_size for file in packed.iterdir()) < 0.6 * sum(
        f.stat().st_size for f in model.iterdir()
    )


def test_what_stands_beside_a_sentence_does_not_change_it(model: Path) -> None:
    sentences = [pair.source for pair in pairs(60, seed=9)]
    engine = Marian(model, "en", "fr")
    together = engine.translate(sentences, 3)
    alone = [engine.translate([sentence], 3)[0] for sentence in sentences]
    assert together == alone


def test_a_killed_training_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    given = divide(pairs(200), "planted")
    options = {"seed": 3, "size": SMALL, "epochs": 16, "rate": 3e-3, "threads": 1}
    whole = fit(given, budget=Budget(checkpoint=tmp_path / "one"), **options)  # type: ignore[arg-type]

    class Killed(Exception): ...

    def kill(share: float, text: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        fit(given, budget=Budget(checkpoint=tmp_path / "two"), progress=kill, **options)  # type: ignore[arg-type]
    assert (tmp_path / "two" / "state.json").exists()
    resumed = fit(given, budget=Budget(checkpoint=tmp_path / "two"), **options)  # type: ignore[arg-type]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_held_out_sentences_are_not_learned_from() -> None:
    given = divide(pairs(), "planted")
    learned = {side for pair in given.train for side in pair}
    assert given.held_out
    assert not any(side in learned for pair in given.held_out for side in pair)


def test_an_epoch_is_the_same_again_and_the_next_is_another() -> None:
    changed = Changed(pairs(), 1)
    assert changed.epoch(0) == Changed(pairs(), 1).epoch(0)
    assert changed.epoch(0) != changed.epoch(1)
    assert any("<x1>" in pair.source and "<x1>" in pair.target for pair in changed.epoch(0))


def test_pairs_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("one\tun\nno tab here\n")
    with pytest.raises(InputError, match=r"a.tsv line 2: has no tab"):
        read_pairs(tmp_path / "a.tsv")
    with pytest.raises(InputError, match="cannot be read"):
        read_pairs(tmp_path / "none.tsv")


def test_a_folder_that_is_no_model_is_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config.json; expected a folder with a Marian model"):
        checked(tmp_path)
    shutil.copytree(model, tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="type 'bert'; expected marian"):
        checked(tmp_path / "other")
    with pytest.raises(ModelError, match="there is no folder"):
        found("/nowhere/at/all")


def test_pivots_that_are_not_there_are_told() -> None:
    with pytest.raises(ModelError, match="no embedded translator from 'en' to 'tlh'; there are: "):
        translators.pair("embedded", "en", "tlh")
    with pytest.raises(ModelError, match="is the language of the texts"):
        translators.pair("embedded", "en", "en")
    with pytest.raises(ModelError, match=r"must hold \{source\} and \{target\}"):
        translators.pair("models/en-fr", "en", "fr")


@pytest.mark.parametrize(
    "name, pivot, told",
    [
        ("embedded", "tlh", "there are: fr"),
        ("/nowhere/{source}-{target}", "fr", "there is no folder /nowhere/en-fr"),
        ("a/b/{source}-{target}", "fr", "there is no folder a/b/en-fr"),
        ("m/{source}-{target", "fr", "must hold"),
        ("m/{source}-{target}-{}", "fr", "must hold"),
        ("m", "fr", "must hold"),
    ],
)
def test_what_cannot_be_had_is_refused_before_a_fit(name: str, pivot: str, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        translators.refuse(name, "en", pivot)
    translators.refuse("embedded", "en", "fr")
