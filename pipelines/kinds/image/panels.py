"""What the report draws of images: real and synthetic side by side, nearest real ones, the best and the worst.

JSON only, so that a report can be drawn again from `report.json`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from leaven.generators.rows import parquet, to_frame
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines.kinds.image.sheets import per_line, sheet, strip, thumbnails
from leaven.pipelines.quality.images.arms import pixels_of
from leaven.pipelines.task import Task

MAX_CLASSES = 24
MANY_CLASSES = 12  # beyond it, a class has one line of images
MAX_REASONS = 6
SHOWN = 8  # images of each group with captions
MAX_COMPARED = 2_000  # synthetic images whose neighbours and confidence are looked at
MAX_TRAIN = 20_000  # train images that they are compared with
MAX_POINTS = 200  # of a training curve
MAX_CURVES = 8
_SIDE = 16  # pixels, where images are compared pixel by pixel
_BYTES = {
    "classes": 1_100_000,
    "neighbours": 250_000,
    "confidence": 220_000,
    "rejected": 220_000,
    "walk": 150_000,
}

Extractor = Callable[[np.ndarray], np.ndarray]
"""uint8 (rows, height, width, channels) -> float (rows, features), or (rows, classes) of probabilities."""


def panels(
    schema: Schema,
    task: Task,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame | None = None,
    extractor: Extractor | None = None,
    space: str = "features",
    probabilities: Extractor | None = None,
    rejected: Sequence[Path] = (),
    walk: np.ndarray | None = None,
    losses: Sequence[Mapping[str, float]] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Contact sheets and training curves.

    Args:
        fresh: real images that no generator has seen; how near train images they are is the control.
        extractor: gives the features in which neighbours are near; pixels are compared when left out.
        space: what the extractor's features are called.
        probabilities: of `task.classes`, by a classifier of real images.
        rejected: Parquet files of rejected synthetic rows with their `_reason`.
        walk: images made between two points of the generator's latent space, uint8
            (steps, walks, height, width, channels).
        losses: what the fit reports: `step` and losses.
        seed: which images are drawn.

    Returns:
        `pictures`: `classes`, `left_out`, `neighbours`, `confidence`, `rejected`, `walk` (null where there is
        nothing to draw); `losses`: `{"x": name, "curves": [{"name", "points"}]}` or null.
    """
    images = _Images(schema, task)
    return {
        "pictures": {
            **_classes(images, train, synthetic, np.random.default_rng(derive(seed, "sheets"))),
            "neighbours": _neighbours(images, train, synthetic, fresh, extractor, space, seed),
            "confidence": _confidence(images, synthetic, probabilities, seed),
            "rejected": _rejected(images, rejected, np.random.default_rng(derive(seed, "rejected"))),
            "walk": _walk(walk),
        },
        "losses": _losses(losses),
    }


