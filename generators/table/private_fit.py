"""A private fit of the autoregressive generator: columns from noisy histograms, network by DP-SGD, and what it cost."""

from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import FitError
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive, seeded
from leaven.generators.table import private_columns
from leaven.generators.table.identifiers import Pattern
from leaven.generators.table.private import PUBLIC, Ledger, Noise, Privacy, check, epsilon_of

HIDDEN = 32  # units of a layer where nothing is asked: noise grows with the number of parameters
USUAL: dict[str, Any] = {
    # Under noise few long steps are as good as many short ones, and little is learned besides what rows are drawn by.
    "bins": 64,
    "rate": 0.01,
    "fixed_order": 0.8,
    "blind": 0.1,
    "target_weight": 2.0,
}
FIRST_INTEGER = 10**15  # of new identifiers

SECRET: int | None = None
"""A seed for the noise, for tests alone. None: from the operating system, as the promise needs."""


class PrivateFit:
    """One private fit: its ledger, its noise, and what it learned of single columns."""

    def __init__(self, parameters: Any, rows: Rows, constraints: Any):
        """Raises FitError in one line for what cannot be kept."""
        asked: Privacy = parameters.privacy
        check(asked, len(rows), parameters.max_rows, constraints)
        if parameters.dropout:
            raise FitError("privacy: dropout must be 0, since gradients are cut row by row without it")
        self.parameters = parameters
        self.ledger, self.noise = Ledger(asked, len(rows)), Noise(SECRET)
        self.columns: private_columns.Learned | None = None

    def given(self, name: str) -> Any:
        """A parameter as it was given, else what suits a private fit."""
        asked = name in self.parameters.model_fields_set and getattr(self.parameters, name) is not None
        if asked:
            return getattr(self.parameters, name)
        if name == "epochs":  # with less noise more of them pay: 10 up to epsilon 3, 30 from 9 on
            return 10.0 * float(np.clip(self.ledger.asked.epsilon / 3, 1, 3))
        return USUAL[name]

    def identifiers(self, schema: Schema) -> dict[str, Pattern]:
        """New identifiers that look like none of the real ones in particular."""
        return {
            column.name: Pattern(form="integer", start=FIRST_INTEGER)
            if column.storage == "int64"
            else Pattern(form="uuid", salt=column.name)
            for column in schema
            if column.type == "identifier"
        }

    def prepare(self, frame: pd.DataFrame, schema: Schema) -> private_columns.Learned:
        """Values, ranges and counts of all columns."""
        p = self.parameters
        self.columns = private_columns.learn(
            frame,
            schema,
            self.ledger,
            self.noise,
            bins=self.given("bins"),
            max_categories=p.max_categories,
            rare_below=p.rare_below,
        )
        return self.columns

    def train(
        self,
        made: Any,
        frame: pd.DataFrame,
        *,
        target: int | None,
        seed: int,
        threads: int,
        budget: Budget,
        device: str,
        progress: Progress,
        name: str,
    ) -> tuple[Any, Fit]:
        """The trained network and its report. `made` makes a network for the vocabulary."""
        from leaven.generators.table import private_training
        from leaven.generators.table.any_order_fit import Order

        assert self.columns is not None
        p, words = self.parameters, self.columns.vocabulary
        rows = self.ledger.rows
        network, report = None, Fit(notes=["every column is empty: there is nothing to learn"])
        if words.columns:
            tokens, _ = words.encode(frame, self.columns.preparation)
            plan = private_training.Steps.planned(
                rows, self.given("epochs"), p.batch_rows, self.given("rate"), p.weight_decay
            )
            with seeded(derive(seed, "network"), threads):
                network = made().to(device)
                private_training.begin(network, [self.columns.counts[column] for column in words.columns])
                report = private_training.train(
                    network,
                    tokens,
                    plan=plan,
                    ledger=self.ledger,
                    noise=self.noise,
                    target=target,
                    target_weight=self.given("target_weight"),
                    order=Order(self.given("fixed_order"), self.given("blind"), target=target),
                    budget=budget,
                    device=device,
                    progress=progress,
                    name=name,
                )
        report.rows = rows
        report.privacy = self.spent()
        report.notes = [self._told(report.privacy), *self.columns.notes, *report.notes]
        return network, report

    def spent(self) -> dict[str, Any]:
        """What was asked and what was spent, for the report."""
        ledger, columns = self.ledger, self.columns
        assert columns is not None
        delta = ledger.delta - ledger.open_delta
        training = ledger.spent[1:]
        return {
            "epsilon": _up(ledger.epsilon(), 4),
            "asked": ledger.asked.epsilon,
            "delta": ledger.delta,
            "columns": {
                "epsilon": _up(epsilon_of(ledger.spent[:1], delta), 4),
                "histograms": columns.histograms,
                "noise": round(columns.noise, 3),
                "threshold": round(columns.threshold, 1),
            },
            "training": {
                "epsilon": _up(epsilon_of(training, delta), 4),
                "noise_multiplier": round(training[0][0], 4) if training else None,
                "sampling_rate": training[0][1] if training else None,
                "steps": training[0][2] if training else 0,
                "max_grad_norm": ledger.asked.max_grad_norm,
            },
            "neighbours": "one row more or less",
            "accountant": "Opacus, Renyi differential privacy",
            "public": list(PUBLIC),
        }

    @staticmethod
    def _told(spent: dict[str, Any]) -> str:
        parts = [_up(spent[part]["epsilon"]) for part in ("columns", "training")]
        return (
            f"privacy: epsilon {_up(spent['epsilon']):.2f} of {spent['asked']:g} spent (delta {spent['delta']:.2g}; "
            f"one row more or less): on its own {parts[0]:.2f} for values, ranges and counts of columns, "
            f"{parts[1]:.2f} for training; together they cost less than their sum. It holds for the generator and "
            "all rows it draws, not for what screens, choice and report read of real rows"
        )


def _up(epsilon: float, digits: int = 2) -> float:
    """Rounded up: less must not be said than was spent."""
    return float(np.ceil(epsilon * 10**digits - 1e-6) / 10**digits)
