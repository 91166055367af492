"""SDV's synthesizers, with what they lack: a stop, progress, and drawing by a condition.

Heavy to import: reached only from `sdv.py`, when it fits, draws or loads.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import ctgan.synthesizers.ctgan
import ctgan.synthesizers.tvae
import numpy as np
import pandas as pd
from copulas.multivariate import GaussianMultivariate
from ctgan.data_sampler import DataSampler
from ctgan.data_transformer import DataTransformer
from scipy import stats
from sdv.single_table import (
    CopulaGANSynthesizer,
    CTGANSynthesizer,
    GaussianCopulaSynthesizer,
    TVAESynthesizer,
)
from torch.optim.optimizer import register_optimizer_step_post_hook

from leaven.generators.contract import Budget, Progress

MIXTURE_ROWS = (
    10_000  # rows that each number's mixture is fitted on; it takes minutes on all of a large table
)


class _Cut(Exception):
    """The budget is spent: training ends here, in the state it has."""


class Training:
    """Counts optimizer steps, tells progress and ends the training when the budget is spent."""

    def __init__(self, name: str, budget: Budget, progress: Progress, expected: int, per_epoch: int):
        self.name, self.budget, self.progress = name, budget, progress
        self.expected, self.per_epoch = max(expected, 1), max(per_epoch, 1)
        self.steps, self.cut = 0, False
        self._told = 0.0

    def step(self, *_: Any) -> None:
        self.steps += 1
        now = time.monotonic()
        if now - self._told > 0.5:
            self._told = now
            epoch = self.steps // self.per_epoch + 1
            whole = -(-self.expected // self.per_epoch)
            self.progress(min(self.steps / self.expected, 1.0), f"{self.name}: epoch {epoch} of {whole}")
        if self.budget.spent(self.steps):
            raise _Cut

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Everything that torch optimizers do inside counts."""
        handle = register_optimizer_step_post_hook(self.step)
        try:
            yield
        except _Cut:
            self.cut = True
        finally:
            handle.remove()


def transformer(progress: Progress, name: str, columns: int) -> Callable[[], DataTransformer]:
    """CTGAN's own preprocessing, telling which column it is at."""

    def make() -> DataTransformer:
        made = _Transformer()
        made.tell = lambda phase, done: progress(0.0, f"{name}: {phase} column {done} of {columns}")
        return made

    return make


class _Transformer(DataTransformer):  # type: ignore[misc]
    tell: Any = None

    def _fit_continuous(self, data: pd.DataFrame) -> Any:
        self._tell("fitting a mixture to")
        if len(data) > MIXTURE_ROWS:
            picked = np.random.default_rng(0).choice(len(data), MIXTURE_ROWS, replace=False)
            data = data.iloc[np.sort(picked)].reset_index(drop=True)
        return super()._fit_continuous(data)

    def _fit_discrete(self, data: pd.DataFrame) -> Any:
        self._tell("counting")
        return super()._fit_discrete(data)

    def _transform_continuous(self, column_transform_info: Any, data: pd.DataFrame) -> Any:
        self._tell("coding")
        return super()._transform_continuous(column_transform_info, data)

    def _parallel_transform(self, raw_data: pd.DataFrame, column_transform_info_list: list[Any]) -> Any:
        # One process: workers would each import torch again, and forget their random state.
        return self._synchronous_transform(raw_data, column_transform_info_list)

    def _tell(self, phase: str) -> None:
        if self.tell is not None:
            self.done = self.__dict__.get("done", {})
            self.done[phase] = self.done.get(phase, 0) + 1
            self.tell(phase, self.done[phase])

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("tell", "done")}


class _Watched:
    """A network's fit inside `Training.watch`; what is learned until a cut stays."""

    training: Training | None = None

    def _fit(self, processed_data: pd.DataFrame) -> None:
        assert self.training is not None
        make = transformer(self.training.progress, self.training.name, processed_data.shape[1])
        with (
            mock.patch.object(ctgan.synthesizers.ctgan, "DataTransformer", make),
            mock.patch.object(ctgan.synthesizers.tvae, "DataTransformer", make),
            self.training.watch(),
        ):
            super()._fit(processed_data)  # type: ignore[misc]


