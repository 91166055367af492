"""Marian models run by plain transformers: the fallback, where CTranslate2 cannot have a model, and the yardstick."""

import functools
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from leaven.generators.errors import ModelError
from leaven.generators.text.translation.contract import Translator
from leaven.generators.text.translation.marian import LONGEST, Vocabulary, checked, folder_digest, known_words

BATCH = 32  # sentences at a time


class TorchMarian(Translator):
    """A Marian model run by transformers, in float32. Sentences of like length share a batch."""

    batch = 128

    def __init__(
        self,
        folder: Path,
        source: str,
        target: str,
        *,
        device: str = "cpu",
        threads: int = 2,
        at_once: int = BATCH,
    ):
        self.source, self.target = source, target
        self.folder, self.device, self.threads, self.at_once = checked(folder), device, threads, at_once
        self.digest = f"{folder_digest(folder)}-transformers-{version('transformers')}-{version('torch')}"
        self.known = known_words(folder)
        self.learned_marks = "<x1>" in self._vocabulary.numbers

    @functools.cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self.folder)

    @functools.cached_property
    def _model(self) -> Any:
        from transformers import MarianMTModel

        from leaven.generators.text.quiet import quiet

        try:
            with quiet():
                # A pickle is read by the loader that takes weights alone, and only where nothing else is there.
                model: Any = MarianMTModel.from_pretrained(
                    self.folder,
                    use_safetensors=(self.folder / "model.safetensors").is_file(),
                    weights_only=True,
                )
                return model.to(self.device).eval()
        except (
            Exception
        ) as error:  # of transformers, torch, safetensors, pickle: whatever a broken file leads to
            told = " ".join(str(error).split())[:200]
            raise ModelError(f"{self.folder}: cannot be read by transformers: {told}") from None

    def translate(self, sentences: Sequence[str], count: int) -> list[list[str]]:
        numbers = self._vocabulary.numbers
        unknown = numbers["<unk>"]
        given = [[numbers.get(piece, unknown) for piece in self._vocabulary.pieces(one)] for one in sentences]
        order = sorted(range(len(given)), key=lambda place: len(given[place]))
        made: list[list[str]] = [[] for _ in sentences]
        for start in range(0, len(order), self.at_once):
            places = order[start : start + self.at_once]
            for place, found in zip(places, self._generated([given[p] for p in places], count), strict=True):
                made[place] = found
        return made

    def _generated(self, given: Sequence[Sequence[int]], count: int) -> list[list[str]]:
        import torch

        from leaven.generators.seeds import torch_threads

        pad, width = self._vocabulary.numbers["<pad>"], max(map(len, given))
        inputs = torch.tensor([[*row, *[pad] * (width - len(row))] for row in given], device=self.device)
        with torch.no_grad(), torch_threads(self.threads):
            said = self._model.generate(
                input_ids=inputs,
                attention_mask=(inputs != pad).long(),
                num_beams=max(2, count),
                num_return_sequences=count,
                max_new_tokens=LONGEST,
                do_sample=False,
            )
        texts = [self._vocabulary.text_of(row) for row in said.tolist()]
        return [texts[start : start + count] for start in range(0, len(texts), count)]