class _Images:
    """Pixels and labels of frames."""

    def __init__(self, schema: Schema, task: Task):
        self.schema, self.task = schema, task

    def pixels(self, frame: pd.DataFrame) -> np.ndarray:
        return pixels_of(self.schema, frame)

    def labels(self, frame: pd.DataFrame) -> np.ndarray:
        return frame[self.task.target].astype(str).to_numpy(dtype=object)

    def some(self, frame: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
        if len(frame) <= most:
            return frame.reset_index(drop=True)
        picked = np.sort(np.random.default_rng(seed).choice(len(frame), most, replace=False))
        return frame.iloc[picked].reset_index(drop=True)


def _classes(
    images: _Images, train: pd.DataFrame, synthetic: pd.DataFrame, rng: np.random.Generator
) -> dict[str, Any]:
    """A sheet of real and one of synthetic images for each class, drawn at random."""
    sides = {"real": (images.pixels(train), images.labels(train))}
    sides["synthetic"] = (images.pixels(synthetic), images.labels(synthetic))
    counts = pd.Series(sides["real"][1]).value_counts()
    names = [name for name in images.task.classes if (sides["real"][1] == name).any()]
    if len(names) > MAX_CLASSES:  # from the most frequent to the rarest
        ranked = sorted(names, key=lambda name: -counts[name])
        picked = {ranked[place] for place in np.linspace(0, len(ranked) - 1, MAX_CLASSES).round().astype(int)}
        shown = [name for name in names if name in picked]
    else:
        shown = names
    share = _BYTES["classes"] // (2 * max(len(shown), 1))
    found = []
    for name in shown:
        one: dict[str, Any] = {"label": name}
        for side, (pixels, labels) in sides.items():
            there = np.flatnonzero(labels == name)
            one[side] = {"count": len(there)}
            if len(there):
                columns = per_line(thumbnails(pixels[:1]))
                most = columns * (2 if len(shown) <= MANY_CLASSES else 1)
                drawn = np.sort(rng.choice(there, min(most, len(there)), replace=False))
                one[side] |= sheet(thumbnails(pixels[drawn]), share, columns)
        found.append(one)
    return {"classes": found, "left_out": len(names) - len(shown)}


def _neighbours(
    images: _Images,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame | None,
    extractor: Extractor | None,
    space: str,
    seed: int,
) -> dict[str, Any] | None:
    """Synthetic images beside the train image nearest to each: the closest of all, then some at random."""
    known = images.some(train, MAX_TRAIN, derive(seed, "train"))
    made = images.some(synthetic, MAX_COMPARED, derive(seed, "compared"))
    if not len(known) or not len(made):
        return None
    features = extractor or _plain
    reference = features(images.pixels(known))
    near, distance = nearest(features(images.pixels(made)), reference)
    unit, low = None, None
    if fresh is not None and len(fresh):
        control = images.some(fresh, MAX_COMPARED, derive(seed, "control"))
        _, apart = nearest(features(images.pixels(control)), reference)
        unit = float(np.median(apart)) or None
        low = float(np.quantile(apart, 0.01)) / unit if unit else None
    closest = np.argsort(distance, kind="stable")[:SHOWN]
    rest = np.setdiff1d(np.arange(len(made)), closest)
    drawn = np.random.default_rng(derive(seed, "pairs")).permutation(rest)[:SHOWN]
    shown = np.concatenate([closest, drawn])
    pixels = np.stack([images.pixels(made)[shown], images.pixels(known)[near[shown]]], axis=1)
    labels, real = images.labels(made), images.labels(known)
    return {
        "space": space if extractor is not None else "pixels",
        "compared": [len(made), len(known)],
        "of": [len(synthetic), len(train)],
        "sheet": strip(thumbnails(pixels.reshape(-1, *pixels.shape[2:])), _BYTES["neighbours"]),
        "closest": len(closest),
        "median": round(float(np.median(distance)) / unit, 3) if unit else None,
        "fresh_low": round(low, 3) if low is not None else None,
        "pairs": [
            {
                "label": labels[place],
                "real": real[near[place]],
                "distance": round(float(distance[place]) / unit, 3) if unit else None,
            }
            for place in shown
        ],
    }


def _plain(pixels: np.ndarray) -> np.ndarray:
    """Images as vectors of their pixels, float32 from 0 to 1, larger ones averaged to about 16 x 16."""
    step = max(1, max(pixels.shape[1:3]) // _SIDE)
    height, width = (side // step * step for side in pixels.shape[1:3])
    cut = pixels[:, :height, :width].astype(np.float32) / 255
    blocks = cut.reshape(len(cut), height // step, step, width // step, step, -1).mean((2, 4))
    return blocks.reshape(len(cut), -1)


def nearest(rows: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row the place of the nearest row of `reference`, int64 (rows,), and how far it is, float64 (rows,)."""
    middle = reference.mean(0, dtype=np.float64)  # what all share would swamp what tells them apart
    rows, reference = ((part - middle).astype(np.float32) for part in (rows, reference))
    squares = (reference**2).sum(1)
    place = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        place[start : start + 256] = (squares - 2 * part @ reference.T).argmin(1)
    # Anew for the pairs that were found: the sum above loses what is close to nothing.
    apart = np.linalg.norm(rows.astype(np.float64) - reference[place], axis=1)
    return place, apart


def _confidence(
    images: _Images, synthetic: pd.DataFrame, probabilities: Extractor | None, seed: int
) -> dict[str, Any] | None:
    """The images of which a classifier is most and least sure that they show their label."""
    if probabilities is None or not len(synthetic):
        return None
    some = images.some(synthetic, MAX_COMPARED, derive(seed, "confidence"))
    pixels, labels = images.pixels(some), images.labels(some)
    classes = list(images.task.classes)
    own = np.array([classes.index(label) for label in labels])
    found = np.asarray(probabilities(pixels))
    sure = found[np.arange(len(own)), own]
    order = np.argsort(-sure, kind="stable")
    # In turns, so that the best are not all of the easiest class.
    turn = pd.Series(own[order]).groupby(own[order]).cumcount().to_numpy()
    best = order[np.argsort(turn, kind="stable")][:SHOWN]
    worst = order[::-1][:SHOWN]

    def told(place: int) -> dict[str, Any]:
        return {
            "label": labels[place],
            "share": round(float(sure[place]), 4),
            "seen_as": classes[int(found[place].argmax())],
        }

    shown = np.concatenate([best, worst])
    return {
        "sheet": strip(thumbnails(pixels[shown]), _BYTES["confidence"]),
        "best": [told(place) for place in best],
        "worst": [told(place) for place in worst],
        "compared": [len(some), len(synthetic)],
    }


def _rejected(images: _Images, paths: Sequence[Path], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Some rejected images of each reason, the most frequent first."""
    parts = [pq.read_table(path, columns=["_reason"]).column(0).to_numpy() for path in paths]
    reasons = np.concatenate(parts) if parts else np.empty(0, dtype=object)
    counts = pd.Series(reasons, dtype=object).value_counts()
    picked = {
        str(reason): np.sort(rng.permutation(np.flatnonzero(reasons == reason))[:SHOWN])
        for reason in counts.index[:MAX_REASONS]
    }
    if not picked:
        return []
    wanted = np.sort(np.concatenate(list(picked.values())))
    frame = to_frame(_taken(paths, wanted, images.schema.names), images.schema)
    pixels, labels = images.pixels(frame), images.labels(frame)
    share = _BYTES["rejected"] // len(picked)
    found = []
    for reason, rows in picked.items():
        places = np.searchsorted(wanted, rows)
        drawn = strip(thumbnails(pixels[places]), share)
        found.append(
            {"reason": reason, "count": int(counts[reason]), "sheet": drawn, "labels": list(labels[places])}
        )
    return found


def _taken(paths: Sequence[Path], wanted: np.ndarray, columns: list[str]) -> pa.Table:
    """Rows of files by their numbers in all of them, in order; one batch in memory at a time."""
    parts, start = [], 0
    for path in paths:
        for batch in parquet(path).iter_batches(1_000, columns=columns):
            low, high = np.searchsorted(wanted, [start, start + len(batch)])
            if high > low:
                table = pa.Table.from_batches([batch]).select(columns)
                parts.append(table.take(pa.array(wanted[low:high] - start)))
            start += len(batch)
    return pa.concat_tables(parts)


def _walk(walk: np.ndarray | None) -> dict[str, Any] | None:
    if walk is None or not walk.size:
        return None
    steps, walks = walk.shape[:2]
    lines = thumbnails(walk.swapaxes(0, 1).reshape(-1, *walk.shape[2:]))
    return {**sheet(lines, _BYTES["walk"], steps), "steps": steps, "walks": walks}


def _losses(losses: Sequence[Mapping[str, float]]) -> dict[str, Any] | None:
    """The fit's losses against its steps, thinned to `MAX_POINTS` means."""
    names = list(dict.fromkeys(name for entry in losses for name in entry))
    x = next((name for name in ("images", "step", "epoch") if name in names), None)
    curves = []
    for name in [name for name in names if name not in ("images", "step", "epoch", "seconds")][:MAX_CURVES]:
        known = [
            (float(entry[x]) if x else float(number), float(entry[name]))
            for number, entry in enumerate(losses)
            if np.isfinite(entry.get(name, np.nan)) and (x is None or x in entry)
        ]
        if len(known) > 1:
            chunks = np.array_split(np.array(known), min(len(known), MAX_POINTS))
            points = [[float(f"{v:.5g}") for v in chunk.mean(0)] for chunk in chunks]
            curves.append({"name": name, "points": points})
    return {"x": x or "entry", "curves": curves} if curves else None
