"""Real and synthetic rows mixed at a ratio, as a dataset for torch."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset, TensorDataset

from leaven.generators.errors import InputError
from leaven.generators.image.pixels import image_column, to_array
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema
from leaven.pipelines.load import find
from leaven.pipelines.task import Task
from leaven.pipelines.version import Version

MAX_CATEGORIES = 50  # of a column; rarer ones share one feature


class Encoder:
    """Rows -> float32 features: numbers and dates standardised, categories one-hot, with a mark where one is missing.

    Fitted on real train and validation rows alone. Identifiers and free text are left out.
    """

    def __init__(self, schema: Schema, task: Task):
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        self.task = task
        self.numbers = [c.name for c in schema.features if c.type in ("number", "integer", "date", "boolean")]
        self.categories = [c.name for c in schema.features if c.type == "category"]
        number = make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler())
        category = OneHotEncoder(
            handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False
        )
        self._transform = ColumnTransformer(
            [("number", number, self.numbers), ("category", category, self.categories)],
            verbose_feature_names_out=False,
        )

    def fit(self, rows: pd.DataFrame) -> "Encoder":
        self._transform.fit(self._plain(rows))
        self.feature_names = [str(name) for name in self._transform.get_feature_names_out()]
        return self

    def features(self, rows: pd.DataFrame) -> torch.Tensor:
        """float32 (rows, features)."""
        return torch.from_numpy(self._transform.transform(self._plain(rows)).astype(np.float32))

    def target(self, rows: pd.DataFrame) -> torch.Tensor:
        """int64 (rows,) index into the task's classes, or float32 (rows,) for regression."""
        values = rows[self.task.target]
        if self.task.type == "regression":
            return torch.from_numpy(values.to_numpy(dtype=np.float32, na_value=np.nan))
        index = {label: number for number, label in enumerate(self.task.classes)}
        return torch.tensor([index[str(value)] for value in values], dtype=torch.int64)

    def _plain(self, rows: pd.DataFrame) -> pd.DataFrame:
        columns: dict[str, Any] = {}
        for name in self.numbers:
            values = rows[name]
            if pd.api.types.is_datetime64_any_dtype(values):
                values = (values - pd.Timestamp(0)) / pd.Timedelta(days=1)
            columns[name] = values.to_numpy(dtype=float, na_value=np.nan)
        for name in self.categories:
            columns[name] = (
                rows[name].astype(object).where(rows[name].notna(), "(missing)").astype(str).to_numpy()
            )
        return pd.DataFrame(columns, index=range(len(rows)))


class Pixels(Encoder):
    """Images -> uint8 (images, channels, height, width); a dataset gives them as float32 from 0 to 1."""

    def __init__(self, schema: Schema, task: Task):
        self.task, self.column = task, image_column(schema)
        self.feature_names = [self.column.name]

    def fit(self, rows: pd.DataFrame) -> "Pixels":
        return self

    def features(self, rows: pd.DataFrame) -> torch.Tensor:
        assert self.column.shape is not None
        pixels = to_array(rows[self.column.name], self.column.shape)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


class HeldOut(TensorDataset):
    """`(features, target)` of real rows. Images stay uint8 in memory (`tensors`) and come as float32 from 0 to 1."""

    def __getitem__(self, index: Any) -> tuple[torch.Tensor, ...]:
        features, target = super().__getitem__(index)
        return plain(features), target


def plain(features: torch.Tensor) -> torch.Tensor:
    """Features as a network takes them: pixels as float32 from 0 to 1, others as they are."""
    return features.float() / 255 if features.dtype == torch.uint8 else features


class Mix(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Map-style dataset of `(features, target)`: all real train and validation rows, then the synthetic ones.

    Images are float32 (channels, height, width) from 0 to 1.

    Attributes:
        encoder: fitted on the real rows; `encoder.feature_names` says what the features are.
        features: of all rows, float32 (rows, features), or uint8 (rows, channels, height, width) of images.
        target: int64 (rows,) index into `classes`, or float32 (rows,) for regression.
        classes: labels in the order of their indices (empty for regression).
        synthetic: bool (rows,), which rows are synthetic.
    """

    def __init__(self, version: Version, ratio: float | None, seed: int):
        self._version = version
        encoder = Pixels if version.schema.of("image") else Encoder
        self.encoder = encoder(version.schema, version.task)
        self.classes = version.task.classes
        real, made = self._rows("train", "validation"), self._rows("synthetic")
        if ratio is not None:
            wanted = round(ratio * len(real))
            if not 0 <= wanted <= len(made):
                raise InputError(
                    f"ratio {ratio:g}: {wanted:,} synthetic rows for {len(real):,} real ones, but {version} has "
                    f"{len(made):,}; at most {len(made) / max(len(real), 1):.3g}"
                )
            picked = np.sort(np.random.default_rng(seed).choice(len(made), wanted, replace=False))
            made = made.iloc[picked]
        self.encoder.fit(real)
        parts = [part for part in (real, made) if len(part)]
        self.features = torch.cat([self.encoder.features(part) for part in parts])
        self.target = torch.cat([self.encoder.target(part) for part in parts])
        self.synthetic = torch.arange(len(self.target)) >= len(real)

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return plain(self.features[index]), self.target[index]

    def held_out(self, part: str = "test") -> HeldOut:
        """The real `test` rows (or another part) as `(features, target)`, by the same encoder."""
        rows = self._rows(part)
        return HeldOut(self.encoder.features(rows), self.encoder.target(rows))

    def _rows(self, *parts: str) -> pd.DataFrame:
        paths = [path for part in parts for path in self._version.paths(part)]
        if paths:
            return Rows(paths, self._version.schema).frame()
        if parts == ("synthetic",):
            return self._rows("train").iloc[:0]
        raise InputError(f"{self._version}: has no {parts[0]} rows")


def mix(
    name: str | Path,
    ratio: float | None = None,
    seed: int = 0,
    version: str | None = None,
    store: str | Path | None = None,
) -> Mix:
    """Real train and validation rows with `ratio` synthetic ones for each of them, for a torch `DataLoader`.

    Args:
        name: a name in the store, `NAME@VERSION`, or the folder of a version.
        ratio: synthetic rows per real row, drawn without replacement; all there are when left out.
        seed: which synthetic rows are drawn.
        version: its id; the latest released one when left out.
        store: folder or URI of the store; `LEAVEN_STORE`, else `data/store`, when left out.

    Raises:
        InputError: no such version, or not so many synthetic rows.
    """
    return Mix(find(name, version, store), ratio, seed)
