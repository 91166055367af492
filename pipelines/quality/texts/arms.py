"""Texts to compare with, and the sets of as many that a number stands between, as points of a sentence encoder."""

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.generators.text.base import as_texts, text_column
from leaven.generators.text.encoder import NAME, encode
from leaven.pipelines.quality import controls
from leaven.pipelines.quality.encode import as_labels
from leaven.pipelines.quality.points.arms import Arms, Points

SHUFFLED = "ceiling: the words of train in a random order"


def draw(
    schema: Schema,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame,
    seed: int,
    max_rows: int,
) -> Arms:
    """As many texts of each as the smallest has, at most `max_rows`; of train at most `max_rows`.

    Raises:
        ValueError: one of the frames is empty.
    """
    drawn = controls.Arms.draw(train, synthetic, fresh, seed, max_rows)
    reference = points(schema, drawn.reference)
    noise = shuffled(list(reference.content), drawn.rows, derive(seed, "noise"))
    return Arms(
        reference=reference,
        synthetic=points(schema, drawn.synthetic),
        fresh=points(schema, drawn.fresh),
        bad=Points(reference.labels[: drawn.rows], _encoded(noise), np.array(noise, dtype=object)),
        bad_told=SHUFFLED,
        rows=drawn.rows,
        space=NAME,
        noun="text",
        seed=seed,
    )


def points(schema: Schema, frame: pd.DataFrame) -> Points:
    """A frame's texts and their points."""
    texts = texts_of(schema, frame)
    return Points(as_labels(frame[schema.target]), _encoded(texts), np.array(texts, dtype=object))


def texts_of(schema: Schema, frame: pd.DataFrame) -> list[str]:
    """The texts; empty where missing."""
    return as_texts(frame[text_column(schema)])


def _encoded(texts: list[str]) -> np.ndarray:
    return encode(texts).astype(np.float64)


def shuffled(texts: list[str], rows: int, seed: int) -> list[str]:
    """As many texts, each as long in words as one of train, of train's words drawn at random."""
    rng = np.random.default_rng(seed)
    words = np.array([word for text in texts for word in text.split()] or [""], dtype=object)
    return [" ".join(rng.choice(words, max(1, len(texts[row % len(texts)].split())))) for row in range(rows)]
