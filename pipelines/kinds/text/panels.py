"""What the report shows of texts: each beside the one it was made from, the nearest and the farthest, the rejected.

JSON only, so that a report can be drawn again from `report.json`.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from leaven.generators.contract import SOURCE
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.generators.text.encoder import encode
from leaven.pipelines.quality.neighbours import nearest
from leaven.pipelines.quality.texts.arms import texts_of
from leaven.pipelines.task import Task

SHOWN = 8  # texts of each group
MAX_REASONS, OF_EACH = 8, 3
MOST = 2_000  # synthetic texts that are compared with train
LONGEST = 400  # characters shown
_PIECES = re.compile(r"\s+|\w+|[^\w\s]")


def panels(
    schema: Schema,
    task: Task,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame | None = None,
    rejected: Sequence[Path] = (),
    generator: Any = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Texts side by side.

    Args:
        generator: tells by which way an editor's text came about, where it can (`through`).
        rejected: Parquet files of rejected synthetic rows with their `_reason`.
        seed: which texts are drawn.

    Returns:
        `texts`: `classes` (for each class some real and synthetic texts), `pairs` (synthetic texts with their source,
        or the nearest train text: `random`, `closest`, `farthest`), `rejected` (`reason`, `count`, `texts`).
    """
    some = _some(synthetic, MOST, derive(seed, "compared"))
    pairs = _pairs(schema, task, train, some, generator)
    order = np.argsort([pair["cosine"] for pair in pairs])
    drawn = np.random.default_rng(derive(seed, "pairs")).permutation(len(pairs))[:SHOWN]
    return {
        "texts": {
            "edited": bool(SOURCE in synthetic and synthetic[SOURCE].notna().any()),
            "random": [pairs[place] for place in drawn],
            "closest": [pairs[place] for place in order[::-1][:SHOWN]],
            "farthest": [pairs[place] for place in order[:SHOWN]],
            "rejected": _rejected(schema, task, rejected, train, seed),
        }
    }


def _some(frame: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    if len(frame) <= most:
        return frame.reset_index(drop=True)
    picked = np.sort(np.random.default_rng(seed).choice(len(frame), most, replace=False))
    return frame.iloc[picked].reset_index(drop=True)


def _pairs(
    schema: Schema, task: Task, train: pd.DataFrame, synthetic: pd.DataFrame, generator: Any
) -> list[dict[str, Any]]:
    """Each synthetic text with the one it was made from, or the nearest train text."""
    if not len(synthetic) or not len(train):
        return []
    ours, theirs = texts_of(schema, synthetic), texts_of(schema, train)
    points, real = encode(ours), encode(theirs)
    if SOURCE in synthetic and synthetic[SOURCE].notna().all():
        sources = synthetic[SOURCE].astype(int).to_numpy()
    else:
        sources = nearest(points, real, 1)[1][:, 0]
    cosines = (points * real[sources]).sum(axis=1)
    through = getattr(generator, "through", lambda source, made: None)
    return [
        {
            "label": str(label),
            "source": short(theirs[source]),
            "through": short(through(theirs[source], text) or "") or None,
            "made": marked(theirs[source], text),
            "cosine": round(float(cosine), 3),
        }
        for label, text, source, cosine in zip(synthetic[task.target], ours, sources, cosines, strict=True)
    ]


def short(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def marked(source: str, made: str) -> list[tuple[str, bool]]:
    """A text in pieces, each with whether it differs from the source."""
    ours, theirs = _PIECES.findall(short(made)), _PIECES.findall(short(source))
    matcher = difflib.SequenceMatcher(
        None, [piece.lower() for piece in theirs], [piece.lower() for piece in ours], autojunk=False
    )
    return [
        ("".join(ours[low:high]), kind != "equal")
        for kind, _, _, low, high in matcher.get_opcodes()
        if high > low
    ]


def _rejected(
    schema: Schema, task: Task, files: Sequence[Path], train: pd.DataFrame, seed: int
) -> list[dict[str, Any]]:
    """The commonest reasons, each with some texts."""
    frames = [pq.read_table(path).to_pandas() for path in files]
    joined = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"_reason": []})
    if not len(joined):
        return []
    theirs = texts_of(schema, train)
    found = []
    for reason, count in joined["_reason"].value_counts().head(MAX_REASONS).items():
        own = _some(joined[joined["_reason"] == reason], OF_EACH, derive(seed, "rejected", str(reason)))
        shown = []
        for text, label, source in zip(texts_of(schema, own), own[task.target], own[SOURCE], strict=True):
            start = None if pd.isna(source) else theirs[int(source)]
            shown.append(
                {
                    "label": str(label),
                    "source": None if start is None else short(start),
                    "made": marked(start, text) if start is not None else [(short(text), False)],
                }
            )
        found.append({"reason": str(reason), "count": int(count), "texts": shown})
    return found
