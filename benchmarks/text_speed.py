"""Back-translation by one model: a text at a time, in batches, by CTranslate2, and from the cache.

    python benchmarks/text_speed.py --data ../shared/data [--texts 1000] [--one-by-one 100] [--folder MODELS]

There and back (English, French), one translation each, of texts of banking77. BLEU of the forward direction is measured
for each way on sentences with a reference (FLORES). All ways run in one process after each other, each after a warm-up.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from leaven.generators.text.calls import Calls
from leaven.generators.text.plain import plain
from leaven.generators.text.translation import translators
from leaven.generators.text.translation.contract import Translator
from leaven.generators.text.translation.marian import Marian
from leaven.generators.text.translation.texts import split, translate
from leaven.generators.text.translation.torch_marian import TorchMarian

Pair = tuple[Translator, Translator]


def round_trip(pair: Pair, texts: Sequence[str], calls: Calls) -> int:
    """Translate all texts there and back; how many came back."""
    sentences = [sentence for text in texts for sentence in split(plain(text), "en")]
    pivots = translate(pair[0], sentences, 1, calls)
    back = translate(pair[1], [one for found in pivots.values() for one in found], 1, calls)
    return sum(bool(found) for found in back.values())


def one_by_one(pair: Pair, texts: Sequence[str], calls: Calls) -> int:
    """The same, a text at a time."""
    return sum(round_trip(pair, [text], calls) for text in texts)


def bleu(translator: Translator, pairs: Sequence[tuple[str, str]]) -> float:
    import sacrebleu

    said = [found[0] if found else "" for found in translator.translate([one for one, _ in pairs], 1)]
    return float(sacrebleu.corpus_bleu(said, [[other for _, other in pairs]]).score)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=1_000)
    parser.add_argument("--one-by-one", type=int, default=100, help="texts of the slow way")
    parser.add_argument("--references", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", default="embedded", help="models, with {source} and {target} in it")
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    with gzip.open(asked.data / "text" / "banking77.train.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line)["text"] for line in file]
    texts = list(dict.fromkeys(rows))[:: max(1, len(rows) // asked.texts)][: asked.texts]
    with gzip.open(asked.data / "parallel" / "wmt_flores_eval.en-fr.tsv.gz", "rt", encoding="utf-8") as file:
        fields = [line.rstrip("\n").split("\t") for line in file]
    pairs = [(plain(one), plain(other)) for name, one, other in fields if name == "flores-test"][
        : asked.references
    ]
    fast = translators.pair(asked.folder, "en", "fr", threads=asked.threads)
    folders = [(one.folder, one.source, one.target) for one in fast if isinstance(one, Marian)]
    slow, single = (
        tuple(TorchMarian(*folder, threads=asked.threads, at_once=size) for folder in folders)
        for size in (32, 1)
    )
    ways: list[tuple[str, Pair, Callable[[Pair, Sequence[str], Calls], int], Sequence[str]]] = [
        ("transformers, one by one", single, one_by_one, texts[: asked.one_by_one]),  # type: ignore[list-item]
        ("transformers, batches of 32", slow, round_trip, texts),  # type: ignore[list-item]
        ("CTranslate2, int8", fast, round_trip, texts),
    ]
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        for number, (name, pair, run, given) in enumerate(ways):
            run(pair, texts[-8:], Calls(Path(place) / f"warm{number}.sqlite"))
            calls = Calls(Path(place) / f"{number}.sqlite")
            started = time.perf_counter()
            came = run(pair, given, calls)
            seconds = time.perf_counter() - started
            found[name] = {"texts": len(given), "seconds": seconds, "rate": len(given) / seconds}
            found[name]["bleu"] = bleu(pair[0], pairs)
            print(
                f"{name:<28} {len(given):>5} texts in {seconds:8.2f} s: {len(given) / seconds:8.1f}/s, "
                f"{came} sentences came back, BLEU {found[name]['bleu']:.2f}",
                flush=True,
            )
        started = time.perf_counter()
        round_trip(fast, texts, calls)
        seconds = time.perf_counter() - started
        found["from the cache"] = {"texts": len(texts), "seconds": seconds, "rate": len(texts) / seconds}
        print(
            f"{'from the cache':<28} {len(texts):>5} texts in {seconds:8.2f} s: {len(texts) / seconds:8.1f}/s"
        )
    rate = {name: of["rate"] for name, of in found.items()}
    best = rate["CTranslate2, int8"]
    for name in ("transformers, one by one", "transformers, batches of 32"):
        print(f"CTranslate2 is {best / rate[name]:.1f} times as quick as {name}")
    print(f"the cache is {rate['from the cache'] / best:.1f} times as quick as CTranslate2")
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