class Tvae(_Watched, TVAESynthesizer):  # type: ignore[misc]
    """SDV's TVAE."""

    def _fit(self, processed_data: pd.DataFrame) -> None:
        super()._fit(processed_data)
        self._model.decoder.sigma.data.clamp_(0.01, 1.0)  # what the cut step left out


class _Conditional(CTGANSynthesizer):  # type: ignore[misc]
    """CTGAN that draws by its own condition vector when told to."""

    wanted: tuple[str, list[tuple[Any, int]]] | None = None  # column, (value, rows) pairs

    def _sample(self, num_rows: int, conditions: Any = None) -> pd.DataFrame:
        if self.wanted is None:
            return self._model.sample(num_rows)
        column, pairs = self.wanted
        parts = [self._model.sample(rows, column, value) for value, rows in pairs if rows]
        return pd.concat(parts, ignore_index=True)


class Ctgan(_Watched, _Conditional):
    """SDV's CTGAN."""


class CopulaGan(_Watched, CopulaGANSynthesizer, _Conditional):  # type: ignore[misc]
    """SDV's CopulaGAN."""


def mend(sampler: DataSampler) -> None:
    """Set a trained CTGAN's sampler right, so that categories come as often as in train.

    ctgan's `sample_original_condvec` is meant to, but draws by the logarithms of the counts with which it trains,
    so rare categories come out many times too often.
    """
    for column, members in enumerate(sampler._rid_by_cat_cols):
        sizes = np.array([len(rows) for rows in members], dtype=float)
        sampler._discrete_column_category_prob[column, : len(sizes)] = sizes / sizes.sum()
    # ctgan leaves these offsets at zero, so that it would condition on another column's category.
    sampler._discrete_column_matrix_st = sampler._discrete_column_cond_st
    sampler._rid_by_cat_cols = []  # train rows of each category: only training needs them


class _Windowed(GaussianMultivariate):  # type: ignore[misc]
    """A Gaussian copula of which one column can be held inside intervals, exactly.

    The rest follows by the residual rule: given z_j, the others are N(R_ij z_j, .), and z_i - R_ij z_j does not
    depend on z_j; so a free draw is moved by R_ij times the change of z_j.
    """

    window: tuple[str, list[tuple[float, float]]] | None = None

    def _get_normal_samples(self, num_rows: int, conditions: Any) -> pd.DataFrame:
        free = super()._get_normal_samples(num_rows, conditions)
        if self.window is None:
            return free
        column, intervals = self.window
        ends, masses = self._masses(column, intervals)
        which = np.random.choice(len(ends), num_rows, p=masses / masses.sum())
        uniform = ends[which, 0] + np.random.random(num_rows) * masses[which]
        held = stats.norm.ppf(np.clip(uniform, 1e-12, 1 - 1e-12))
        shift = held - free[column].to_numpy()
        moved = free.to_numpy() + shift[:, None] * self.correlation[column].to_numpy()[None, :]
        made = pd.DataFrame(moved, columns=free.columns)
        made[column] = held
        return made

    def _masses(self, column: str, intervals: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
        univariate = self.univariates[list(self.columns).index(column)]
        ends = np.array(intervals, dtype=float)
        inside = univariate.cdf(np.nan_to_num(ends, posinf=1e300, neginf=-1e300).ravel())
        inside = np.asarray(inside, dtype=float).reshape(ends.shape)
        inside[np.isposinf(ends)], inside[np.isneginf(ends)] = 1.0, 0.0
        return inside, np.maximum(inside[:, 1] - inside[:, 0], 0.0)

    def mass(self, column: str, intervals: list[tuple[float, float]]) -> float:
        """Probability of the intervals."""
        return float(self._masses(column, intervals)[1].sum())


class Copula(GaussianCopulaSynthesizer):  # type: ignore[misc]
    """SDV's Gaussian copula."""

    def _initialize_model(self, numerical_distributions: Any) -> GaussianMultivariate:
        return _Windowed(distribution=numerical_distributions)
