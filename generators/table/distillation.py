"""Distillation through rows: features near train rows, labelled by an ensemble that is steadier than one classifier.

What a classifier lacks on few rows is less features than labels around them: an ensemble's opinion of rows that were
never seen, given as rows, lets any classifier learn what the ensemble knows (Bucila, Caruana and Niculescu-Mizil,
"Model compression", KDD 2006). Meant for up to a few thousand train rows.
"""

import functools
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from leaven.generators.conditions import Conditions, met
from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import ConditionError
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.generators.table.base import TableGenerator, TableParameters
from leaven.generators.table.mingling import Mingler
from leaven.generators.table.prepare import Preparation
from leaven.generators.table.sides import Sides
from leaven.generators.table.teacher import Teacher, spread

ARRAYS = "distillation.npz"
MOST_NEIGHBOURS = 500
# Times that a row is proposed, at once, until its label is believed; then the likeliest of them is taken.
TURNS = (1, 5)
BELIEVED = 2.0  # ranks above any chance


class DistillationParameters(TableParameters):
    """Parameters of distillation."""

    max_rows: int = Field(
        5_000, ge=2, description="learns from at most so many train rows; with more, other generators pay"
    )
    neighbors: int | None = Field(
        None,
        ge=1,
        le=1_000,
        description="nearest rows that a row may take values from; left out: 20 and a third of the train rows, "
        "at most 500",
    )
    swap: float = Field(0.95, ge=0, le=1, description="chance that a column's value comes from a neighbour")
    jitter: float = Field(0.05, ge=0, le=1, description="how far numbers move, as a share of the rows")
    temperature: float = Field(
        0.25, ge=0.01, le=10, description="below 1 labels are surer than the ensemble is, above 1 less sure"
    )
    balance: float = Field(
        0.5, ge=0, le=1, description="1: the ensemble weighs classes alike; 0: by their numbers of rows"
    )
    own: float = Field(
        0.8, gt=0, le=1, description="share of rows that start from a train row of the class they are to have"
    )
    folds: int = Field(
        5,
        ge=1,
        le=50,
        description="a row is labelled by an ensemble that has not seen the row it starts from",
    )
    trees: int = Field(60, ge=10, le=2_000, description="trees in each of an ensemble's two forests")


