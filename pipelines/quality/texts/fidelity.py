"""Fidelity of texts: do synthetic ones say what real ones say? Floor: fresh real texts; ceiling: words in disorder."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.pipelines.quality.neighbours import nearest
from leaven.pipelines.quality.points.arms import Points
from leaven.pipelines.quality.points.fidelity import compare
from leaven.pipelines.quality.texts.arms import draw
from leaven.pipelines.quality.texts.runs import longest_runs
from leaven.pipelines.task import Task

SPANS = 500  # texts whose copied spans are looked for
COPIED = "ceiling: train texts themselves"


def measure(
    schema: Schema,
    task: Task,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame,
    seed: int,
    max_rows: int = 5_000,
) -> dict[str, dict[str, Any]]:
    """How near synthetic texts are to train texts, as points of a sentence encoder and word by word.

    Args:
        schema: the columns, one of them of texts.
        task: gives the classes.
        train: what the generator learned from.
        synthetic: the texts to judge.
        fresh: real texts that no generator saw; they take the place of the synthetic ones for the floor.
        seed: of the samples.
        max_rows: at most so many texts of each; the three arms always have equally many.

    Returns:
        NAME -> {value, floor, ceiling, better, what}.

    Raises:
        ValueError: one of the frames is empty.
    """
    arms = draw(schema, train=train, synthetic=synthetic, fresh=fresh, seed=seed, max_rows=max_rows)
    corpus = [text.lower().split() for text in arms.reference.content]
    return {
        **compare(arms, task),
        "similarity": arms.between(
            lambda rows: _similarity(rows, arms.reference),
            arms.bad,
            better="higher",
            what=f"cosine of a synthetic text to the nearest train text, mean, in the features of {arms.space} "
            f"({arms.bad_told})",
        ),
        "copied_span": arms.between(
            lambda rows: copied_span([text.lower().split() for text in rows.content[:SPANS]], corpus),
            arms.like(),
            better="lower",
            what=f"longest run of words that a synthetic text has in common with a train text, as a share of its "
            f"words, mean ({COPIED})",
        ),
    }


def _similarity(rows: Points, train: Points) -> float:
    """Points have length 1, so that a distance d is a cosine of 1 - d²/2."""
    distances = nearest(rows.points, train.points, 1)[0][:, 0]
    return float((1 - distances**2 / 2).mean())


def copied_span(texts: Sequence[Sequence[str]], corpus: Sequence[Sequence[str]]) -> float:
    """Mean over texts of the longest run of words that stands in one of the corpus, as a share of the text."""
    shares = longest_runs(texts, corpus) / np.array([max(1, len(words)) for words in texts])
    return float(shares.mean()) if len(texts) else 0.0
