"""Marian models: a folder as transformers keep them, or a name such as `Helsinki-NLP/opus-mt-en-fr`.

They run through CTranslate2, converted once and kept: int8 on a processor, float16 on a GPU. Plain transformers are
the fallback, several times slower.
"""

import functools
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from leaven.generators.caches import cache_folder, made_once
from leaven.generators.errors import ModelError
from leaven.generators.text.quiet import quiet
from leaven.generators.text.translation.contract import Translator
from leaven.generators.text.translation.student import WORDS_FILE

LONGEST = 256  # pieces of a translation
# Pieces of a batch. On a processor larger ones leave its cache: with 4,096 it took 1.7 times as long.
PIECES = {"cpu": 512, "cuda": 8_192}
BATCH = {"cpu": 512, "cuda": 8_192}  # sentences: some seconds of work, which is what a kill costs
PACKED = "model.int8.safetensors"
WHOLE = ("model.safetensors", "pytorch_model.bin")  # the first that is there is read
NEEDED = ("config.json", "source.spm", "target.spm", "vocab.json")
_OUTSIDE = ("</s>", "<pad>")
_MARKS = ("</s>", "<unk>", "<pad>")
_DIGESTED = (*NEEDED, "model.safetensors", PACKED, "pytorch_model.bin", WORDS_FILE)


class Vocabulary:
    """The pieces of a Marian model: text to pieces and back."""

    def __init__(self, folder: Path, prefix: str | None = None):
        """Read it.

        Raises:
            ModelError: a file cannot be read, or holds something else.
        """
        self._source, self._target = (
            _sentence_pieces(folder / f"{side}.spm") for side in ("source", "target")
        )
        self.numbers: dict[str, int] = _json(folder / "vocab.json")
        missing = [mark for mark in _MARKS if not isinstance(self.numbers.get(mark), int)]
        if missing or not all(isinstance(number, int) for number in self.numbers.values()):
            raise ModelError(
                f"translator: {folder / 'vocab.json'} has no number for {missing[0] if missing else 'some pieces'}; "
                f"expected one for each piece and for {', '.join(_MARKS)}"
            )
        self._prefix = [prefix] if prefix else []

    def pieces(self, text: str) -> list[str]:
        """The pieces of a sentence, its end last."""
        return [*self._prefix, *self._source.encode(text, out_type=str), "</s>"]

    def text(self, pieces: Sequence[str]) -> str:
        """The sentence that pieces make."""
        return str(self._target.decode([piece for piece in pieces if piece not in _OUTSIDE])).strip()

    def text_of(self, numbers: Sequence[int]) -> str:
        """The sentence that numbers of pieces make."""
        return self.text([self._pieces[number] for number in numbers])

    @functools.cached_property
    def _pieces(self) -> dict[int, str]:
        return {number: piece for piece, number in self.numbers.items()}


class Marian(Translator):
    """A Marian model run by CTranslate2.

    Beam search without chance: on one processor a sentence has the same translations whatever stands beside it.
    """

    def __init__(self, folder: Path, source: str, target: str, *, device: str = "cpu", threads: int = 2):
        self.source, self.target = source, target
        self.folder, self.device, self.threads = checked(folder), device, threads
        self._kind = "cuda" if device.startswith("cuda") else "cpu"
        self.compute = {"cpu": "int8", "cuda": "float16"}[self._kind]
        self.batch = BATCH[self._kind]
        self._model_digest = folder_digest(self.folder)
        self.digest = f"{self._model_digest}-{self.compute}-{version('ctranslate2')}"
        self.known = known_words(self.folder)
        self.learned_marks = "<x1>" in self._vocabulary.numbers

    @functools.cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self.folder)

    @functools.cached_property
    def _engine(self) -> Any:
        import ctranslate2

        folder = converted(self.folder, self._model_digest, self.compute)
        # Several sentences beside each other, each on one thread, are quicker than one on several.
        workers = {"inter_threads": self.threads, "intra_threads": 1} if self._kind == "cpu" else {}
        return ctranslate2.Translator(str(folder), device=self._kind, compute_type=self.compute, **workers)

    def translate(self, sentences: Sequence[str], count: int) -> list[list[str]]:
        pieces = [self._vocabulary.pieces(sentence) for sentence in sentences]
        alike: dict[int, list[int]] = {}
        for place, own in enumerate(pieces):
            alike.setdefault(len(own), []).append(place)
        made: list[list[str]] = [[] for _ in sentences]
        try:
            asked = [
                (places, self._asked([pieces[place] for place in places], count)) for places in alike.values()
            ]
            for places, answers in asked:
                for place, answer in zip(places, answers, strict=True):
                    made[place] = [self._vocabulary.text(said) for said in answer.result().hypotheses]
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{self.folder.name}: CTranslate2 fails: {_line(error)}") from None
        return made

    def _asked(self, pieces: Sequence[Sequence[str]], count: int) -> list[Any]:
        """The answers, to be waited for, to sentences of one length: filled up to a longer one's, a sentence's sums
        come out a little otherwise, and one in a hundred gets other words."""
        return self._engine.translate_batch(  # type: ignore[no-any-return]
            pieces,
            max_batch_size=PIECES[self._kind],
            batch_type="tokens",
            beam_size=max(2, count),
            num_hypotheses=count,
            max_input_length=0,
            max_decoding_length=LONGEST,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            asynchronous=True,
        )


