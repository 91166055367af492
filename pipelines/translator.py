"""A translator of one's own: pairs of sentences -> a small model in a folder, with its scores and a card.

The folder is what a recipe names as `translator`, packed (see `packed.py`), and complete without a download.
"""

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from leaven.generators.contract import Budget, Progress, silent
from leaven.generators.errors import InputError
from leaven.generators.text.calls import key
from leaven.generators.text.plain import plain
from leaven.generators.text.translation.marian import Marian
from leaven.generators.text.translation.packed import pack, unpacked
from leaven.generators.text.translation.pairs import Pair, read_lines, read_pairs
from leaven.generators.text.translation.student import Size, fit

CARD, FACTS = "README.md", "card.json"
_ASKED = 1_000  # pairs of a set that scores are read from


def train_translator(
    pairs: Path,
    out: Path,
    *,
    source: str,
    target: str,
    reverse: bool = False,
    seconds: float = 3600.0,
    epochs: int = 20,
    size: Size | None = None,
    seed: int = 1,
    device: str = "cpu",
    threads: int = 2,
    evaluate: Path | None = None,
    credit: str = "",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train a student and write it; a killed training goes on when it is asked for again.

    Args:
        pairs: text, gzip or not: a sentence, a tab, its translation in each line.
        out: the folder to be made. Beside it the state of a training that is going on is kept.
        source, target: languages of the model, as two letters.
        reverse: the pairs' second sentence is the source.
        seconds: that the training may take; it ends at its best state.
        epochs: passes over the pairs, if the time lasts.
        size: of the model.
        seed: of all that is random.
        device, threads: where.
        evaluate: text, gzip or not: name of a set, sentence, translation in each line; scores are told set by set.
        credit: who made the pairs and under which licence, for the card.
        progress: called with the share done.

    Returns:
        What stands in `card.json`: languages, data digest, steps, seconds, scores.

    Raises:
        InputError: the pairs cannot be read, or the folder is there already.
    """
    if out.exists():
        raise InputError(f"{out}: exists; expected the name of a new folder")
    found = read_pairs(pairs, reverse)
    sets = _sets(evaluate, reverse) if evaluate else {}
    size = size or Size()
    # Named by all that its weights and vocabulary hang on: another training begins anew.
    asked = key(found.digest, reverse, vars(size), seed, source, target, epochs).hex()[:12]
    state = out.with_name(f".{out.name}.{asked}.state")
    state.parent.mkdir(parents=True, exist_ok=True)
    budget = Budget(seconds, checkpoint=state)
    student = fit(
        found, seed=seed, size=size, epochs=epochs, budget=budget, device=device, threads=threads,
        progress=lambda share, text: progress(0.9 * share, text),
    )  # fmt: skip
    making = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        whole = making / "whole"
        whole.mkdir(parents=True)
        student.save(whole, source, target)
        packed = making / "packed"
        packed.mkdir()
        pack(whole, packed)
        progress(0.95, "measuring")
        scores = measure(packed, source, target, {"held_out": found.held_out, **sets}, threads=threads)
        facts = {
            "source": source,
            "target": target,
            "pairs": {"train": len(found.train), "held_out": len(found.held_out), "sha256": found.digest},
            "credit": credit,
            "size": vars(size),
            "seed": seed,
            "steps": student.fit.steps,
            "stopped_by": student.fit.stopped_by,
            "seconds": round(budget.elapsed),
            "device": device,
            "threads": threads,
            "losses": student.fit.losses,
            "scores": scores,
            "versions": {
                name: installed(name) for name in ("torch", "transformers", "ctranslate2", "sentencepiece")
            },
            "made": time.strftime("%Y-%m-%d"),
        }
        (packed / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
        (packed / CARD).write_text(card(facts), encoding="utf-8")
        packed.rename(out)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    for kept in (state, state.with_name(f"{state.name}.spm")):
        shutil.rmtree(kept, ignore_errors=True) if kept.is_dir() else kept.unlink(missing_ok=True)
    return facts


def measure(
    packed: Path, source: str, target: str, sets: Mapping[str, Sequence[Pair]], threads: int = 2
) -> dict[str, dict[str, float]]:
    """BLEU and chrF (sacreBLEU) of a packed model's likeliest translations, set by set.

    At most 1,000 pairs of a set, evenly spread. Names and numbers are masked as in use.
    """
    import sacrebleu

    from leaven.generators.text.translation.masks import mask, unmask

    translator = Marian(unpacked(packed), source, target, threads=threads)
    found = {}
    for name, pairs in sets.items():
        asked = list(pairs)[:: max(1, len(pairs) // _ASKED)][:_ASKED]
        masked = [mask(pair.source, translator.known) for pair in asked]
        said = translator.translate([one.text for one in masked], 1)
        texts = [
            unmask(answers[0], one.kept) or answers[0] if answers else ""
            for one, answers in zip(masked, said, strict=True)
        ]
        references = [[pair.target for pair in asked]]
        found[name] = {
            "sentences": len(asked),
            "bleu": round(sacrebleu.corpus_bleu(texts, references).score, 2),
            "chrf": round(sacrebleu.corpus_chrf(texts, references).score, 2),
        }
    return found


def _sets(path: Path, reverse: bool) -> dict[str, list[Pair]]:
    """Sets of pairs by name."""
    _, lines = read_lines(path)
    found: dict[str, list[Pair]] = {}
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        if len(fields) < 3:
            told = f"has {len(fields)} fields; expected a set's name and two sentences"
            raise InputError(f"{path.name} line {number}: {told}")
        one, other = plain(fields[1]), plain(fields[2])
        found.setdefault(fields[0], []).append(Pair(other, one) if reverse else Pair(one, other))
    return found


def card(facts: Mapping[str, Any]) -> str:
    """The model's card."""
    size, pairs = facts["size"], facts["pairs"]
    rows = [
        f"| {name} | {of['sentences']:,} | {of['bleu']} | {of['chrf']} |"
        for name, of in facts["scores"].items()
    ]
    return "\n".join(
        [
            f"# A small translator, {facts['source']} to {facts['target']}",
            "",
            "A Marian model (deep encoder, shallow decoder) made by `leaven train-translator` for back-translation of "
            "short texts. It is far from what large models do: use it where none can be had.",
            "",
            f"- {pairs['train']:,} pairs to learn from, sha256 of the file {pairs['sha256']}.",
            *([f"- The pairs: {facts['credit']}."] if facts["credit"] else []),
            f"- Width {size['width']}, {size['encoder']} layers of the encoder, {size['decoder']} of the decoder, "
            f"{size['pieces']:,} pieces; {facts['steps']:,} steps in {facts['seconds'] / 60:.0f} minutes on "
            f"{facts['device']} with {facts['threads']} thread(s), seed {facts['seed']}; matrices in 8 bits.",
            "- Placeholders `<x1>` to `<x6>` are copied.",
            "",
            "BLEU and chrF (sacreBLEU) by CTranslate2 in 8 bits, beam 2; `held_out` are pairs of the same source that "
            "were not learned from.",
            "",
            "| set | sentences | BLEU | chrF |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )
