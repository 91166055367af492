"""Fidelity: do synthetic rows look like real ones? Floor: fresh real rows; ceiling: independent columns."""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines.quality.balls import DENSITY_ROWS, NEIGHBOURS, Balls
from leaven.pipelines.quality.controls import Arms, between
from leaven.pipelines.quality.encode import Encoder
from leaven.pipelines.task import Task
from leaven.pipelines.threads import limited

MAX_PAIRS = 400  # pairs of columns that are looked at; all of them up to 28 columns
FOLDS = 3
LEAST_DETECTED = 50  # rows on either side below which a detector learns nothing: the number is left out


def measure(
    schema: Schema,
    task: Task,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame,
    seed: int,
    max_rows: int = 10_000,
) -> dict[str, dict[str, Any]]:
    """Distances of synthetic rows from train rows.

    Args:
        schema: the columns; identifiers and text are not compared.
        task: unused here; every measure takes one.
        train: what the generator learned from.
        synthetic: the rows to judge.
        fresh: real rows that no generator saw; they take the place of the synthetic ones for the floor.
        seed: of the samples, the shuffles and the folds.
        max_rows: at most so many rows of each; the three arms always have equally many.

    Returns:
        NAME -> {value, floor, ceiling, better, what}.

    Raises:
        ValueError: one of the frames is empty.
    """
    arms = Arms.draw(train, synthetic, fresh, seed, max_rows)
    encoder = Encoder.fit(schema, arms.reference)
    bad = arms.independent
    pairs = Pairs(encoder, arms.reference, derive(seed, "pairs"))
    shown = f"{len(pairs.pairs)} of {pairs.total} pairs of columns, drawn at random" * (
        len(pairs.pairs) < pairs.total
    )
    results = {
        "column_shapes": between(
            arms,
            lambda rows: column_shapes(encoder, arms.reference, rows),
            bad,
            better="lower",
            what="mean distance between the real and synthetic distribution of a column "
            "(Kolmogorov-Smirnov for numbers, total variation for categories and for what is missing)",
        ),
        "density": between(
            arms,
            Neighbourhoods(encoder, arms.reference.iloc[: arms.rows]).density,
            bad,
            better="higher",
            what=f"how many train rows' neighbourhoods (their {NEIGHBOURS} nearest) a synthetic row lies in, "
            "against what is expected of real rows, 1",
        ),
    }
    if arms.rows >= LEAST_DETECTED:
        results["detection"] = between(
            arms,
            lambda rows: detection(schema, arms.reference.iloc[: arms.rows], rows, derive(seed, "folds")),
            bad,
            better="lower",
            what="AUC of a cross-validated boosted tree that tells synthetic from train rows; 0.5: it cannot",
        )
    if pairs.pairs:
        results["pair_trends"] = between(
            arms,
            pairs.error,
            bad,
            better="lower",
            what="mean error of what holds between two columns: half the difference of correlations for numbers, "
            "total variation of the joint table otherwise" + (f"; {shown}" if shown else ""),
        )
    return results


def total_variation(a: np.ndarray, b: np.ndarray) -> float:
    """Total variation distance of two samples of whole numbers >= 0; 1 minus sdmetrics' TVComplement."""
    values, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    counts_a = np.bincount(codes[: len(a)], minlength=len(values))
    counts_b = np.bincount(codes[len(a) :], minlength=len(values))
    return float(np.abs(counts_a / len(a) - counts_b / len(b)).sum() / 2)


def column_shapes(encoder: Encoder, real: pd.DataFrame, rows: pd.DataFrame) -> float:
    """Mean over columns of 1 - sdmetrics' KSComplement or TVComplement.

    A number with missing values also counts the difference of their shares, whichever is worse: the
    library leaves missing values out.
    """
    from scipy.stats import ks_2samp

    errors = []
    for a, b in zip(encoder.numbers(real).T, encoder.numbers(rows).T, strict=True):
        gone_a, gone_b = np.isnan(a), np.isnan(b)
        error = abs(float(gone_a.mean() - gone_b.mean()))
        if not gone_a.all() and not gone_b.all():
            error = max(error, float(ks_2samp(a[~gone_a], b[~gone_b], method="asymp").statistic))
        errors.append(error)
    errors += [
        total_variation(a, b) for a, b in zip(encoder.codes(real).T, encoder.codes(rows).T, strict=True)
    ]
    return float(np.mean(errors)) if errors else 0.0


class Pairs:
    """Trends between pairs of columns, as sdmetrics' column pair trends mean them, with two repairs.

    Numbers are cut at train's quantiles where they meet a category (the library cuts each side at equal
    widths of its own range, so that one outlier moves all bins), and a column that has become constant
    counts as uncorrelated (the library leaves the pair out).
    """

    def __init__(self, encoder: Encoder, real: pd.DataFrame, seed: int):
        self._encoder = encoder
        self._numeric = len(encoder.numeric)
        every = list(itertools.combinations(range(self._numeric + len(encoder.discrete)), 2))
        self.total = len(every)
        if self.total > MAX_PAIRS:
            picked = np.random.default_rng(seed).choice(self.total, MAX_PAIRS, replace=False)
            every = [every[i] for i in np.sort(picked)]
        self.pairs = every
        self._real = self._tables(real)

    def error(self, rows: pd.DataFrame) -> float:
        """Mean error over the pairs, 0 (as in train) to 1."""
        (real_numbers, real_codes), (numbers, codes) = self._real, self._tables(rows)
        errors = []
        for i, j in self.pairs:
            if j < self._numeric:
                a, b = (correlation(table[:, i], table[:, j]) for table in (real_numbers, numbers))
                errors.append(abs(a - b) / 2)
            else:
                width = max(int(real_codes[:, j].max()), int(codes[:, j].max())) + 1
                errors.append(
                    total_variation(
                        real_codes[:, i] * width + real_codes[:, j], codes[:, i] * width + codes[:, j]
                    )
                )
        return float(np.mean(errors))

    def _tables(self, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        codes = np.hstack([self._encoder.bins(rows), self._encoder.codes(rows)])
        return self._encoder.numbers(rows), codes


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation over the rows where both are present; 0 where one is constant."""
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 2:
        return 0.0
    a, b = a[both] - a[both].mean(), b[both] - b[both].mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else 0.0


def detection(schema: Schema, real: pd.DataFrame, rows: pd.DataFrame, seed: int) -> float:
    """Mean AUC over folds of a boosted tree telling `rows` from `real`; 0.5 where there are too few rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    if min(len(real), len(rows)) < 4 * FOLDS:
        return 0.5
    both = pd.concat([real, rows], ignore_index=True)
    # Codes from both: with train's alone, a seldom category that train happens to lack gives real rows away.
    features, categorical = Encoder.fit(schema, both).tree_input(both)
    label = np.repeat([0, 1], [len(real), len(rows)])
    # Equal rows share a fold: else copies of real rows are learned as real and come out below 0.5.
    values, same = np.unique(np.nan_to_num(features, nan=-np.inf), axis=0, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(values)) % FOLDS)[same.ravel()]
    scores = []
    for held in range(FOLDS):
        train, test = fold != held, fold == held
        if len(np.unique(label[test])) < 2 or len(np.unique(label[train])) < 2:
            continue
        tree = HistGradientBoostingClassifier(
            max_iter=100, categorical_features=categorical, early_stopping=False, random_state=seed
        )
        with limited(1, len(features)):
            tree.fit(features[train], label[train])
            scores.append(roc_auc_score(label[test], tree.predict_proba(features[test])[:, 1]))
    return float(np.mean(scores)) if scores else 0.5


class Neighbourhoods:
    """Each real row's ball, out to its k-th nearest real row (Naeem et al. 2020)."""

    def __init__(self, encoder: Encoder, real: pd.DataFrame):
        self._encoder = encoder
        self.balls = Balls(encoder.space(real).astype(np.float64))
        self.points, self.radius = self.balls.points, self.balls.radius

    def density(self, rows: pd.DataFrame) -> float:
        """Mean number of balls that a row lies in, by k: about 1 for real rows."""
        return self.balls.density(self._encoder.space(rows.iloc[:DENSITY_ROWS]).astype(np.float64))

    def coverage(self, rows: pd.DataFrame) -> float:
        """Share of balls that hold a row."""
        return self.balls.coverage(self._encoder.space(rows).astype(np.float64))
