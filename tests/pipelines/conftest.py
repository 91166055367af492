"""A small release that several tests read: two blobs of points, with a category, a date and missing values."""

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaven.generators.image.pixels import to_column
from leaven.generators.rows import to_arrow
from leaven.generators.schema import Column, Schema
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.release import Outcome, release
from leaven.pipelines.sample import marked
from leaven.pipelines.store import Store

COLUMNS = [
    ("height", "number"),
    ("number of visits", "integer"),
    ("été|ville", "category"),
    ("seen", "date"),
    ("smoker", "boolean"),
    ("id", "identifier"),
    ("ill", "category"),
]


def rows(count: int, seed: int) -> pd.DataFrame:
    """`ill` follows from height and city; every column but the target has missing values."""
    random = np.random.default_rng(seed)
    ill = random.random(count) < 0.4
    frame = pd.DataFrame(
        {
            "height": np.where(ill, 2.0, -2.0) + random.normal(size=count),
            "number of visits": pd.array(random.integers(0, 9, count) + 3 * ill, dtype="Int64"),
            "été|ville": np.where(ill ^ (random.random(count) < 0.1), "Zürich", "Köln").astype(object),
            "seen": (np.datetime64("2024-01-01") + random.integers(0, 300, count)).astype("datetime64[us]"),
            "smoker": pd.array(random.random(count) < 0.5, dtype="boolean"),
            "id": [f"row-{seed}-{number}" for number in range(count)],
            "ill": np.where(ill, "yes", "no").astype(object),
        }
    )
    for column in frame.columns[:5]:
        frame.loc[random.random(count) < 0.05, column] = None
    return frame


class Small:
    """What a release of the small data is made from, each part of which a test may replace."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.schema = Schema(
            columns=tuple(Column(name=name, type=kind, nullable=name != "ill") for name, kind in COLUMNS),  # type: ignore[arg-type]
            target="ill",
        )
        self.recipe = Recipe.model_validate(
            {"name": "blobs", "source": {"kind": "table", "path": "blobs.csv"}, "task": {"target": "ill"}}
        )
        self.real = {part: [self._write(part, count, seed)] for part, count, seed in self.sizes}
        self.synthetic = [self._write_shard(number) for number in range(2)]
        faults = {"row": [3], "column": ["height"], "value": ["tall"], "reason": ["not a number"]}
        self.faults = folder / "faults.parquet"
        pq.write_table(pa.table(faults), self.faults)
        self.dropped = folder / "dropped.parquet"
        screened = to_arrow(rows(4, 77), self.schema)
        pq.write_table(screened.append_column("_reason", pa.array(["copies"] * 4)), self.dropped)

    sizes = (("train", 200, 1), ("validation", 60, 2), ("test", 150, 3))

    def _write(self, part: str, count: int, seed: int) -> Path:
        path = self.folder / f"{part}.parquet"
        pq.write_table(to_arrow(rows(count, seed), self.schema), path)
        return path

    def _write_shard(self, number: int) -> Path:
        path = self.folder / f"shard-{number}.parquet"
        table = to_arrow(rows(50, 10 + number), self.schema)
        table = table.append_column("_generator", pa.array(["smote"] * 50))
        table = table.append_column("_source_row", pa.nulls(50, pa.int64()))
        pq.write_table(table.append_column("_seed", pa.array([10 + number] * 50)), path)
        return path

    def report(self, verdict: str = "released") -> dict[str, object]:
        return {
            "name": "blobs",
            "created": datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC).isoformat(),
            "recipe": self.recipe.model_dump(mode="json"),
            "task": {
                "target": "ill",
                "type": "classification",
                "metric": "roc_auc",
                "classes": ["no", "yes"],
                "positive": "yes",
            },
            "chosen": {"generator": "smote", "parameters": {}, "amount": {"ratio": 0.5}, "label": "smote"},
            "certified": {"generator": "smote", "parameters": {}, "amount": {"ratio": 0.5}, "label": "smote"},
            "verdict": verdict,
            "effect": "helps",
            "rows": {"train": 200, "validation": 60, "test": 150, "synthetic": 100, "rejected": 4},
            "utility": {
                "metric": "roc_auc",
                "learners": ["random_forest"],
                "repeats": 5,
                "arms": {
                    "real": {"value": 0.90, "low": 0.88, "high": 0.92},
                    "augmented": {"value": 0.93, "low": 0.91, "high": 0.95},
                },
                "lift": {"value": 0.03, "low": 0.01, "high": 0.05},
                "worth_real_rows": None,
                "worth_reason": "the learning curve is too noisy",
            },
            "gates": [{"gate": "lift", "value": 0.01, "threshold": 0.0, "passed": verdict == "released"}],
        }

    def release(self, store: Path, verdict: str = "released", **changes: object) -> Outcome:
        given = {
            "recipe": self.recipe,
            "store": Store(store),
            "report": self.report(verdict),
            "schema": self.schema,
            "real": self.real,
            "synthetic": self.synthetic,
            "rejected": [self.faults, self.dropped],
            "generator": None,
            "seeds": {"split": 7},
            "stages": [],
            "parents": [],
        }
        return release(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return Small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def released(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a released version; tests only read it."""
    return small.release(tmp_path_factory.mktemp("store")).path


