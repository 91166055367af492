"""Folders of Marian models: packed ones are used as they lie, broken ones are told of with file and reason."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from leaven.generators.errors import InputError, LeavenError, ModelError
from leaven.generators.text.translation import translators
from leaven.generators.text.translation.packed import unpacked
from leaven.generators.text.translation.pairs import read_pairs
from leaven.generators.text.translation.torch_marian import TorchMarian
from leaven.pipelines import translator
from leaven.pipelines.models import placed
from leaven.pipelines.recipe_file import load_recipe

from .test_student import SMALL, pairs

PACKED = "model.int8.safetensors"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with the shipped models, packed."""
    return Path(shutil.copytree(translators.EMBEDDED, tmp_path / "models"))


def written(path: Path) -> Path:
    lines = (f"{pair.source}\t{pair.target}\n" for pair in pairs(200))
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("engine", ["ctranslate2", "transformers"])
def test_packed_models_are_used_by_their_folders(models: Path, engine: str) -> None:
    name = f"{models}/{{source}}-{{target}}"
    translators.refuse(name, "en", "fr")
    there, back = translators.pair(name, "en", "fr", engine=engine)
    said = there.translate(["I have lost my card."], 1)[0]
    assert said and "carte" in said[0]  # type: ignore[operator,index]
    assert back.translate(said or [], 1)[0]


def test_what_is_trained_can_be_named(tmp_path: Path) -> None:
    given = written(tmp_path / "pairs.tsv")
    for source, target in (("en", "fr"), ("fr", "en")):
        translator.train_translator(
            given, tmp_path / "own" / f"{source}-{target}", source=source, target=target, reverse=source == "fr",
            epochs=1, size=SMALL, threads=1,
        )  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [
        "en-fr",
        "fr-en",
    ]  # no state is left
    name = f"{tmp_path}/own/{{source}}-{{target}}"
    translators.refuse(name, "en", "fr")
    there, back = translators.pair(name, "en", "fr", threads=1)
    assert len(there.translate(["The cat sees 5 dogs."], 2)) == len(back.translate(["Le chat."], 2)) == 1


def test_another_training_takes_nothing_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, states = written(tmp_path / "pairs.tsv"), []

    def fit(found: object, **options: object) -> None:
        states.append(options["budget"].checkpoint)  # type: ignore[attr-defined]
        raise InputError("enough")

    monkeypatch.setattr(translator, "fit", fit)
    for changed in ({}, {}, {"seed": 2}, {"reverse": True}, {"epochs": 3}, {"size": SMALL}, {"target": "de"}):
        options = {"source": "en", "target": "fr", **changed}
        with pytest.raises(InputError, match="enough"):
            translator.train_translator(given, tmp_path / "model", **options)  # type: ignore[arg-type]
    assert states[0] == states[1]
    assert len(set(states)) == 6


def emptied(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(b"")


def holding(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def cut(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:5_000])


@pytest.mark.parametrize(
    "damage, told",
    [
        (emptied("source.spm"), "source.spm cannot be read"),
        (holding("target.spm", b"no model"), "target.spm cannot be read"),
        (emptied("vocab.json"), "vocab.json cannot be read"),
        (holding("vocab.json", b"[]"), "vocab.json holds a list; expected an object"),
        (holding("vocab.json", b'{"a": 1}'), "vocab.json has no number for </s>"),
        (holding("config.json", b"[]"), "config.json holds a list; expected an object"),
        (holding("config.json", b"\xff"), "config.json cannot be read"),
        (cut(PACKED), f"{PACKED} cannot be read"),
        (emptied(PACKED), f"{PACKED} cannot be read"),
        (holding("known_words.txt", b"a\xff"), "known_words.txt cannot be read"),
        (lambda folder: (folder / PACKED).unlink(), "has no weights; expected one of model.safetensors"),
    ],
)
def test_a_broken_folder_is_told(models: Path, damage: Callable[[Path], object], told: str) -> None:
    damage(models / "en-fr")
    name = f"{models}/{{source}}-{{target}}"
    with pytest.raises(ModelError, match=told.replace("[", r"\[")):
        translators.refuse(name, "en", "fr")
    with pytest.raises(ModelError, match=told.replace("[", r"\[")):
        translators.pair(name, "en", "fr")


def test_weights_of_something_else_are_told(models: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"other": np.zeros(3, np.float32)}, models / "en-fr" / PACKED)
    with pytest.raises(
        ModelError, match=r"has no weights model.encoder.layers.0.\*; expected a Marian model's"
    ):
        translators.refuse(f"{models}/{{source}}-{{target}}", "en", "fr")


