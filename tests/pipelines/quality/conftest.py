"""A small mixed table with a known structure, which the tests of fidelity, diversity and privacy share."""

import numpy as np
import pandas as pd
import pytest

from leaven.generators.schema import Column, Schema
from leaven.pipelines.task import Task


class Mixed:
    """Rows in which everything hangs on one hidden number; y is missing for one row in ten."""

    schema = Schema(
        columns=(
            Column(name="id", type="identifier"),
            Column(name="x", type="number"),
            Column(name="y", type="number", nullable=True),
            Column(name="n", type="integer"),
            Column(name="colour", type="category"),
            Column(name="flag", type="boolean"),
            Column(name="day", type="date"),
            Column(name="label", type="category"),
        ),
        target="label",
    )
    task = Task(target="label", type="classification", metric="roc_auc", classes=("a", "b"), positive="b")

    @staticmethod
    def rows(count: int, seed: int) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        hidden = random.normal(size=count)

        def noise(scale: float) -> np.ndarray:
            return hidden + scale * random.normal(size=count)

        colours = np.array(["red", "green", "blue", "rare"], dtype=object)
        frame = pd.DataFrame(
            {
                "id": [f"{seed}-{i}" for i in range(count)],
                "x": noise(0.3),
                "y": np.where(random.random(count) < 0.1, np.nan, noise(0.3)),
                "n": pd.array(np.round(5 * noise(0.5)).astype(int), dtype="Int64"),
                "colour": colours[np.digitize(noise(0.4), [-0.5, 0.7, 2.2])],
                "flag": pd.array(noise(0.5) > 0, dtype="boolean"),
                "day": pd.to_datetime("2024-01-01") + pd.to_timedelta(np.round(100 * noise(0.5)), unit="D"),
                "label": np.where(noise(0.5) > 0.8, "b", "a").astype(object),
            }
        )
        return frame.astype({"day": "datetime64[us]"})

    @staticmethod
    def resampled(frame: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
        """Rows drawn with replacement: what a generator makes that only copies."""
        picked = np.random.default_rng(seed).integers(len(frame), size=count)
        return frame.iloc[picked].reset_index(drop=True)

    @classmethod
    def jittered(cls, frame: pd.DataFrame, count: int, seed: int, scale: float) -> pd.DataFrame:
        """Rows drawn with replacement, their numbers moved a little: what a memoriser makes."""
        random = np.random.default_rng(seed)
        made = cls.resampled(frame, count, seed)
        for name in ("x", "y"):
            made[name] = made[name] + scale * random.normal(size=count)
        return made


@pytest.fixture(scope="session")
def mixed() -> Mixed:
    return Mixed()
