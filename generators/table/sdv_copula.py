"""SDV's Gaussian copula.

Patki, Wedge and Veeramachaneni, "The Synthetic Data Vault" (DSAA 2016).
"""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from leaven.generators.conditions import Condition, Conditions
from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.seeds import derive
from leaven.generators.table.base import TableParameters
from leaven.generators.table.marginals import Marginal
from leaven.generators.table.sdv import SdvGenerator

MARGINALS = "marginals.json"
TRIALS = (1_000, 4_000)  # rows of the fits from which a full one's time is guessed
LEAST_ROWS = 500  # fitted on even when the budget is spent: less says nothing


class CopulaParameters(TableParameters):
    """Parameters of the Gaussian copula."""

    max_rows: int = Field(
        200_000, ge=1, description="learns from at most so many train rows, a random sample"
    )
    max_categories: int = Field(
        1_000,
        ge=2,
        description="categories of a column that are learned one by one; rarer ones share a place",
    )
    default_distribution: Literal[
        "empirical", "norm", "beta", "truncnorm", "gamma", "uniform", "gaussian_kde"
    ] = Field(
        "empirical",
        description="family of each number's marginal; empirical: as in train (SDV's own default is beta)",
    )
    order_categories: bool = Field(
        True, description="order each column's categories by how they go with the target, not by appearance"
    )