SHAPE = (8, 10, 3)


def pictures(count: int, seed: int) -> pd.DataFrame:
    """Images that are dark or bright, which is their label."""
    random = np.random.default_rng(seed)
    bright = random.random(count) < 0.5
    pixels = random.integers(0, 120, (count, *SHAPE)) + 120 * bright[:, None, None, None]
    labels = np.where(bright, "a bright/one", "dark").astype(object)
    return pd.DataFrame({"image": to_column(pixels.astype(np.uint8)), "label": labels})


class SmallImages(Small):
    """What a release of images is made from."""

    sizes = (("train", 120, 1), ("validation", 30, 2), ("test", 50, 3))

    def __init__(self, folder: Path):
        self.folder = folder
        self.schema = Schema(
            columns=(
                Column(name="image", type="image", shape=SHAPE),
                Column(name="label", type="category"),
            ),
            target="label",
        )
        recipe = {
            "name": "lights",
            "source": {"kind": "image", "path": "lights"},
            "task": {"target": "label"},
        }
        self.recipe = Recipe.model_validate(recipe)
        self.real = {part: [self._write(part, count, seed)] for part, count, seed in self.sizes}
        self.synthetic = [self._write_shard(number) for number in range(2)]
        faults = {"row": [3], "column": ["image"], "value": ["dark/3.png"], "reason": ["is cut off"]}
        self.faults = folder / "faults.parquet"
        pq.write_table(pa.table(faults), self.faults)
        self.dropped = folder / "dropped.parquet"
        table = marked(to_arrow(pictures(4, 77), self.schema), "diffusion", 9)
        pq.write_table(table.append_column("_reason", pa.array(["copies"] * 4)), self.dropped)

    def _write(self, part: str, count: int, seed: int) -> Path:
        path = self.folder / f"{part}.parquet"
        pq.write_table(to_arrow(pictures(count, seed), self.schema), path, row_group_size=13)
        return path

    def _write_shard(self, number: int) -> Path:
        path = self.folder / f"shard-{number}.parquet"
        table = marked(to_arrow(pictures(40, 10 + number), self.schema), "diffusion", 10 + number)
        pq.write_table(table, path)
        return path

    def report(self, verdict: str = "released") -> dict[str, object]:
        task = {"target": "label", "type": "classification", "metric": "accuracy"}
        task |= {"classes": ["a bright/one", "dark"], "positive": "dark"}
        made = {"generator": "diffusion", "parameters": {}, "amount": {"ratio": 0.5}, "label": "diffusion"}
        return {
            **super().report(verdict),
            "name": "lights",
            "recipe": self.recipe.model_dump(mode="json"),
            "task": task,
            "chosen": made,
            "certified": made,
            "rows": {"train": 120, "validation": 30, "test": 50, "synthetic": 80, "rejected": 4},
        }


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> SmallImages:
    return SmallImages(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def released_images(images: SmallImages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a released version of images; tests only read it."""
    return images.release(tmp_path_factory.mktemp("image-store")).path
