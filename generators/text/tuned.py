"""A small causal language model, fine-tuned to write texts of a class after its label."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import ModelError
from leaven.generators.precision import half_precision
from leaven.generators.seeds import derive, torch_threads
from leaven.generators.text.labels import written
from leaven.generators.text.local_writer import positions
from leaven.generators.text.quiet import loading, quiet
from leaven.generators.training import Plan, train

if TYPE_CHECKING:
    import torch

BATCH, WRITTEN_AT_ONCE = 8, 64
LONGEST = 256  # pieces of a text, with its end mark, that are learned from
HELD_OUT, LEAST_TEXTS = 0.1, 50  # share of the texts that tell when to stop; none of fewer texts
PATIENCE = 3


class Tuned:
    """A model with its tokenizer. After `label:` it writes a text, ended by the model's end mark."""

    def __init__(self, model: Any, tokenizer: Any, longest: int, device: str, threads: int):
        self._model, self._tokenizer = model.to(device).eval(), tokenizer
        self._longest, self._device, self._threads = longest, device, threads

    @classmethod
    def fit(
        cls,
        name: str,
        texts: Sequence[str],
        labels: Sequence[str],
        *,
        epochs: int,
        rate: float,
        seed: int,
        budget: Budget,
        device: str,
        threads: int,
        progress: Progress,
    ) -> tuple[Self, Fit]:
        """Fine-tune a model, all of its weights; it ends with those of the least loss on held-out texts.

        Args:
            name: folder or name of a causal model in safetensors.
            texts, labels: what to learn from, a label for each text.
            epochs, rate: passes over the texts, and the learning rate.

        Raises:
            ModelError: there is no such model, it has no mark for the end of a text, or a label alone fills it.
        """
        import torch

        model, tokenizer = _read(name)
        model.to(device)
        encoded = [
            _learned(tokenizer, label, text, positions(model))
            for text, label in zip(texts, labels, strict=True)
        ]
        order = np.random.default_rng(derive(seed, "held out")).permutation(len(encoded))
        count = int(HELD_OUT * len(encoded)) if len(encoded) >= LEAST_TEXTS else 0
        held_out, own = [encoded[row] for row in order[:count]], [encoded[row] for row in order[count:]]
        each = max(1, -(-len(own) // BATCH))
        half, end = half_precision("auto", device), tokenizer.eos_token_id

        def loss(rows: Sequence[tuple[list[int], list[int]]]) -> "torch.Tensor":
            with (
                torch.autocast(device.partition(":")[0], torch.bfloat16) if half else contextlib.nullcontext()
            ):
                found: torch.Tensor = model(**_batch(rows, end, device)).loss
            return found

        def learn(step: int) -> "torch.Tensor":
            turn, part = divmod(step, each)
            mixed = np.random.default_rng(derive(seed, "order", turn)).permutation(len(own))
            torch.manual_seed(derive(seed, "dropout", step) % 2**31)
            return loss([own[row] for row in mixed[part * BATCH : (part + 1) * BATCH]])

        def score() -> float:
            model.eval()
            with torch.no_grad():
                parts = [held_out[place : place + BATCH] for place in range(0, len(held_out), BATCH)]
                found = sum(float(loss(part)) * len(part) for part in parts) / len(held_out)
            model.train()
            return found

        plan = Plan(epochs * each, rate, every=each, patience=PATIENCE, average=0.9, warm_up=each)
        model.train()
        with torch_threads(threads):
            report = train(
                model, learn, score if held_out else None, plan,
                budget=budget, progress=progress, name="language_model", resumes=True,
            )  # fmt: skip
        own_pieces = [len(pieces) - (pieces[-1] == end) for _, pieces in encoded]
        cut = sum(pieces[-1] != end for _, pieces in encoded)
        if cut:
            report.notes.append(
                f"{cut:,} of {len(encoded):,} texts are too long: learned from without their ends"
            )
        longest = 8 + int(1.5 * max(own_pieces))
        return cls(model, tokenizer, longest, device, threads), report

    def write(
        self, labels: Sequence[str], seeds: Sequence[int], *, temperature: float, top_p: float
    ) -> list[str]:
        """A text for each label, drawn by its own seed, whatever stands beside it."""
        import torch
        from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

        made = [""] * len(labels)
        for label in dict.fromkeys(labels):  # one label's texts begin alike, so that none is padded
            places = [place for place, one in enumerate(labels) if one == label]
            start = torch.tensor([_start(self._tokenizer, label)], device=self._device)
            for first in range(0, len(places), WRITTEN_AT_ONCE):
                part = places[first : first + WRITTEN_AT_ONCE]
                given = start.expand(len(part), -1)
                with torch.no_grad(), torch_threads(self._threads), quiet():
                    said = self._model.generate(
                        given,
                        attention_mask=torch.ones_like(given),
                        do_sample=False,
                        num_beams=1,
                        max_new_tokens=min(self._longest, positions(self._model) - start.shape[1]),
                        pad_token_id=self._tokenizer.eos_token_id,
                        eos_token_id=self._tokenizer.eos_token_id,
                        logits_processor=LogitsProcessorList(
                            [
                                TemperatureLogitsWarper(temperature),
                                TopPLogitsWarper(top_p),
                                _OwnDice([seeds[place] for place in part]),
                            ]
                        ),
                    )
                texts = self._tokenizer.batch_decode(said[:, given.shape[1] :], skip_special_tokens=True)
                for place, text in zip(part, texts, strict=True):
                    made[place] = " ".join(text.split())
        return made

    def to(self, device: str) -> None:
        """Write on this device from now on."""
        self._model, self._device = self._model.to(device), device

    def save(self, folder: Path) -> None:
        """Write the model and its tokenizer: safetensors and JSON."""
        with quiet():
            self._model.save_pretrained(folder)
            self._tokenizer.save_pretrained(folder)
        (folder / "longest.txt").write_text(str(self._longest))

    @classmethod
    def load(cls, folder: Path, device: str, threads: int) -> Self:
        """What `save` wrote."""
        return cls(*_read(str(folder)), int((folder / "longest.txt").read_text()), device, threads)


class _OwnDice:
    """Adds Gumbel noise to the scores, row by row from a generator of its own, so that the highest one is a draw."""

    def __init__(self, seeds: Sequence[int]):
        self._dice = [np.random.default_rng(derive(seed, "pieces")) for seed in seeds]

    def __call__(self, _: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        import torch

        noise = np.stack([dice.gumbel(size=scores.shape[1]) for dice in self._dice])
        return scores.float() + torch.from_numpy(noise).to(scores.device, torch.float32)


def _read(name: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with loading("language_model", name):
        model: Any = AutoModelForCausalLM.from_pretrained(name, use_safetensors=True)
        tokenizer: Any = AutoTokenizer.from_pretrained(name)
    if tokenizer.eos_token_id is None:
        raise ModelError(f"language_model: the model '{name}' has no mark for the end of a text")
    return model, tokenizer


def _piece_numbers(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _start(tokenizer: Any, label: str) -> list[int]:
    """What a text begins with: the model's mark for that, if it has one, and what the label says."""
    first = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    return first + _piece_numbers(tokenizer, f"{written(label)}:")


def _learned(tokenizer: Any, label: str, text: str, most: int) -> tuple[list[int], list[int]]:
    """The pieces that a text of a label begins with, and its own with the end mark: none where the text is cut, as it
    does not end there."""
    start, pieces = _start(tokenizer, label), _piece_numbers(tokenizer, " " + text)
    room = min(LONGEST, most - len(start))
    if room < 1:
        raise ModelError(
            f"language_model: the label '{label[:40]}' alone has more than the model's {most:,} pieces"
        )
    return start, [*pieces, tokenizer.eos_token_id] if len(pieces) < room else pieces[:room]


def _batch(rows: Sequence[tuple[list[int], list[int]]], end: int, device: str) -> dict[str, Any]:
    """Pieces, padded at their ends, which nothing looks back at; only those of the texts are to be predicted."""
    import torch

    width = max(len(start) + len(pieces) for start, pieces in rows)
    ids = np.full((len(rows), width), end, dtype=np.int64)
    labels, there = np.full_like(ids, -100), np.zeros_like(ids)
    for row, (start, pieces) in enumerate(rows):
        whole = [*start, *pieces]
        ids[row, : len(whole)], there[row, : len(whole)] = whole, 1
        labels[row, len(start) : len(whole)] = whole[len(start) :]
    parts = {"input_ids": ids, "attention_mask": there, "labels": labels}
    return {name: torch.from_numpy(value).to(device) for name, value in parts.items()}
