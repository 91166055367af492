"""Translators beside each other: BLEU and chrF into the pivot, and how near round trips come back.

    python benchmarks/text_translators.py --data FOLDER [--translators embedded:fr apertium:es] [--sentences 500]
                                          [--sets wmt13 flores-test] [--threads 2]

FOLDER holds parallel/wmt_flores_eval.en-XX.tsv.gz (for evaluation alone) and text/banking77.train.jsonl.gz. `cosine` is
that of MiniLM between an English sentence and what came back of it; `same` the share that came back word for word;
`none` the share of which nothing came back. texts/s is of the round trip, one alternative each way.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sacrebleu

from leaven.generators.text.calls import Calls
from leaven.generators.text.encoder import encode
from leaven.generators.text.plain import plain
from leaven.generators.text.translation import translators
from leaven.generators.text.translation.contract import Translator
from leaven.generators.text.translation.texts import translate
from leaven.pipelines.quality.texts.same import same


def first(translator: Translator, sentences: Sequence[str]) -> list[str]:
    """The best translation of each sentence as the generator gets it, masked and checked; empty where there is none."""
    with tempfile.TemporaryDirectory() as place:
        found = translate(
            translator, [one for one in sentences if one], 1, Calls(Path(place) / "calls.sqlite")
        )
    return [next(iter(found.get(sentence, [])), "") for sentence in sentences]


def told(
    name: str, where: str, pair: tuple[Translator, Translator], english: list[str], other: list[str]
) -> str:
    """A line of the table; `other`: human translations, none where there are none."""
    started = time.perf_counter()
    pivots = first(pair[0], english)
    back = first(pair[1], pivots)
    rate = len(english) / (time.perf_counter() - started)
    came = [row for row, text in enumerate(back) if text]
    cosine = (encode([english[row] for row in came]) * encode([back[row] for row in came])).sum(axis=1)
    copies = np.mean([same(english[row]) == same(back[row]) for row in came])
    scores = f"{'':>7}{'':>7}"
    if other:
        bleu = sacrebleu.corpus_bleu(pivots, [other]).score
        scores = f"{bleu:>7.2f}{sacrebleu.corpus_chrf(pivots, [other]).score:>7.2f}"
    return (
        f"{name:<14}{where:<14}{len(english):>6}{scores}{cosine.mean():>8.3f}{copies:>7.1%}"
        f"{1 - len(came) / len(back):>7.1%}{rate:>9.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--translators", nargs="+", default=["embedded:fr", "apertium:es"])
    parser.add_argument("--sets", nargs="+", default=["wmt13", "flores-test"])
    parser.add_argument("--sentences", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    with gzip.open(asked.data / "text" / "banking77.train.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = list(dict.fromkeys(plain(json.loads(line)["text"]) for line in file))
    texts = texts[:: max(1, len(texts) // asked.sentences)][: asked.sentences]
    print(
        f"{'translator':<14}{'set':<14}{'rows':>6}{'BLEU':>7}{'chrF':>7}{'cosine':>8}{'same':>7}{'none':>7}{'texts/s':>9}"
    )
    for name in asked.translators:
        engine, _, pivot = name.rpartition(":")
        pair = translators.pair(engine, "en", pivot, threads=asked.threads)
        for one in pair:
            one.translate(["."], 1)  # the first call loads the model
        path = asked.data / "parallel" / f"wmt_flores_eval.en-{pivot}.tsv.gz"
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = [line.rstrip("\n").split("\t") for line in file]
        for where in asked.sets:
            own = [(plain(one), plain(other)) for part, one, other in rows if part == where][
                : asked.sentences
            ]
            print(told(name, where, pair, [one for one, _ in own], [other for _, other in own]), flush=True)
        print(told(name, "banking77", pair, texts, []), flush=True)


if __name__ == "__main__":
    main()
