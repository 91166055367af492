"""Distillation through rows: features near train rows, labelled by an ensemble that is steadier than one classifier.

What a single classifier lacks on few rows is not features but labels around them: the ensemble's opinion of rows
that were never seen, given as rows, lets any classifier learn what the ensemble knows (Bucila, Caruana and
Niculescu-Mizil, "Model compression", KDD 2006). Meant for up to a few thousand train rows.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from leaven.generators.conditions import Conditions, met
from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import ConditionError
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.generators.table.base import TableGenerator, TableParameters
from leaven.generators.table.mingling import Bundle, Mingler
from leaven.generators.table.prepare import Preparation
from leaven.generators.table.teacher import Teacher

ARRAYS = "distillation.npz"
ROUNDS = 6  # times that a row is proposed until its label is believed; then the likeliest of them is taken


class DistillationParameters(TableParameters):
    """Parameters of distillation."""

    max_rows: int = Field(
        5_000, ge=2, description="learns from at most so many train rows; with more, other generators pay"
    )
    neighbors: int = Field(10, ge=1, le=200, description="nearest rows that a row may take values from")
    swap: float = Field(0.3, ge=0, le=1, description="chance that a column's value comes from a neighbour")
    jitter: float = Field(0.02, ge=0, le=1, description="how far numbers move, as a share of the rows")
    temperature: float = Field(
        0.5, ge=0.01, le=10, description="below 1 labels are surer than the ensemble is, above 1 less sure"
    )
    balance: float = Field(
        1.0,
        ge=0,
        le=1,
        description="0: labels at their natural shares; 1: as if classes were equally frequent",
    )
    own: float = Field(
        0.5, gt=0, le=1, description="share of rows that start from a train row of the class they are to have"
    )
    trees: int = Field(200, ge=10, le=2_000, description="trees in each of the ensemble's two forests")


class Distillation(TableGenerator):
    """Mingled features with labels by an ensemble. The files hold the train rows; the ensemble is learned again from
    them, on one thread, when the first rows are drawn."""

    name = "distillation"
    Parameters = DistillationParameters

    def _prepare(self, frame: pd.DataFrame, schema: Schema) -> Preparation:
        return Preparation.learn(frame, schema, linked=self._ordered_pairs(schema))

    def _learn(
        self, frame: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        coded = self._ready.encode(frame, seed=None)
        self.seed = seed
        self._take(coded)
        marks = ["m" + key[1:] for key in self._features[0]]
        missing = np.array([coded[mark] == 1 if mark in coded else np.zeros(len(coded)) for mark in marks])
        self.mingler = Mingler.learn(
            *self._split(coded),
            missing.reshape(len(marks), len(coded)).T.astype(bool),
            self._levels,
            self._bundles(),
            neighbours=self.parameters.neighbors,
            rng=np.random.default_rng(derive(seed, "ranks")),
        )
        progress(0.3, f"{self.name}: learning labels")
        self._forget()
        _ = self.teacher
        return Fit()

    def _take(self, coded: pd.DataFrame) -> None:
        """Keep each row's class code (-1: unknown) or target value, float64 (rows,); zeros without a target."""
        coding, key = self._target
        if coding is None or coding.form not in ("discrete", "numeric"):
            self.labels = np.zeros(len(coded))
        elif coding.form == "discrete":
            codes = coded[key].to_numpy()
            self.labels = np.where(codes == coding.absent, -1, codes).astype(float)
        else:
            absent = coded["m" + key[1:]].to_numpy() == 1 if coding.marked else np.zeros(len(coded), bool)
            self.labels = np.where(absent, np.nan, coded[key].to_numpy(dtype=float))

    def _forget(self) -> None:
        for name in ("teacher", "typed"):
            self.__dict__.pop(name, None)

    @property
    def _target(self) -> tuple[Any, str]:
        """The target's coding (None where it is computed from other columns) and its coded column."""
        assert self.schema is not None
        name = self.schema.target
        return self._ready.codings.get(name), self._ready.keys.get(name, "")

    @property
    def _features(self) -> tuple[list[str], list[str]]:
        """Coded columns without the target's: numeric, discrete."""
        own = {self._target[1], "m" + self._target[1][1:]}
        return (
            [key for key in self._ready.numeric if key not in own],
            [key for key in self._ready.discrete if key not in own],
        )

    @property
    def _levels(self) -> list[int]:
        return [self._ready.discrete[key] for key in self._features[1]]

    def _split(self, coded: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Coded rows -> numbers float64 (rows, numeric), codes int32 (rows, discrete), of the features."""
        numeric, discrete = self._features
        return coded[numeric].to_numpy(dtype=np.float64), coded[discrete].to_numpy(dtype=np.int32)

    def _bundles(self) -> tuple[Bundle, ...]:
        """A bundle for each column, and one for the columns that a constraint ties together."""
        numeric, discrete = self._features
        groups = [{name} for name in self._ready.codings]
        tied = [{*names} for names in (*self._ordered_pairs(self._inner_schema), *self._combined())]
        for names in tied:
            joined = [group for group in groups if group & names]
            groups = [group for group in groups if not group & names] + [set().union(*joined)]
        made = []
        for group in groups:
            keys = {self._ready.keys[name] for name in group}
            keys |= {"m" + key[1:] for key in keys}
            made.append(
                Bundle(
                    tuple(place for place, key in enumerate(numeric) if key in keys),
                    tuple(place for place, key in enumerate(discrete) if key in keys),
                    fixed=len(group) > 1,
                )
            )
        return tuple(bundle for bundle in made if bundle.numbers or bundle.codes)

    @property
    def _inner_schema(self) -> Schema:
        assert self.schema is not None
        inside = tuple(column for column in self.schema if column.name in self._ready.codings)
        return self.schema.model_copy(update={"columns": inside})

    @functools.cached_property
    def teacher(self) -> Teacher | None:
        """The ensemble, learned again where it is needed; None where there is nothing to tell apart."""
        coding, _ = self._target
        if coding is None or coding.form not in ("discrete", "numeric"):
            return None
        known = np.isfinite(self.labels) & ((self.labels >= 0) | (not self._classes))
        if known.sum() < 2 or len(np.unique(self.labels[known])) < 2:
            return None
        return Teacher.learn(
            self.mingler.numbers[known],
            self.mingler.codes[known],
            self._levels,
            self.labels[known].astype(int) if self._classes else self.labels[known],
            classes=self._classes,
            trees=self.parameters.trees,
            balance=self.parameters.balance,
            seed=derive(self.seed, "teacher") % 2**31,
        )

    # Drawing

    def _make(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        coding, key = self._target
        asked = tuple(one for one in conditions if coding is not None and one.column == coding.name)
        others = tuple(one for one in conditions if one not in asked)
        rng = np.random.default_rng(derive(seed, "draw"))
        if self._classes:
            wanted = self._wanted(count, asked, rng)
            numbers, codes = self._believed(wanted, others, rng)
            return self._decoded(numbers, codes, {key: wanted}, seed, conditions)
        inside = met(asked, self.typed)
        chance = np.where(inside, 1.0, 0.0) if inside.any() else np.ones(len(inside))
        bases = self._bases(count, chance, others, rng)
        numbers, codes = self._near(bases, others, rng)
        if coding is None or coding.form != "numeric":
            return self._decoded(numbers, codes, {}, seed, conditions)
        values = (
            np.full(count, np.nanmean(self.labels))
            if self.teacher is None
            else self._values(numbers, codes, rng)
        )
        target = {key: values} | ({"m" + key[1:]: np.zeros(count, int)} if coding.marked else {})
        return self._met(self._decoded(numbers, codes, target, seed, conditions), bases, asked, rng)

    @property
    def _classes(self) -> int:
        """Number of the target's classes; 0 where it has none."""
        coding, _ = self._target
        if coding is None or coding.form != "discrete":
            return 0
        return len(coding.values)

    def _wanted(self, count: int, asked: Conditions, rng: np.random.Generator) -> np.ndarray:
        """A class for each row, int (count,): at train's shares, among those asked for. Never a missing one."""
        shares = np.bincount(self.labels[self.labels >= 0].astype(int), minlength=self._classes).astype(float)
        for condition in asked:
            allowed = np.zeros(len(shares))
            allowed[[code for code in self._ready.codes(condition) if code < len(shares)]] = 1
            shares *= allowed
        if not shares.any():
            told = " and ".join(f"'{condition}'" for condition in asked)
            raise ConditionError(f"{self.name}: no class meets {told}")
        return rng.choice(len(shares), count, p=shares / shares.sum())

    def _believed(
        self, wanted: np.ndarray, others: Conditions, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features for rows of the `wanted` classes: proposed again and again, each time taken with the chance that
        the ensemble gives their class, and at last the likeliest of those proposed."""
        numbers = np.empty((len(wanted), self.mingler.numbers.shape[1]))
        codes = np.empty((len(wanted), self.mingler.codes.shape[1]), dtype=np.int32)
        best, left = np.full(len(wanted), -1.0), np.arange(len(wanted))
        for _ in range(ROUNDS):
            bases = np.empty(len(left), dtype=int)
            for label in np.unique(wanted[left]):
                own = np.flatnonzero(wanted[left] == label)
                bases[own] = self._bases(len(own), self._starts(label), others, rng)
            made = self._near(bases, others, rng)
            chance = self._chance(*made, wanted[left])
            rank = np.where(rng.random(len(left)) < chance, 2.0, chance)
            better = rank > best[left]
            rows = left[better]
            numbers[rows], codes[rows], best[rows] = made[0][better], made[1][better], rank[better]
            left = left[best[left] < 2]
            if not len(left):
                break
        return numbers, codes

    def _starts(self, label: int) -> np.ndarray:
        """Chance of each train row to start a row of the class, up to a factor (rows,): `own` for the class's rows
        together, the rest for the other classes, each the same."""
        labels, sizes = np.unique(self.labels, return_counts=True)
        share = np.where(
            labels == label, self.parameters.own, (1 - self.parameters.own) / max(len(labels) - 1, 1)
        )
        return (share / sizes)[np.searchsorted(labels, self.labels)]

    def _bases(
        self, count: int, chance: np.ndarray, others: Conditions, rng: np.random.Generator
    ) -> np.ndarray:
        """Train rows to start from, those that meet the conditions if there are any."""
        if others:
            inside = chance * met(others, self.typed)
            chance = inside if inside.any() else chance
        return rng.choice(len(chance), count, p=chance / chance.sum())

    def _near(
        self, bases: np.ndarray, others: Conditions, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features near the bases that meet the conditions."""
        made = self.mingler.draw(bases, rng, swap=self.parameters.swap, jitter=self.parameters.jitter)
        if not others:
            return made
        frame = self._decoded(*made, {}, int(rng.integers(2**31)), others)
        return self._split(self._ready.encode(self._met(frame, bases, others, rng), seed=None))

    def _met(
        self, frame: pd.DataFrame, bases: np.ndarray, conditions: Conditions, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Values outside of their condition become the base's, or, where it too is outside, another train row's."""
        for name in dict.fromkeys(condition.column for condition in conditions):
            own = tuple(condition for condition in conditions if condition.column == name)
            outside = np.flatnonzero(~met(own, frame))
            if not len(outside):
                continue
            start, donors = bases[outside], np.flatnonzero(met(own, self.typed))
            if len(donors):
                fits = np.isin(start, donors)
                start = np.where(fits, start, donors[rng.integers(len(donors), size=len(start))])
                frame.loc[outside, name] = self.typed[name].iloc[start].to_numpy()
            elif equal := [condition for condition in own if condition.op == "="]:
                frame.loc[outside, name] = rng.choice(np.array(equal[0].values, dtype=object), len(outside))
        return frame

    def _chance(self, numbers: np.ndarray, codes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """How likely the ensemble finds the wanted class of each row, (rows,)."""
        if self.teacher is None:
            return np.ones(len(wanted))
        logs = self.teacher.chances(numbers, codes) / self.parameters.temperature
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        return shares[np.arange(len(wanted)), wanted] / shares.sum(axis=1)

    def _values(self, numbers: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Values of a numeric target, coded (rows,): what the ensemble expects, and an error it made on rows that
        its forests had not seen, smaller by the temperature."""
        assert self.teacher is not None
        error = rng.choice(self.teacher.residuals, len(numbers))
        return self.teacher.values(numbers, codes) + self.parameters.temperature * error

    def _decoded(
        self,
        numbers: np.ndarray,
        codes: np.ndarray,
        target: dict[str, np.ndarray],
        seed: int,
        asked: Conditions,
    ) -> pd.DataFrame:
        """Features and the target's coded columns (left at its first value without) as typed rows."""
        numeric, discrete = self._features
        columns: dict[str, Any] = dict.fromkeys((*self._ready.numeric, *self._ready.discrete), 0)
        columns |= {key: numbers[:, place] for place, key in enumerate(numeric)}
        columns |= {key: codes[:, place] for place, key in enumerate(discrete)}
        coded = pd.DataFrame(columns | target, index=pd.RangeIndex(len(numbers)))
        return self._ready.decode(coded, derive(seed, "decode"), asked)

    @functools.cached_property
    def typed(self) -> pd.DataFrame:
        """The train rows as they come out, (rows, learnable columns)."""
        coding, key = self._target
        target: dict[str, np.ndarray] = {}
        if coding is not None and coding.form == "discrete":
            unknown = coding.absent if coding.absent is not None else 0
            target = {key: np.where(self.labels < 0, unknown, self.labels).astype(int)}
        elif coding is not None and coding.form == "numeric":
            target = {key: np.nan_to_num(self.labels)}
            if coding.marked:
                target["m" + key[1:]] = np.isnan(self.labels).astype(int)
        return self._decoded(self.mingler.numbers, self.mingler.codes, target, 0, ())

    def _save(self, directory: Path) -> None:
        np.savez(
            directory / ARRAYS,
            numbers=self.mingler.numbers,
            codes=self.mingler.codes,
            ranks=self.mingler.ranks,
            neighbours=self.mingler.neighbours,
            labels=self.labels,
            seed=self.seed,
        )

    def _load(self, directory: Path) -> None:
        with np.load(directory / ARRAYS, allow_pickle=False) as arrays:
            self.mingler = Mingler(
                arrays["numbers"],
                arrays["codes"],
                arrays["ranks"],
                arrays["neighbours"],
                self._bundles(),
            )
            self.labels, self.seed = arrays["labels"], int(arrays["seed"])
