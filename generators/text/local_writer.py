"""Paraphrases by a model of transformers, in a folder or by name: seq2seq, or causal and following instructions."""

import functools
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.generators.errors import ModelError
from leaven.generators.text.endpoint import texts_in
from leaven.generators.text.prompts import prompt
from leaven.generators.text.quiet import loading

if TYPE_CHECKING:
    import torch

LENGTH, MORE = 2, 16  # times the pieces of what is said otherwise, and as many more: the longest answer
ENDLESS = 2**31  # pieces


class LocalWriter:
    """Samples paraphrases, text by text under a seed of its own, so that what stands beside it changes nothing."""

    batch = 16

    def __init__(self, name: str, count: int, prefix: str, version: int, device: str, threads: int):
        self._name, self._count, self._prefix, self._version = name, count, prefix, version
        self._device, self._threads = device, threads
        self.stopped = False
        self.failed: ModelError | None = None
        self._too_long = self._endless = 0

    @functools.cached_property
    def digest(self) -> dict[str, Any]:
        """What answers depend on: the configuration and the weights' sizes and times, of a folder."""
        folder = Path(self._name).expanduser()
        files = sorted(folder.glob("*")) if folder.is_dir() else []
        told = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
        said = {"model": self._name, "files": told, "prefix": self._prefix, "device": self._device}
        return {**said, "length": [LENGTH, MORE], "engine": [version("transformers"), version("torch")]}

    @functools.cached_property
    def _loaded(self) -> tuple[Any, Any, bool]:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

        with loading("paraphrase", self._name):
            both = bool(getattr(AutoConfig.from_pretrained(self._name), "is_encoder_decoder", False))
            kind = AutoModelForSeq2SeqLM if both else AutoModelForCausalLM
            model: Any = kind.from_pretrained(self._name, use_safetensors=True)
            return AutoTokenizer.from_pretrained(self._name), model.to(self._device).eval(), both

    def write(self, items: Sequence[tuple[str, str]], seeds: Sequence[int]) -> list[list[str] | None]:
        """Paraphrases of each (label, text); None where the text is too long, or no paraphrase came to its end."""
        return [self._one(label, text, seed) for (label, text), seed in zip(items, seeds, strict=True)]

    def _one(self, label: str, text: str, seed: int) -> list[str] | None:
        tokenizer, model, both = self._loaded
        asked = self._prefix + text if both else self._asked(label, text)
        # A chat's template has written the model's marks already.
        marks = both or not tokenizer.chat_template
        given = tokenizer(asked, return_tensors="pt", truncation=False, add_special_tokens=marks).to(
            self._device
        )
        given.pop("token_type_ids", None)
        width, most = given["input_ids"].shape[1], positions(model)
        if both:
            wanted, room = LENGTH * width + MORE, most - 1  # it begins with a mark of its own
        else:
            pieces = len(tokenizer(text, add_special_tokens=False)["input_ids"])
            wanted, room = self._count * (LENGTH * pieces + MORE), most - width
        if width > most or room < 1:
            self._too_long += 1
            return None
        said = self._said(given, min(wanted, room), seed)
        return self._ended(said[:, 1:]) if both else texts_in(self._text(said[0, width:]))

    def _asked(self, label: str, text: str) -> str:
        """What a model that follows instructions is asked."""
        tokenizer = self._loaded[0]
        asked = prompt("paraphrase", self._version, count=str(self._count), label=label, text=text)
        if not tokenizer.chat_template:
            return asked
        chat = [{"role": "user", "content": asked}]
        return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

    def _said(self, given: Any, most: int, seed: int) -> "torch.Tensor":
        """The pieces that a model answers with, int64 (answers, pieces): one in several ways, or one of several."""
        import torch

        from leaven.generators.seeds import seeded

        tokenizer, model, both = self._loaded
        padding = tokenizer.pad_token_id
        with seeded(seed, self._threads), torch.no_grad():
            said: torch.Tensor = model.generate(
                **given,
                do_sample=True,
                top_p=0.95,
                num_return_sequences=self._count if both else 1,
                max_new_tokens=most,
                pad_token_id=padding if padding is not None else tokenizer.eos_token_id,
            )
        return said

    def _ended(self, said: "torch.Tensor") -> list[str] | None:
        """The texts that came to their end, each once; None where none did."""
        tokenizer, model, _ = self._loaded
        ends = _ends(model, tokenizer)
        whole = [row for row in said if not ends or ends & set(row.tolist())]
        if not whole:
            self._endless += 1
            return None
        texts = [self._text(row).strip() for row in whole]
        return list(dict.fromkeys(text for text in texts if text))

    def _text(self, pieces: "torch.Tensor") -> str:
        return str(self._loaded[0].decode(pieces, skip_special_tokens=True))

    def told(self) -> str:
        """What it could not do; empty where it could do all."""
        parts = []
        if self._too_long:
            parts.append(f"{self._too_long:,} texts are longer than the model can read")
        if self._endless:
            parts.append(f"the model came to no end with {self._endless:,} texts")
        return "; ".join(parts)


def positions(model: Any) -> int:
    """The most pieces that a model can have before it, as it says itself; a great number where it says nothing."""
    settings = model.config.get_text_config()
    found = (getattr(settings, name, None) for name in ("max_position_embeddings", "n_positions"))
    return next((number for number in found if isinstance(number, int) and number > 0), ENDLESS)


def _ends(model: Any, tokenizer: Any) -> set[int]:
    """The marks that end a text."""
    end = getattr(model.generation_config, "eos_token_id", None)
    end = tokenizer.eos_token_id if end is None else end
    return set(end) if isinstance(end, list) else {end} - {None}
