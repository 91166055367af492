"""The cheap ways to treat rare classes and rare targets, which synthetic rows must beat."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines.quality.utility import Arm
from leaven.pipelines.task import Task

NEIGHBOURS = 5
MOST_SOURCES = (
    4_000  # rows of a class among which SMOTE looks for neighbours: its time grows with their square
)
BINS = 10  # ranges of a regression target
MOST_REPEATS = 5  # how often a row with a rare target is repeated at most


def classic_arms(
    task: Task, schema: Schema, real: pd.DataFrame, extra: list[pd.DataFrame], seed: int
) -> list[Arm]:
    """The classic arms over the real rows and `extra` ones: class_weights, oversampling, smote.

    SMOTE is left out where a class has one row only, or no feature. A regression has the oversampling of rare ranges.
    """
    frames = [real, *extra]
    if task.type == "regression":
        return [Arm("oversampling", frames, resample=_OversampleRanges(task.target))]
    arms = [
        Arm("class_weights", frames, class_weight=True),
        Arm("oversampling", frames, resample=_Oversample(task.target)),
    ]
    rows = real[task.target].value_counts()
    if schema.features and len(rows) > 1 and rows.min() > 1:
        arms.append(Arm("smote", frames, resample=Smote(schema, task)))
    return arms


@dataclass(frozen=True)
class _Oversample:
    """Repeats rows of the smaller classes until each class is as large as the largest."""

    target: str

    def __call__(self, rows: pd.DataFrame, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        codes, _ = pd.factorize(rows[self.target], sort=True)
        counts = np.bincount(codes[codes >= 0])
        drawn = [
            rng.choice(np.flatnonzero(codes == code), counts.max() - own, replace=True)
            for code, own in enumerate(counts)
        ]
        return rows.iloc[rng.permutation(np.concatenate(drawn))]


@dataclass(frozen=True)
class _OversampleRanges:
    """Repeats rows whose target lies in a rare range, up to half of the most frequent range."""

    target: str

    def __call__(self, rows: pd.DataFrame, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        values = pd.to_numeric(rows[self.target], errors="coerce").to_numpy(float, na_value=np.nan)
        low, high = np.nanquantile(values, [0.01, 0.99])
        edges = np.linspace(low, high, BINS + 1)[1:-1]
        bins = np.where(np.isnan(values), -1, np.searchsorted(edges, values))
        counts = np.bincount(bins[bins >= 0], minlength=BINS)
        drawn = []
        for number, own in enumerate(counts):
            missing = min(counts.max() // 2 - own, own * (MOST_REPEATS - 1))
            if own and missing > 0:
                drawn.append(rng.choice(np.flatnonzero(bins == number), missing, replace=True))
        return rows.iloc[rng.permutation(np.concatenate(drawn))] if drawn else rows.iloc[:0]


@dataclass(frozen=True)
class Smote:
    """SMOTE, SMOTE-NC or SMOTE-N of imbalanced-learn: rows between a row and a neighbour of its class.

    Missing numbers are filled by the median while neighbours are sought; whether the new row's number is missing is
    voted by the neighbours, like a category. A class too small for five neighbours takes as many as it has; a class
    of one row stays as it is.
    """

    schema: Schema
    task: Task

    def __call__(self, rows: pd.DataFrame, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(derive("smote", seed))
        labels, distinct = pd.factorize(rows[self.task.target], sort=True)
        counts = np.bincount(labels, minlength=len(distinct))
        wanted = {code: int(counts.max() - own) for code, own in enumerate(counts) if 1 < own < counts.max()}
        if not wanted:
            return rows.iloc[:0]
        sources = np.concatenate(
            [_some(np.flatnonzero(labels == code), rng) for code in range(len(distinct)) if counts[code] > 1]
        )
        part, part_labels = rows.iloc[sources], labels[sources]
        table, categorical, back = self._encode(part)
        have = {code: int((part_labels == code).sum()) for code in wanted}
        made, made_labels = table.iloc[:0], part_labels[:0]
        for neighbours in sorted({min(NEIGHBOURS, own - 1) for own in have.values()}):
            codes = [code for code in wanted if min(NEIGHBOURS, have[code] - 1) == neighbours]
            # Only the classes to be enlarged, and one other, since imbalanced-learn wants two.
            other = next(code for code in np.argsort(-counts, kind="stable") if code not in codes)
            chosen = np.isin(part_labels, [*codes, other])
            target = {code: have[code] + wanted[code] for code in codes}
            target[int(other)] = int((part_labels == other).sum())
            sampler = _sampler(categorical, table.shape[1], target, neighbours, seed)
            new, new_labels = sampler.fit_resample(table[chosen].reset_index(drop=True), part_labels[chosen])
            made = pd.concat([made, new.iloc[chosen.sum() :]], ignore_index=True)
            made_labels = np.concatenate([made_labels, np.asarray(new_labels)[chosen.sum() :]])
        frame = self._decode(made, back)
        frame[self.task.target] = pd.Series(distinct[made_labels]).astype(rows[self.task.target].dtype)
        order = rng.permutation(len(frame))
        return frame.iloc[order].reset_index(drop=True)[rows.columns.intersection(frame.columns, sort=False)]

    def _encode(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[bool], dict[str, Any]]:
        """Rows -> float table, which of its columns are categorical, and what `_decode` needs."""
        columns: dict[str, np.ndarray] = {}
        categorical: list[bool] = []
        back: dict[str, Any] = {}
        for column in self.schema.features:
            values = rows[column.name]
            if column.type in ("category", "boolean"):
                codes, distinct = pd.factorize(values)
                columns[column.name] = codes.astype(float)
                categorical.append(True)
                back[column.name] = (values.dtype, distinct)
                continue
            numbers = (
                values.astype("int64").where(values.notna()) if column.type == "date" else values
            ).to_numpy(float, na_value=np.nan)
            missing = ~np.isfinite(numbers)
            median = float(np.median(numbers[~missing])) if not missing.all() else 0.0
            columns[column.name] = np.where(missing, median, numbers)
            categorical.append(False)
            bounds = (numbers[~missing].min(), numbers[~missing].max()) if not missing.all() else (0.0, 0.0)
            back[column.name] = (values.dtype, bounds)
            if missing.any():
                columns[f"{column.name}\0missing"] = missing.astype(float)
                categorical.append(True)
        return pd.DataFrame(columns), categorical, back

    def _decode(self, made: pd.DataFrame, back: dict[str, Any]) -> pd.DataFrame:
        """The float table's rows in the house's types."""
        frame = {}
        for column in self.schema.features:
            dtype, known = back[column.name]
            values = made[column.name].to_numpy(float)
            if column.type in ("category", "boolean"):
                codes = values.astype(int)
                frame[column.name] = pd.Series(pd.Series(known).reindex(codes).to_numpy(), dtype=dtype)
                continue
            flag = f"{column.name}\0missing"
            missing = made[flag].to_numpy() > 0.5 if flag in made else np.zeros(len(made), bool)
            values = np.clip(values, *known)
            if column.type == "number":
                series = pd.Series(values)
            else:
                series = pd.Series(
                    np.rint(values).astype("int64"), dtype="Int64" if column.type == "integer" else None
                )
                series = series.astype(dtype)
            frame[column.name] = series.mask(missing)
        return pd.DataFrame(frame, index=range(len(made)))


def _sampler(categorical: list[bool], width: int, target: dict[int, int], neighbours: int, seed: int) -> Any:
    """The member of the SMOTE family for the columns that there are."""
    from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC

    shared = {"sampling_strategy": target, "k_neighbors": neighbours, "random_state": seed}
    if not any(categorical):
        return SMOTE(**shared)
    if all(categorical):
        return SMOTEN(**shared)
    return SMOTENC(categorical_features=[n for n in range(width) if categorical[n]], **shared)


def _some(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At most MOST_SOURCES of the rows, in order."""
    return rows if len(rows) <= MOST_SOURCES else np.sort(rng.choice(rows, MOST_SOURCES, replace=False))