def converted(folder: Path, digest: str, compute: str) -> Path:
    """The model as CTranslate2 has it: made once, and kept in the user's cache folder."""
    kept = cache_folder() / "ctranslate2" / f"{digest}-{compute}"
    if (kept / "model.bin").exists():
        return kept
    from ctranslate2.converters import TransformersConverter

    try:
        with made_once(kept) as making, quiet():
            TransformersConverter(str(folder)).convert(str(making), quantization=compute, force=True)
    except Exception as error:  # of transformers, torch, safetensors, pickle: whatever a broken file leads to
        raise ModelError(f"{folder}: cannot be converted for CTranslate2: {_line(error)}") from None
    return kept


def found(name: str) -> Path:
    """The folder of a model: as it stands, or fetched from the model hub by name.

    Raises:
        ModelError: no such folder, and it cannot be fetched.
    """
    folder = local(name)
    if folder is not None:
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[*_DIGESTED, "*.json"]))
    except Exception as error:  # of the hub, of HTTP, of the disk
        raise ModelError(
            f"translator: the model '{name}' is neither a folder nor to be had from the model hub ({_line(error)})"
        ) from None


def local(name: str) -> Path | None:
    """The folder that a model's name means; None where it is the name of one on the model hub.

    Raises:
        ModelError: it is neither.
    """
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            return folder
        lost = folder.exists()
    except (OSError, RuntimeError, ValueError):  # such as a name that is too long
        lost = True
    if lost or name.startswith(("/", ".", "~")) or name.count("/") != 1:
        raise ModelError(f"translator: there is no folder {name}; expected a folder with a Marian model, or a name "
                         "such as Helsinki-NLP/opus-mt-en-fr")  # fmt: skip
    return None


def known_words(folder: Path) -> frozenset[str] | None:
    """The words that a model has learned, where that is written beside it."""
    words = folder / WORDS_FILE
    try:
        return frozenset(words.read_text(encoding="utf-8").split()) if words.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"translator: {words} cannot be read: {_line(error)}; expected words in UTF-8"
        ) from None


def folder_digest(folder: Path) -> str:
    """Digest of a model's files."""
    import hashlib

    content = hashlib.sha256()
    for name in _DIGESTED:
        if (folder / name).exists():
            with (folder / name).open("rb") as file:
                content.update(name.encode() + hashlib.file_digest(file, "sha256").digest())
    return content.hexdigest()[:24]


def checked(folder: Path) -> Path:
    """The folder, if a Marian model is in it.

    Raises:
        ModelError: a file is missing or cannot be read, or the model is another one.
    """
    for name in NEEDED:
        if not (folder / name).is_file():
            raise ModelError(f"translator: {folder} has no {name}; expected a folder with a Marian model")
    kind = _json(folder / "config.json").get("model_type")
    if kind != "marian":
        raise ModelError(f"translator: {folder} holds a model of the type '{kind}'; expected marian")
    _weights(folder)
    Vocabulary(folder)
    known_words(folder)
    return folder


def _weights(folder: Path) -> None:
    """See that there are weights, and that safetensors are whole and a translator's: what is missing of them would be
    random."""
    from safetensors import SafetensorError, safe_open

    there = [folder / name for name in (*WHOLE, PACKED) if (folder / name).is_file()]
    if not there:
        known = ", ".join((*WHOLE, PACKED))
        raise ModelError(f"translator: {folder} has no weights; expected one of {known}")
    if there[0].suffix != ".safetensors":
        return
    try:
        with safe_open(there[0], framework="numpy") as file:
            names = tuple(file.keys())
    except (OSError, SafetensorError) as error:
        told = f"{_line(error)}; expected safetensors"
        raise ModelError(f"translator: {there[0]} cannot be read: {told}") from None
    for part in ("model.encoder.layers.0.", "model.decoder.layers.0."):
        if not any(name.startswith(part) for name in names):
            raise ModelError(f"translator: {there[0]} has no weights {part}*; expected a Marian model's")


def _sentence_pieces(file: Path) -> Any:
    """A model of SentencePiece."""
    import sentencepiece as spm

    try:
        return spm.SentencePieceProcessor(model_file=str(file))
    except (OSError, RuntimeError, ValueError) as error:
        told = f"{_line(error)}; expected a model of SentencePiece"
        raise ModelError(f"translator: {file} cannot be read: {told}") from None


def _json(file: Path) -> dict[str, Any]:
    """A file's object of JSON."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"translator: {file} cannot be read: {_line(error)}; expected JSON") from None
    if not isinstance(found, dict):
        raise ModelError(f"translator: {file} holds a {type(found).__name__}; expected an object of JSON")
    return found


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
