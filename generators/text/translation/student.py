"""A small Marian model (Junczys-Dowmunt et al. 2018) that learns to translate from pairs of sentences.

A deep encoder and a shallow decoder (Kasai et al., "Deep Encoder, Shallow Decoder", ICLR 2021), since the decoder is
what translation spends its time in. It is kept as transformers keep Marian models, so that whatever reads these reads
it too.
"""

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leaven.generators.contract import Budget, Fit, Progress, silent
from leaven.generators.precision import half_precision
from leaven.generators.seeds import derive
from leaven.generators.text.quiet import quiet
from leaven.generators.text.translation.masks import PLACEHOLDERS
from leaven.generators.text.translation.pairs import Changed, Pair, Pairs, known_words
from leaven.generators.training import Plan, train

if TYPE_CHECKING:
    import torch

LONGEST = 128  # pieces of a sentence
SMOOTHING = 0.1  # of the labels
WORDS_FILE = "known_words.txt"


@dataclass(frozen=True)
class Size:
    """How large a student is."""

    width: int = 256
    inner: int = 1024
    encoder: int = 6
    decoder: int = 2
    heads: int = 4
    pieces: int = 8_000  # of the vocabulary that both languages share
    dropout: float = 0.0  # a few passes over changing pairs are not learned by heart
    batch: int = 4_096  # pieces of the target in a step


@dataclass(frozen=True)
class Student:
    """A trained model with the vocabulary it reads."""

    model: Any  # MarianMTModel
    pieces: bytes  # SentencePiece's model
    known: list[str]
    fit: Fit

    def save(self, folder: Path, source: str, target: str) -> None:
        """Write it as transformers keep Marian models, with the words it knows beside.

        Args:
            folder: existing and empty.
            source, target: languages, as two letters.
        """
        with quiet():
            self.model.save_pretrained(folder)
        for name in ("source.spm", "target.spm"):
            (folder / name).write_bytes(self.pieces)
        (folder / "vocab.json").write_text(json.dumps(vocabulary(self.pieces), ensure_ascii=False, indent=0))
        settings = {
            "tokenizer_class": "MarianTokenizer",
            "source_lang": source,
            "target_lang": target,
            "model_max_length": LONGEST,
            "separate_vocabs": False,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))
        (folder / WORDS_FILE).write_text("\n".join(self.known) + "\n", encoding="utf-8")


def _kept_pieces(state: Path | None, make: Callable[[], bytes]) -> bytes:
    """The vocabulary, learned once for all attempts of a training: another one would make its state meaningless."""
    if state is None:
        return make()
    kept = state.with_name(f"{state.name}.spm")
    if not kept.exists():
        making = kept.with_name(f"{kept.name}.{os.getpid()}")
        making.write_bytes(make())
        making.rename(kept)
    return kept.read_bytes()


def learn_pieces(pairs: Sequence[Pair], size: int, seed: int) -> bytes:
    """A vocabulary of SentencePiece for both languages, with a piece for each placeholder."""
    import io

    import sentencepiece as spm

    made = io.BytesIO()
    texts = [side for pair in pairs for side in pair]
    letters = len(set("".join(texts)))
    spm.set_random_generator_seed(seed)
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=made,
        vocab_size=max(size, letters + len(PLACEHOLDERS) + 8),
        hard_vocab_limit=False,
        character_coverage=0.9999,
        user_defined_symbols=list(PLACEHOLDERS),
        normalization_rule_name="identity",
        bos_id=-1,
        eos_id=0,
        unk_id=1,
        pad_id=-1,
        input_sentence_size=100_000,
        shuffle_input_sentence=True,
        num_threads=1,  # its outcome depends on their number
        minloglevel=2,
    )
    return made.getvalue()


def vocabulary(pieces: bytes) -> dict[str, int]:
    """Piece -> number, with `</s>` 0, `<unk>` 1 and `<pad>` last, as Marian has them."""
    import sentencepiece as spm

    reader = spm.SentencePieceProcessor(model_proto=pieces)
    found = {reader.id_to_piece(number): number for number in range(reader.vocab_size())}
    found["<pad>"] = len(found)
    return found


def build(size: Size, pieces: int) -> Any:
    """An untrained model for a vocabulary of so many pieces, `<pad>` among them."""
    from transformers import MarianConfig, MarianMTModel

    config = MarianConfig(
        vocab_size=pieces,
        decoder_vocab_size=pieces,
        d_model=size.width,
        encoder_layers=size.encoder,
        decoder_layers=size.decoder,
        encoder_ffn_dim=size.inner,
        decoder_ffn_dim=size.inner,
        encoder_attention_heads=size.heads,
        decoder_attention_heads=size.heads,
        dropout=size.dropout,
        attention_dropout=0.0,
        activation_function="swish",
        max_position_embeddings=512,
        scale_embedding=True,
        pad_token_id=pieces - 1,
        eos_token_id=0,
        decoder_start_token_id=pieces - 1,
        forced_eos_token_id=0,
        share_encoder_decoder_embeddings=True,
        tie_word_embeddings=True,
    )
    return MarianMTModel(config)