@pytest.mark.parametrize("engine", ["ctranslate2", "transformers"])
@pytest.mark.parametrize("content", [b"", b"cposix\nsystem\n(S'touch pickled'\ntR.", b"garbage"])
def test_a_pickle_is_read_for_weights_alone(
    models: Path, engine: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (models / "en-fr" / PACKED).unlink()
    (models / "en-fr" / "pytorch_model.bin").write_bytes(content)
    there, _ = translators.pair(f"{models}/{{source}}-{{target}}", "en", "fr", engine=engine)
    with pytest.raises(ModelError):
        there.translate(["Hello."], 1)
    assert not (tmp_path / "pickled").exists()


def test_a_pickle_of_weights_is_used(models: Path) -> None:
    import torch
    from safetensors.torch import load_file

    plain = unpacked(models / "en-fr")
    folder = models / "bin"
    shutil.copytree(plain, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    said = [TorchMarian(one, "en", "fr").translate(["I am here."], 1) for one in (plain, folder)]
    assert said[0] == said[1]


def test_damaged_pairs_are_told(tmp_path: Path) -> None:
    raw = bytearray(gzip.compress(written(tmp_path / "pairs.tsv").read_bytes()))
    raw[40:80] = b"\xff" * 40
    (tmp_path / "pairs.tsv.gz").write_bytes(raw)
    for read in (read_pairs, translator._sets):
        with pytest.raises(InputError, match=r"pairs.tsv.gz: cannot be read: .*expected text, gzip or not"):
            read(tmp_path / "pairs.tsv.gz", False)


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    lines = [f"One\u2028two {number}\tUn\u0085deux {number}\r\n" for number in range(40)]
    (tmp_path / "a.tsv").write_text("".join(lines), encoding="utf-8", newline="")
    found = read_pairs(tmp_path / "a.tsv")
    assert len(found.train) + len(found.held_out) == 40
    assert all("\r" not in pair.target for pair in found.train)


def test_a_folder_counts_from_the_recipe(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "elsewhere"
    home.mkdir()
    monkeypatch.chdir(home)
    (tmp_path / "texts.csv").write_text("text,label\na,b\n")
    recipe = tmp_path / "recipe.yaml"
    named = {
        "models/{source}-{target}": f"{tmp_path}/models/{{source}}-{{target}}",
        "embedded": "embedded",
        "Helsinki-NLP/opus-mt-{source}-{target}": "Helsinki-NLP/opus-mt-{source}-{target}",
        "../nowhere/{source}-{target}": "../nowhere/{source}-{target}",
        "/models/{source}-{target}": "/models/{source}-{target}",
    }
    for name, meant in named.items():
        recipe.write_text(
            "name: a\nsource: {kind: text, path: texts.csv}\ntask: {target: label}\n"
            f'candidates: [{{generator: back_translation, translator: "{name}"}}]\n'
        )
        loaded = placed(*load_recipe(recipe))
        assert loaded.candidates[0].parameters["translator"] == meant  # type: ignore[union-attr]
        try:
            translators.refuse(loaded.candidates[0].parameters["translator"], "en", "fr")  # type: ignore[union-attr]
        except LeavenError:
            assert name.startswith(("..", "/"))
