"""What the screens of texts catch of planted faults, and what they lose of good rows.

    python benchmarks/text_screens.py --data ../shared/data [--per-class 50] [--seed 0]

Good rows are what people wrote: two English sentences to which Tatoeba gives the same translation, one as the source
and the other as an editor's row. Faults are planted into them (a number or name changed, the source again, noise), and
real rows of another class into those of TREC and banking77. Every fault is counted under the screen that caught it.
"""

import argparse
import collections
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from leaven.generators.contract import SOURCE
from leaven.generators.rows import to_arrow
from leaven.generators.schema import Column, Schema
from leaven.generators.text.plain import plain, words
from leaven.generators.text.translation.masks import mask
from leaven.pipelines import kinds
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.screen import for_role, why
from leaven.pipelines.task import Task

SCHEMA = Schema(
    columns=(Column(name="text", type="text"), Column(name="label", type="category")), target="label"
)
RECIPE = Recipe.model_validate(
    {"name": "screens", "source": {"kind": "text", "path": "none"}, "screen": {"label_agreement": False}}
)


def paraphrases(path: Path, count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Pairs of English sentences that people gave the same translation, and that are not nearly the same."""
    by_other: dict[str, list[str]] = collections.defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            one, other = (plain(field) for field in line.rstrip("\n").split("\t")[:2])
            if len(words(one)) >= 4:
                by_other[other].append(one)
    pairs = [(found[0], found[-1]) for found in by_other.values() if len(set(found)) > 1]
    picked = rng.permutation(len(pairs))
    return [pairs[place] for place in picked[:count]]


def garbage(text: str, rng: np.random.Generator) -> str:
    """A text that no longer is one: letters or words in disorder, one word again and again, nothing."""
    kind = rng.integers(5)
    if kind == 0:
        return "".join(rng.permutation(list(text)))
    if kind == 1:
        return " ".join([text.split()[0]] * 12)
    if kind == 2:
        return ""
    if kind == 3:
        return "".join(chr(rng.integers(33, 126)) for _ in range(len(text)))
    return " ".join(["la", "de", "que", "el"][rng.integers(4)] for _ in range(len(text.split()) + 6))


def other_number(text: str, rng: np.random.Generator) -> str | None:
    digits = [value for value in mask(text).kept if any(c.isdigit() for c in value)]
    if not digits:
        return None
    value = digits[rng.integers(len(digits))]
    changed = "".join(str((int(c) + 1 + rng.integers(8)) % 10) if c.isdigit() else c for c in value)
    return text.replace(value, changed) if changed != value else None


def other_name(text: str, rng: np.random.Generator) -> str | None:
    names = [value for value in mask(text).kept if value[0].isupper() and value.isalpha() and value != "I"]
    if not names:
        return None
    return text.replace(names[0], ["Zelda", "Wolfgang", "Priya", "Ludmila"][rng.integers(4)])


def screened(
    sources: list[str], made: list[str], labels: list[str], own: list[str], which: str
) -> np.ndarray:
    """The reason for each row; `labels` are those of the sources, `own` those of the rows."""
    task = Task(target="label", type="classification", metric="macro_f1", classes=tuple(sorted(set(labels))))
    with tempfile.TemporaryDirectory() as place:
        train = Path(place) / "train.parquet"
        pq.write_table(to_arrow(pd.DataFrame({"text": sources, "label": labels}), SCHEMA), train)
        recipe = for_role(RECIPE, "editor")
        screens = kinds.get("text").screens(SCHEMA, task, recipe, train=[train], seed=0, threads=2)
        if which == "alone":  # rows are judged one by one, not against each other
            screens = [screen for screen in screens if screen.name != "duplicate"]
        return why(screens, pd.DataFrame({"text": made, "label": own, SOURCE: np.arange(len(made))}))


def told(name: str, reasons: np.ndarray, good: bool) -> dict[str, Any]:
    counts = collections.Counter(reasons[reasons != ""])
    share = float((reasons != "").mean()) if len(reasons) else float("nan")
    shown = ", ".join(f"{reason} {count}" for reason, count in counts.most_common(6))
    print(
        f"{name:<28} {len(reasons):>6} rows  {'lost' if good else 'caught'} {share:7.2%}   {shown}",
        flush=True,
    )
    return {"rows": len(reasons), "share": share, "reasons": dict(counts)}


def flips(path: Path, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Reasons of real rows of another class, beside sources of `per_class` rows of each class."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        frame = pd.DataFrame([json.loads(line) for line in file]).drop_duplicates("text")
    frame = frame.sample(frac=1.0, random_state=int(rng.integers(2**31)))
    train = frame.groupby("label").head(per_class)
    rest = frame.drop(train.index)
    made, own = [], []
    for label in train["label"]:
        others = rest[rest["label"] != label]
        made.append(others["text"].iloc[rng.integers(len(others))])
        own.append(label)
    recipe = RECIPE.model_copy(
        update={"screen": RECIPE.screen.model_copy(update={"label_agreement": "mild"})}
    )
    task = Task(target="label", type="classification", metric="macro_f1", classes=tuple(sorted(set(own))))
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "train.parquet"
        pq.write_table(to_arrow(train[["text", "label"]], SCHEMA), file)
        screens = kinds.get("text").screens(
            SCHEMA, task, for_role(recipe, "editor"), train=[file], seed=0, threads=2
        )
        screens = [screen for screen in screens if screen.name != "duplicate"]
        return why(screens, pd.DataFrame({"text": made, "label": own, SOURCE: np.arange(len(made))}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with text/ and parallel/")
    parser.add_argument("--pairs", type=int, default=2_000)
    parser.add_argument("--per-class", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="also write the shares as JSON")
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    every = paraphrases(asked.data / "parallel" / "tatoeba.en-fr.tsv.gz", 10**6, rng)
    pairs = every[: asked.pairs]
    sources, good = [one for one, _ in pairs], [other for _, other in pairs]
    labels = ["even" if n % 2 else "odd" for n in range(len(pairs))]
    found = {
        "good": told("good: people's paraphrases", screened(sources, good, labels, labels, "alone"), True)
    }
    numbered = [one for one, _ in every if any(c.isdigit() for c in one)][: asked.pairs]
    named = [one for one, _ in every if other_name(one, rng)][: asked.pairs]
    planted = {
        "copies": [(one, one if n % 2 else one.lower().rstrip(".")) for n, one in enumerate(sources)],
        "numbers": [(one, other_number(one, rng)) for one in numbered],
        "names": [(one, other_name(one, rng)) for one in named],
        "garbage": [(one, garbage(one, rng)) for one in sources],
    }
    for name, both in planted.items():
        rows = [(one, made) for one, made in both if made is not None]
        ours, theirs = [one for one, _ in rows], [str(made) for _, made in rows]
        own = labels[: len(rows)]
        found[name] = told(f"planted: {name}", screened(ours, theirs, own, own, "alone"), False)
    for name in ("trec6_cased", "banking77"):
        reasons = flips(asked.data / "text" / f"{name}.train.jsonl.gz", asked.per_class, rng)
        found[f"flips {name}"] = told(f"planted: flips, {name}", reasons, False)
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
