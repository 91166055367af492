"""Scores and tables with a known truth, shared by the tests of utility."""

from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Column, Schema
from leaven.pipelines.quality.scores import Scores
from leaven.pipelines.task import Task

BINARY = Task(target="y", type="classification", metric="roc_auc", classes=("no", "yes"), positive="yes")
SCHEMA = Schema(
    columns=(
        *(Column(name=f"x{i}", type="number") for i in range(6)),
        Column(name="colour", type="category", nullable=True),
        Column(name="y", type="category"),
    ),
    target="y",
)


def task(metric: str, classes: int = 2) -> Task:
    """A task with `classes` classes named c0, c1, ...; 0 for regression."""
    names = tuple(f"c{code}" for code in range(classes))
    kind: Any = "classification" if classes else "regression"
    return Task(
        target="y", type=kind, metric=metric, classes=names, positive=names[1] if classes == 2 else None
    )


def table(rows: int, seed: int, positives: float = 0.4) -> pd.DataFrame:
    """Two overlapping classes: `yes` is shifted in all numbers and is rather red."""
    rng = np.random.default_rng(seed)
    yes = rng.random(rows) < positives
    frame: dict[str, Any] = {f"x{i}": rng.normal(size=rows) + 0.45 * yes for i in range(6)}
    red = rng.random(rows) < np.where(yes, 0.6, 0.3)
    frame["colour"] = np.where(red, "red", rng.choice(["blue", "green"], rows)).astype(object)
    frame["y"] = np.where(yes, "yes", "no").astype(object)
    return pd.DataFrame(frame)


def direct(rows: int, seed: int, lift: float, seeds: int, noise: float = 0.3) -> Scores:
    """Scores of two arms without training: what a row is, what a seed does, and what only the pair does."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.3).astype(int)
    scores = Scores.empty(BINARY, labels)
    shared = rng.normal(size=rows)
    for arm, shift in (("real", 1.0), ("augmented", 1.0 + lift)):
        own = 0.5 * rng.normal(size=rows)
        steady = (shift * labels + shared + own)[None, :, None]
        wobble = shift + 0.1 * rng.normal(size=(seeds, 1))
        random = wobble * labels + shared + own + noise * rng.normal(size=(seeds, rows))
        scores.outputs[arm] = {"steady": steady, "random": random[:, :, None]}
    return scores
