"""Paraphrases by a model of transformers, in a folder or by name: seq2seq, or causal and following instructions."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leaven.generators.errors import ModelError
from leaven.generators.text.endpoint import texts_in
from leaven.generators.text.prompts import prompt
from leaven.generators.text.quiet import loading

LONGEST = 128  # pieces of a paraphrase


class LocalWriter:
    """Samples paraphrases, text by text under a seed of its own, so that what stands beside it changes nothing."""

    batch = 16

    def __init__(self, name: str, count: int, prefix: str, version: int, device: str, threads: int):
        self._name, self._count, self._prefix, self._version = name, count, prefix, version
        self._device, self._threads = device, threads
        self.stopped = False
        self.failed: ModelError | None = None

    @functools.cached_property
    def digest(self) -> dict[str, Any]:
        """What answers depend on: the configuration and the weights' sizes and times, of a folder."""
        folder = Path(self._name).expanduser()
        files = sorted(folder.glob("*")) if folder.is_dir() else []
        told = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
        return {"model": self._name, "files": told, "prefix": self._prefix, "device": self._device}

    @functools.cached_property
    def _loaded(self) -> tuple[Any, Any, bool]:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

        with loading("paraphrase", self._name):
            both = bool(getattr(AutoConfig.from_pretrained(self._name), "is_encoder_decoder", False))
            kind = AutoModelForSeq2SeqLM if both else AutoModelForCausalLM
            model: Any = kind.from_pretrained(self._name, use_safetensors=True)
            return AutoTokenizer.from_pretrained(self._name), model.to(self._device).eval(), both

    def write(self, items: Sequence[tuple[str, str]], seeds: Sequence[int]) -> list[list[str] | None]:
        """Paraphrases of each (label, text)."""
        return [self._one(label, text, seed) for (label, text), seed in zip(items, seeds, strict=True)]

    def _one(self, label: str, text: str, seed: int) -> list[str]:
        import torch

        from leaven.generators.seeds import seeded

        tokenizer, model, both = self._loaded
        if both:
            asked, count = self._prefix + text, self._count
        else:
            asked = prompt("paraphrase", self._version, count=str(self._count), label=label, text=text)
            if tokenizer.chat_template:
                chat = [{"role": "user", "content": asked}]
                asked = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
            count = 1
        given = tokenizer(asked, return_tensors="pt", truncation=False).to(self._device)
        given.pop("token_type_ids", None)
        with seeded(seed, self._threads), torch.no_grad():
            said = model.generate(
                **given,
                do_sample=True,
                top_p=0.95,
                num_return_sequences=count,
                max_new_tokens=LONGEST * (1 if both else self._count),
                pad_token_id=tokenizer.pad_token_id
                if tokenizer.pad_token_id is not None
                else tokenizer.eos_token_id,
            )
        start = 0 if both else given["input_ids"].shape[1]
        texts = tokenizer.batch_decode(said[:, start:], skip_special_tokens=True)
        return list(dict.fromkeys(t.strip() for t in texts if t.strip())) if both else texts_in(texts[0])

    def told(self) -> str:
        """What it took: nothing to tell."""
        return ""