class Distillation(TableGenerator):
    """Mingled features with labels by an ensemble. The files hold the train rows; the ensemble is learned from them, on
    one thread, when the first rows are drawn."""

    name = "distillation"
    Parameters = DistillationParameters

    def _prepare(self, frame: pd.DataFrame, schema: Schema) -> Preparation:
        return Preparation.learn(frame, schema, linked=self._ordered_pairs(schema))

    def _learn(
        self, frame: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        for name in ("sides", "teacher", "typed"):
            self.__dict__.pop(name, None)
        self.seed = seed
        coded, sides = self._ready.encode(frame, seed=None), self.sides
        self.labels = sides.labels(coded)
        self.mingler = Mingler.learn(
            *sides.split(coded),
            sides.missing(coded),
            sides.levels,
            sides.bundles(self._tied),
            neighbours=self.parameters.neighbors or min(20 + len(coded) // 3, MOST_NEIGHBOURS),
            rng=np.random.default_rng(derive(seed, "ranks")),
        )
        count = min(self.parameters.folds, max(1, len(coded) // 4))
        self.folds = spread(self.labels, count, np.random.default_rng(derive(seed, "folds")))
        return Fit()

    @functools.cached_property
    def sides(self) -> Sides:
        """Features and target."""
        assert self.schema is not None
        return Sides(self._ready, self.schema.target)

    @property
    def _tied(self) -> list[tuple[str, ...]]:
        """Columns that a constraint ties together."""
        return [*self._ordered_pairs(self.inner), *(tuple(names) for names in self._combined())]

    @functools.cached_property
    def teacher(self) -> Teacher | None:
        """The ensemble; None where there is nothing to tell apart."""
        return self._taught()

    def _taught(self) -> Teacher | None:
        known = ~np.isnan(self.labels)
        if len(np.unique(self.labels[known])) < 2:
            return None
        classes = self.sides.classes
        return Teacher.learn(
            self.mingler.numbers[known],
            self.mingler.codes[known],
            self.sides.levels,
            self.labels[known].astype(int) if classes else self.labels[known],
            self.folds[known],
            count=int(self.folds.max()) + 1,
            classes=classes,
            trees=self.parameters.trees,
            balance=self.parameters.balance,
            seed=derive(self.seed, "teacher"),
        )

    def _make(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        assert self.schema is not None
        asked = tuple(one for one in conditions if one.column == self.schema.target)
        others = tuple(one for one in conditions if one.column != self.schema.target)
        rng = np.random.default_rng(derive(seed, "draw"))
        if self.sides.classes:
            labels = self._classes(count, asked, rng)
            features = self._believed(labels, others, rng)
            return self._decoded(*features, labels, seed, conditions)
        bases = self._bases(count, np.ones(len(self.labels)), (*asked, *others), rng)
        features = self._near(bases, others, rng)
        values = self._values(*features, bases, rng)
        return self._met(self._decoded(*features, values, seed, conditions), bases, asked, rng)

    # Labels

    def _classes(self, count: int, asked: Conditions, rng: np.random.Generator) -> np.ndarray:
        """A class for each row, float64 (count,): at train's shares, among those asked for; never a missing one."""
        known = self.labels[~np.isnan(self.labels)].astype(int)
        shares = np.bincount(known, minlength=self.sides.classes).astype(float)
        for condition in asked:
            shares[~np.isin(np.arange(len(shares)), self._ready.codes(condition))] = 0
        if not shares.any():
            told = " and ".join(f"'{condition}'" for condition in asked)
            raise ConditionError(f"{self.name}: no class meets {told}")
        return rng.choice(len(shares), count, p=shares / shares.sum()).astype(float)

    def _believed(
        self, labels: np.ndarray, others: Conditions, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features for rows with these labels: proposed again and again, each time taken with the chance that the
        ensemble gives the label, and at last the likeliest of those proposed."""
        numbers = np.empty((len(labels), self.mingler.numbers.shape[1]))
        codes = np.empty((len(labels), self.mingler.codes.shape[1]), dtype=np.int32)
        best, left = np.full(len(labels), -1.0), np.arange(len(labels))
        for times in TURNS:
            asked = np.repeat(labels[left], times)
            bases = np.empty(len(asked), dtype=int)
            for label in np.unique(asked):
                rows = np.flatnonzero(asked == label)
                bases[rows] = self._bases(len(rows), self._starts(label), others, rng)
            made = self._near(bases, others, rng)
            chance = self._chance(*made, asked.astype(int), self.folds[bases])
            chance[self.mingler.copies(*made)] = 0.0  # taken only where nothing else is found
            ranks = np.where(rng.random(len(asked)) < chance, BELIEVED, chance)
            first = ranks.reshape(-1, times).argmax(axis=1) + times * np.arange(len(left))
            better = ranks[first] > best[left]
            rows, taken = left[better], first[better]
            numbers[rows], codes[rows], best[rows] = made[0][taken], made[1][taken], ranks[taken]
            left = left[best[left] < BELIEVED]
            if not len(left):
                break
        return numbers, codes

    def _starts(self, label: float) -> np.ndarray:
        """Chance of each train row to start a row with the label, up to a factor (rows,): `own` for the rows that
        have it together, the rest for the other classes, each of them the same."""
        classes, of, sizes = np.unique(self.labels, return_inverse=True, return_counts=True, equal_nan=True)
        others = (1 - self.parameters.own) / max(len(classes) - 1, 1)
        return (np.where(classes == label, self.parameters.own, others) / sizes)[of]

    def _chance(
        self, numbers: np.ndarray, codes: np.ndarray, labels: np.ndarray, folds: np.ndarray
    ) -> np.ndarray:
        """How likely the ensemble that has not seen the row's start finds its label, (rows,)."""
        if self.teacher is None:
            return np.ones(len(labels))
        logs = self.teacher.chances(numbers, codes, folds) / self.parameters.temperature
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        return shares[np.arange(len(labels)), labels] / shares.sum(axis=1)

    def _values(
        self, numbers: np.ndarray, codes: np.ndarray, bases: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Values of a numeric target, coded (rows,): what the ensemble expects, and an error that it made on train
        rows it had not seen, smaller by the temperature."""
        if self.teacher is None:
            return self.labels[bases]
        error = rng.choice(self.teacher.residuals, len(numbers))
        return self.teacher.values(numbers, codes, self.folds[bases]) + self.parameters.temperature * error

    # Features

    def _bases(
        self, count: int, chance: np.ndarray, conditions: Conditions, rng: np.random.Generator
    ) -> np.ndarray:
        """Train rows to start from, those that meet the conditions if there are any."""
        if conditions:
            inside = chance * met(conditions, self.typed)
            chance = inside if inside.any() else chance
        return rng.choice(len(chance), count, p=chance / chance.sum())

    def _near(
        self, bases: np.ndarray, conditions: Conditions, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features near the bases that meet the conditions."""
        made = self.mingler.draw(bases, rng, swap=self.parameters.swap, jitter=self.parameters.jitter)
        if not conditions:
            return made
        frame = self._decoded(*made, None, int(rng.integers(2**31)), conditions)
        return self.sides.split(self._ready.encode(self._met(frame, bases, conditions, rng), seed=None))

    def _met(
        self, frame: pd.DataFrame, bases: np.ndarray, conditions: Conditions, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Values outside of their condition become the base's or, where it is outside too, another train row's."""
        for name in dict.fromkeys(condition.column for condition in conditions):
            own = tuple(condition for condition in conditions if condition.column == name)
            outside = np.flatnonzero(~met(own, frame))
            donors = np.flatnonzero(met(own, self.typed))
            equal = next((condition for condition in own if condition.op == "="), None)
            if len(outside) and len(donors):
                start = bases[outside]
                other = donors[rng.integers(len(donors), size=len(start))]
                start = np.where(np.isin(start, donors), start, other)
                frame.loc[outside, name] = self.typed[name].iloc[start].to_numpy()
            elif len(outside) and equal is not None:
                frame.loc[outside, name] = rng.choice(np.array(equal.values, dtype=object), len(outside))
        return frame

    def _decoded(
        self,
        numbers: np.ndarray,
        codes: np.ndarray,
        labels: np.ndarray | None,
        seed: int,
        conditions: Conditions,
    ) -> pd.DataFrame:
        return self._ready.decode(self.sides.join(numbers, codes, labels), derive(seed, "decode"), conditions)

    @functools.cached_property
    def typed(self) -> pd.DataFrame:
        """The train rows as they come out, (rows, learned columns)."""
        return self._decoded(self.mingler.numbers, self.mingler.codes, self.labels, 0, ())

    # Files

    def _save(self, directory: Path) -> None:
        np.savez(
            directory / ARRAYS,
            numbers=self.mingler.numbers,
            codes=self.mingler.codes,
            ranks=self.mingler.ranks,
            neighbours=self.mingler.neighbours,
            labels=self.labels,
            folds=self.folds,
            seed=self.seed,
        )

    def _load(self, directory: Path) -> None:
        with np.load(directory / ARRAYS, allow_pickle=False) as arrays:
            self.mingler = Mingler(
                arrays["numbers"],
                arrays["codes"],
                arrays["ranks"],
                arrays["neighbours"],
                self.sides.bundles(self._tied),
            )
            self.labels, self.folds, self.seed = arrays["labels"], arrays["folds"], int(arrays["seed"])