def fit(
    pairs: Pairs,
    *,
    seed: int,
    size: Size | None = None,
    epochs: int = 20,
    rate: float = 7e-4,
    budget: Budget | None = None,
    device: str = "cpu",
    threads: int = 2,
    progress: Progress = silent,
) -> Student:
    """Train a student.

    Args:
        pairs: what to learn from; the loss on the held-out ones chooses the best state.
        seed: of the vocabulary, the weights, and the order and changes of the pairs.
        size: how large the student is.
        epochs: passes over the pairs, unless the budget ends it before.
        rate: learning rate.
        budget: the clock, and where the state is kept that a killed training goes on from.
        device, threads: where, and with how many threads.
        progress: called with the share done.
    """
    import torch

    size, budget = size or Size(), budget or Budget()
    torch.set_num_threads(threads)
    pieces = _kept_pieces(budget.checkpoint, lambda: learn_pieces(pairs.train, size.pieces, seed))
    torch.manual_seed(derive(seed, "weights") % 2**31)
    model = build(size, len(vocabulary(pieces))).to(device)
    if device == "cpu":  # of short sentences the fused one takes several times as long backwards
        model.set_attn_implementation("eager")
    batches = _Batches(pairs, pieces, size, seed)
    plan = Plan(
        steps=epochs * batches.each_epoch,
        rate=rate,
        every=max(50, min(500, batches.each_epoch)),
        patience=8,
        average=0.999,
        warm_up=min(1_000, batches.each_epoch),
    )
    learn, score = _losses(model, batches, device, seed)
    model.train()
    done = train(model, learn, score, plan, budget=budget, progress=progress, name="translator", resumes=True)
    model.eval()
    return Student(model.cpu(), pieces, known_words(pairs.train), done)


def _losses(
    model: Any, batches: "_Batches", device: str, seed: int
) -> tuple[Callable[[int], "torch.Tensor"], Callable[[], float]]:
    """The loss of a step, and of the held-out pairs."""
    import torch
    from torch.nn.functional import cross_entropy

    half = half_precision("auto", device)

    def loss(batch: dict[str, np.ndarray], smoothing: float) -> torch.Tensor:
        parts = {name: torch.from_numpy(value).to(device) for name, value in batch.items()}
        labels = parts.pop("labels")
        kind = device.partition(":")[0]
        with torch.autocast(kind, torch.bfloat16) if half else contextlib.nullcontext():
            logits = model(**parts, use_cache=False).logits
        return cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100, label_smoothing=smoothing
        )

    def learn(step: int) -> torch.Tensor:
        torch.manual_seed(derive(seed, "dropout", step) % 2**31)
        return loss(batches.at(step), SMOOTHING)

    def score() -> float:
        model.eval()
        with torch.no_grad():
            sums = [
                (float(loss(batch, 0.0)), int((batch["labels"] >= 0).sum())) for batch in batches.held_out
            ]
        model.train()
        return sum(value * count for value, count in sums) / sum(count for _, count in sums)

    return learn, score


class _Batches:
    """Pairs as numbers of pieces, those of like length together; a step's batch depends on its number alone."""

    def __init__(self, pairs: Pairs, pieces: bytes, size: Size, seed: int):
        import sentencepiece as spm

        self._reader = spm.SentencePieceProcessor(model_proto=pieces)
        self._pad = self._reader.vocab_size()
        self._size, self._seed = size, seed
        self._changed = Changed(pairs.train, seed)
        self._epoch, self._order = -1, np.empty(0, int)
        first = self._grouped(self._encoded(self._changed.epoch(0)))
        self.each_epoch = max(1, int(len(first) * 0.97))  # later epochs have a few batches more or less
        self.held_out = [self._padded(group) for group in self._grouped(self._encoded(pairs.held_out))]

    def at(self, step: int) -> dict[str, np.ndarray]:
        """The batch of a step."""
        epoch, place = divmod(step, self.each_epoch)
        if epoch != self._epoch:
            self._groups = self._grouped(self._encoded(self._changed.epoch(epoch)))
            self._order = np.random.default_rng(derive(self._seed, "order", epoch)).permutation(
                len(self._groups)
            )
            self._epoch = epoch
        return self._padded(self._groups[self._order[place % len(self._groups)]])

    def _encoded(self, pairs: Sequence[Pair]) -> list[tuple[list[int], list[int]]]:
        left = self._reader.encode([pair.source for pair in pairs], add_eos=True)
        right = self._reader.encode([pair.target for pair in pairs], add_eos=True)
        both = zip(left, right, strict=True)
        return [(one, other) for one, other in both if max(len(one), len(other)) <= LONGEST]

    def _grouped(self, encoded: list[tuple[list[int], list[int]]]) -> list[list[tuple[list[int], list[int]]]]:
        """Pairs by length, in groups of about as many pieces."""
        ranked = sorted(encoded, key=lambda pair: (len(pair[1]), len(pair[0])))
        groups: list[list[tuple[list[int], list[int]]]] = [[]]
        longest = 0
        for pair in ranked:
            longest = max(longest, len(pair[0]), len(pair[1]))
            if groups[-1] and longest * (len(groups[-1]) + 1) > self._size.batch:
                groups.append([])
                longest = max(len(pair[0]), len(pair[1]))
            groups[-1].append(pair)
        return groups

    def _padded(self, group: list[tuple[list[int], list[int]]]) -> dict[str, np.ndarray]:
        """Arrays int64 (pairs, longest) as the model takes them; labels are -100 beyond the end."""
        width = [max(len(pair[side]) for pair in group) for side in (0, 1)]
        source = np.full((len(group), width[0]), self._pad)
        labels = np.full((len(group), width[1]), -100)
        start = np.full((len(group), width[1]), self._pad)
        for row, (one, other) in enumerate(group):
            source[row, : len(one)] = one
            labels[row, : len(other)] = other
            start[row, 1 : len(other)] = other[:-1]
        return {
            "input_ids": source,
            "attention_mask": (source != self._pad).astype(np.int64),
            "decoder_input_ids": start,
            "labels": labels,
        }