class GaussianCopula(SdvGenerator):
    """SDV's Gaussian copula. Numbers of a constrained pair keep a beta marginal."""

    name = "gaussian_copula"
    Parameters = CopulaParameters

    def _synthesizer(self, metadata: Any, device: str) -> Any:
        from leaven.generators.table.sdv_models import Copula

        family = self.parameters.default_distribution
        if family == "empirical":  # ranks are uniform, and so is SDV's code of categories
            family = "beta" if self._ready.linked else "uniform"
        return Copula(
            metadata,
            enforce_min_max_values=False,
            enforce_rounding=False,
            default_distribution=family,
            numerical_distributions=dict.fromkeys(self.marginals, "uniform"),
        )

    def _train(
        self, coded: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        """It has no steps, so a short budget means fewer rows: as many as a small trial says will do."""
        notes: list[str] = []
        coded = self._ranked(coded, np.random.default_rng(derive(seed, "ranks")))
        rows = self._affordable(coded, budget, device)
        whole = rows == len(coded)
        if not whole:
            notes.append(f"the budget allowed {rows:,} of {len(coded):,} rows")
            order = np.random.default_rng(derive(seed, "subset")).permutation(len(coded))
            coded = coded.iloc[np.sort(order[:rows])].reset_index(drop=True)
        progress(0.1, f"{self.name}: fitting {coded.shape[1]} columns of {len(coded):,} rows")
        self.model = self._fitted(coded, device, notes)
        return Fit(steps=rows, stopped_by="done" if whole else "budget", rows=rows, notes=notes)

    def _ranked(self, coded: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """Numbers as evenly spread ranks; learns their marginals."""
        self.marginals: dict[str, Marginal] = {}
        if self.parameters.default_distribution == "empirical":
            tied = {self._ready.keys[name] for pair in self._ready.linked for name in pair}
            for key in self._ready.numeric:
                if key not in tied:
                    values = coded[key].to_numpy()
                    self.marginals[key] = Marginal.learn(values)
                    coded[key] = Marginal.ranks(values, rng)
        return coded

    def _affordable(self, coded: pd.DataFrame, budget: Budget, device: str) -> int:
        total = len(coded)
        if budget.steps is not None:
            return min(max(budget.steps, 1), total)
        # A cell takes some microseconds: only a short budget or a large table is worth a trial.
        if (
            budget.seconds is None
            or total <= TRIALS[1]
            or coded.size * 3e-5 < budget.seconds - budget.elapsed
        ):
            return total
        taken = []
        for rows in (TRIALS[0], *TRIALS):  # the first one only loads libraries
            start = budget.elapsed
            self._fitted(coded.iloc[:rows].reset_index(drop=True), device, [])
            taken.append(budget.elapsed - start)
        for_a_row = max((taken[2] - taken[1]) / (TRIALS[1] - TRIALS[0]), 1e-7)
        left = 0.8 * (budget.seconds - budget.elapsed) - taken[1]
        return int(np.clip(left / for_a_row, LEAST_ROWS, total))

    def _transformers(self, coded: pd.DataFrame) -> dict[str, Any]:
        """A copula knows only more and less: categories in the target's order let it see what goes with it."""
        from rdt.transformers import OrderedUniformEncoder

        assert self.schema is not None
        target = self._ready.codings[self.schema.target]
        if not self.parameters.order_categories or target.form not in ("discrete", "numeric"):
            return {}
        own = self._ready.keys[target.name]
        score = coded[own].astype(float)
        if target.form == "discrete" and target.levels > 2:
            score = (score > 0).astype(float)  # the most frequent class has code 0
        found = {}
        for key in self._ready.discrete:
            if key != own:
                groups = score.groupby(coded[key])
                # Ten average rows more: a category seen once says little.
                means = (groups.sum() + 10 * score.mean()) / (groups.size() + 10)
                order = means.sort_values(kind="stable").index
                found[key] = OrderedUniformEncoder(order=[f"v{code}" for code in order])
        return found

    def _draw(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        drawn = super()._draw(count, seed=seed, conditions=conditions)
        if self.model is not None:
            for key, marginal in self.marginals.items():
                drawn[key] = marginal.invert(drawn[key].to_numpy())
        return drawn

    def _guide(self, count: int, seed: int, conditions: Conditions) -> None:
        """Hold the column with the rarest condition inside it; the others are left to drawing again."""
        network = self.model._model
        network.window = None
        best = 1.0
        for column in {condition.column: None for condition in conditions}:
            asked = [condition for condition in conditions if condition.column == column]
            intervals = self._intervals(asked)
            key = self._ready.keys[column]
            if intervals and key in network.columns:
                mass = network.mass(key, intervals)
                if 0 < mass < best:
                    best, network.window = mass, (key, intervals)

    def _intervals(self, asked: list[Condition]) -> list[tuple[float, float]]:
        """Where the conditions on one column hold, in the model's own space."""
        coding = self._ready.codings[asked[0].column]
        key = self._ready.keys[coding.name]
        if coding.form == "discrete":
            codes = set(self._ready.codes(asked[0])).intersection(*(self._ready.codes(c) for c in asked[1:]))
            places = self.model.get_transformers().get(key)
            known = getattr(places, "intervals", None) or {}
            return [tuple(known[f"v{code}"]) for code in sorted(codes) if f"v{code}" in known]
        if coding.form != "numeric":
            return []
        held = [(-np.inf, np.inf)]
        for condition in asked:
            windows = self._ready.windows(condition)
            held = [(max(a, c), min(b, d)) for a, b in held for c, d in windows if max(a, c) <= min(b, d)]
        if key in self.marginals:
            return [self.marginals[key].span(*span) for span in held]
        ends = [(coding.minimum, -np.inf), (coding.maximum, np.inf)]
        (low, below), (high, above) = [
            ((float(v or 0) - coding.origin) / coding.scale, far) for v, far in ends
        ]
        # What the model draws beyond train's ends is clipped to them.
        return [(below if a <= low else a, above if b >= high else b) for a, b in held]

    def _save(self, directory: Path) -> None:
        super()._save(directory)
        marginals = {key: marginal.model_dump() for key, marginal in self.marginals.items()}
        (directory / MARGINALS).write_text(json.dumps(marginals), encoding="utf-8")

    def _load(self, directory: Path) -> None:
        super()._load(directory)
        marginals = json.loads((directory / MARGINALS).read_text(encoding="utf-8"))
        self.marginals = {key: Marginal.model_validate(own) for key, own in marginals.items()}
