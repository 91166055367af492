"""Differential privacy of a fit: what is asked, where its noise comes from, and what has been spent.

The promise: whoever sees the fitted generator, or any rows drawn from it, learns almost nothing about whether one
row was among the train rows. Two sets of train rows are neighbours when one has one row more; a fit is
(epsilon, delta)-private when no outcome is more than e^epsilon times likelier for one of them than for the other,
but for a chance of delta (Dwork and Roth, "The Algorithmic Foundations of Differential Privacy", 2014).

One accountant, Opacus' (Renyi differential privacy; Mironov 2017, Mironov, Talwar and Zhang 2019), adds up
everything that a fit learns from rows:

- Histograms of single columns (`private_columns`): a row changes one count of each by one, so each is one Gaussian
  mechanism of sensitivity 1, taken on all rows (sampling rate 1).
- Steps of DP-SGD (`private_training`; Abadi et al. 2016): the sampled Gaussian mechanism.
- Which values of an open list are kept: a value that only one row has stays hidden but for a chance that its noisy
  count passes the threshold. That chance, summed over all such histograms, is a tenth of delta, and the accountant
  works with the rest (Wilkins, Kifer, Zhang and Karrer, "Exact Privacy Analysis of the Gaussian Sparse Histogram
  Mechanism", 2022, their additive bound).

Taken as public: the schema (names, types, nullable or not), how many train rows there are, the target's classes or
that it is a quantity, and the recipe. Every fit spends its own epsilon on its own train rows.
"""

import math
import secrets
import warnings
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from leaven.generators.constraints import Inequality, Positive, Range
from leaven.generators.errors import FitError

OPEN_SHARE = 0.1  # of delta: for values of open lists that pass the threshold by chance
ORDERS = [1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, *range(4, 33), 36, 40, 48, 56, 64, 80, 96, 128, 192, 256, 512]
PUBLIC = (
    "the columns' names and types",
    "the number of train rows",
    "the target's classes, or that it is a quantity",
    "the recipe",
)


class Privacy(BaseModel):
    """What `privacy:` asks for."""

    model_config = ConfigDict(extra="forbid")

    epsilon: float = Field(
        gt=0, le=1000, description="how much may be learned of one row; 1 is strict, 10 weak"
    )
    delta: float | None = Field(
        None, gt=0, lt=1, description="chance that epsilon fails; left out: 1e-5, or less for many rows"
    )
    preprocessing: float = Field(
        0.3, gt=0, lt=1, description="share of epsilon for values, ranges and counts of single columns"
    )
    max_grad_norm: float = Field(1.0, gt=0, description="length to which a row's gradient is cut")

    def delta_for(self, rows: int) -> float:
        """Delta for so many train rows.

        Raises:
            FitError: delta is 1 / rows or more, with which publishing a random row counts as private.
        """
        if self.delta is None:
            return min(1e-5, rows**-1.1 / 2)
        if self.delta >= 1 / rows:
            raise FitError(
                f"privacy: delta is {self.delta:g}, but it must be less than 1 / train rows = {1 / rows:.2g}"
            )
        return self.delta


class Noise:
    """Seeds of everything that must stay secret: noise, and which rows a step takes.

    They come from the operating system and are written down nowhere, so a private fit is never made twice: a fit
    that its manifest's seed repeats would let anybody subtract the noise. Tests give a seed.
    """

    def __init__(self, seed: int | None = None):
        self._known = None if seed is None else np.random.default_rng(seed)

    def seed(self) -> int:
        """A fresh 63-bit seed."""
        if self._known is not None:
            return int(self._known.integers(2**63))
        return secrets.randbits(63)

    def numpy(self) -> np.random.Generator:
        """A fresh generator for noise on counts."""
        return np.random.default_rng(
            self.seed() if self._known is not None else secrets.randbits(128)  # type: ignore[arg-type]
        )


class Ledger:
    """The accountant of one fit: (noise, sampling rate, times) of every mechanism."""

    def __init__(self, asked: Privacy, rows: int):
        """`rows`: train rows, a public number."""
        self.asked, self.rows = asked, rows
        self.delta = asked.delta_for(rows)
        self.spent: list[tuple[float, float, int]] = []

    @property
    def open_delta(self) -> float:
        """Delta for all open lists together."""
        return OPEN_SHARE * self.delta

    def epsilon(self, *more: tuple[float, float, int]) -> float:
        """Epsilon of what was spent, with `more` mechanisms besides.

        Open lists add a little: without the row, an outcome can be likelier by the chance that they kept silent.
        """
        return epsilon_of([*self.spent, *more], self.delta - self.open_delta) - math.log1p(-self.open_delta)

    def add(self, noise: float, rate: float = 1.0, times: int = 1) -> None:
        """Write down `times` uses of a Gaussian mechanism on rows sampled at `rate`.

        `noise` is its standard deviation in units of what one row can change.
        """
        if times:
            self.spent.append((float(noise), float(rate), int(times)))

    def noise_for(self, epsilon: float, rate: float, times: int) -> float:
        """The least noise with which `times` more uses at `rate` stay within `epsilon` in all.

        Raises:
            FitError: no noise does, since too little is left.
        """
        low, high = 0.1, 1.0
        while self.epsilon((high, rate, times)) > epsilon:
            low, high = high, high * 2
            if high > 1e6:
                raise FitError(
                    f"privacy: epsilon {self.asked.epsilon:g} is too little to learn anything with delta "
                    f"{self.delta:g}; ask for a larger one"
                )
        while high / low > 1.002:
            middle = (low * high) ** 0.5
            if self.epsilon((middle, rate, times)) > epsilon:
                low = middle
            else:
                high = middle
        return high


def epsilon_of(spent: list[tuple[float, float, int]], delta: float) -> float:
    """Epsilon at `delta` of Gaussian mechanisms (noise, sampling rate, times), by Opacus' accountant."""
    accountant = opacus().accountants.RDPAccountant()
    accountant.history = list(spent)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the best order is the last one costs a little, not the promise
        return float(accountant.get_epsilon(delta=delta, alphas=ORDERS)) if spent else 0.0


def opacus() -> Any:
    """The library that counts and trains.

    Raises:
        FitError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import opacus
    except ImportError as error:
        raise FitError("privacy needs Opacus: pip install 'leaven[privacy]'") from error
    return opacus


def check(asked: Privacy, rows: int, max_rows: int, constraints: Any) -> None:
    """Refuse at once what cannot be kept.

    Raises:
        FitError: in one line.
    """
    opacus()
    asked.delta_for(rows)
    if rows > max_rows:
        # A sample of fixed size changes two rows when one is added, which the accounting does not cover.
        raise FitError(
            f"privacy: {rows:,} train rows, but max_rows is {max_rows:,}: raise it to learn from all"
        )
    for constraint in constraints:
        if not isinstance(constraint, Inequality | Range | Positive):
            raise FitError(
                f"privacy: the constraint {constraint.kind}({', '.join(constraint.columns_used)}) is learned from "
                "train rows as they are; leave it out"
            )
