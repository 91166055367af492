"""Our own generator for tables: an any-order autoregressive network over tokens.

Columns become tokens (`vocabulary`), one network predicts any column from any subset of the others (`any_order`),
and rows are drawn column by column (`any_order_draw`). So conditions need no rejection, rows with missing cells can
be completed, and constraints between columns are kept while a row is drawn.
"""

import json
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field

from leaven.generators.conditions import Conditions
from leaven.generators.constraints import FixedCombinations
from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import FitError
from leaven.generators.precision import half_precision
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive, seeded
from leaven.generators.table import vocabulary as words
from leaven.generators.table.base import TableGenerator, TableParameters
from leaven.generators.table.counted import recount
from leaven.generators.table.prepare import Preparation
from leaven.generators.table.private import Privacy
from leaven.generators.table.private_fit import HIDDEN, PrivateFit
from leaven.generators.table.row_draw import RowDraw
from leaven.generators.table.token_rows import TokenRows
from leaven.generators.table.vocabulary import Vocabulary

NETWORK, VOCABULARY, COMBINED = "network.safetensors", "vocabulary.json", "combined_{}.parquet"
LOOKED_AT = 200_000  # rows from which values and cells are learned; the network learns from all


class AutoregressiveParameters(TableParameters):
    """Parameters of the autoregressive generator."""

    max_rows: int = Field(
        50_000_000,
        ge=1,
        description="learns from at most so many train rows, the first ones; read as a stream",
    )
    bins: int = Field(128, ge=2, le=4096, description="cells that a column of numbers is cut into")
    max_categories: int = Field(
        2_000,
        ge=2,
        le=50_000,
        description="categories of a column that are learned one by one; rarer ones share a place",
    )
    rare_below: int = Field(
        5,
        ge=1,
        description="categories seen in fewer train rows are never drawn, since they may point at persons",
    )
    hidden: int | None = Field(
        None, ge=8, le=2048, description="units of a layer; left out: by the number of columns"
    )
    blocks: int = Field(1, ge=1, le=8, description="residual blocks per column")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of a layer's units that a step leaves out")
    epochs: float | None = Field(
        None, gt=0, description="passes over the train rows; left out: by their number"
    )
    batch_rows: int | None = Field(None, ge=1, description="rows of a step; left out: by their number")
    rate: float = Field(2e-3, gt=0, description="learning rate")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's pull of the weights towards 0")
    patience: int = Field(
        4, ge=1, description="looks at the held-out loss without a better one before stopping"
    )
    fixed_order: float = Field(
        0.6,
        ge=0,
        le=1,
        description="share of rows that are learned in the columns' own order, the others in any",
    )
    blind: float = Field(
        0.3, ge=0, le=0.5, description="share of columns that are hidden besides, on average"
    )
    target_weight: float = Field(2.0, gt=0, description="how many times the target's loss counts")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bfloat16 where the processor multiplies it in hardware"
    )
    compile: bool = Field(False, description="compile the network first; pays on long fits on a GPU")
    privacy: Privacy | None = Field(
        None, description="learn with differential privacy: {epsilon: 3}; rows show less of single train rows"
    )


class Autoregressive(TableGenerator):
    """Any-order autoregressive network over tokens."""

    name = "autoregressive"
    Parameters = AutoregressiveParameters

    def __init__(self, parameters: Any = None, constraints: Any = ()):
        super().__init__(parameters, constraints)
        self.network: Any = None
        self.vocabulary: Vocabulary | None = None
        self.combinations: list[Any] = []
        self._rows: Rows | None = None
        self._drawer: RowDraw | None = None
        self._device = "cpu"
        self._units = HIDDEN
        self._private: PrivateFit | None = None

    # Learning

    def _read(self, rows: Rows, seed: int) -> pd.DataFrame:
        p = self.parameters
        self._rows = rows
        self._private = PrivateFit(p, rows, self.constraints) if p.privacy else None
        return rows.frame(p.max_rows if p.privacy else min(LOOKED_AT, p.max_rows), seed)

    def _without_broken(self, frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
        # How many rows break a constraint is not told of private rows.
        return super()._without_broken(frame, [] if self._private else notes)

    def _prepare(self, frame: pd.DataFrame, schema: Schema) -> Preparation:
        if self._private:
            assert self.schema is not None
            self.identifiers = self._private.identifiers(self.schema)
            learned = self._private.prepare(frame, schema)
            self.vocabulary = learned.vocabulary
            return learned.preparation
        combined = {name for columns in self._combined() for name in columns}
        made = Preparation.learn(
            frame, schema, max_categories=self.parameters.max_categories, discrete=combined
        )
        if self._rows is not None and len(self._rows) > LOOKED_AT:
            recount(made, self._rows, self.parameters.max_categories, schema.target)
        self._hidden, self._notes = words.hide_rare(made, schema, self.parameters.rare_below)
        return made

    def _learn(
        self, frame: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        from leaven.generators.table import any_order_fit

        assert self.schema is not None and self._rows is not None
        if self._private:
            self._units = self._width(len(frame))
            return self._learn_privately(frame, seed=seed, budget=budget, device=device, progress=progress)
        p = self.parameters
        bins = min(p.bins, max(16, len(frame) // 50))
        self.vocabulary = Vocabulary.learn(frame, self._ready, bins, self._hidden, self.schema.target)
        self._refuse_too_many()
        self._combine(frame)
        if not self.vocabulary.columns:
            return Fit(notes=["every column is constant or empty: there is nothing to learn"])
        tokens = self._tokens(frame, progress)
        self._units = self._width(len(tokens))
        with seeded(derive(seed, "network"), self.threads):
            self.network = self._made().to(device)
            self.network.begin(tokens.tokens[:LOOKED_AT])
            network = self.network
            if p.compile:
                import torch

                network = torch.compile(network)
            report = any_order_fit.fit(
                network,
                tokens.tokens,
                target=self._target_place(),
                target_weight=p.target_weight,
                order=any_order_fit.Order(p.fixed_order, p.blind, target=self._target_place()),
                epochs=p.epochs,
                batch_rows=p.batch_rows,
                rate=p.rate,
                weight_decay=p.weight_decay,
                patience=p.patience,
                half=half_precision(p.precision, device),
                seed=derive(seed, "train"),
                budget=budget,
                device=device,
                progress=progress,
                name=self.name,
            )
        self.network = self.network.cpu()
        self._device, self._drawer = device, None
        self._forget_hidden()
        report.rows = len(tokens)
        report.notes = self._notes + report.notes
        return report

    def _learn_privately(
        self, frame: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        assert self._private is not None
        self.combinations = []
        self.network, report = self._private.train(
            self._made,
            frame,
            target=self._target_place(),
            seed=seed,
            threads=self.threads,
            budget=budget,
            device=device,
            progress=progress,
            name=self.name,
        )
        self.network = self.network.cpu() if self.network is not None else None
        self._device, self._drawer, self._private = device, None, None
        return report

    def _tokens(self, frame: pd.DataFrame, progress: Progress) -> TokenRows:
        """Tokens of the train rows. They may lie in a file, which goes with the object."""
        assert self.vocabulary is not None and self._rows is not None
        if len(self._rows) <= LOOKED_AT:
            made = TokenRows.of_frame(frame, self.vocabulary, self._ready)
        else:
            made = TokenRows.stream(
                self._rows,
                self.vocabulary,
                self._ready,
                constraints=[  # combinations of a sample are not all there are
                    (constraint, learned)
                    for constraint, learned in zip(self.constraints, self.learned, strict=True)
                    if not isinstance(constraint, FixedCombinations)
                ],
                most=self.parameters.max_rows,
                progress=progress,
                name=self.name,
            )
        if not len(made):
            raise FitError(f"{self.name}: no train row keeps all constraints")
        return made

    def _made(self) -> Any:
        from leaven.generators.table.any_order import AnyOrder

        assert self.vocabulary is not None
        columns = self.vocabulary.columns
        return AnyOrder(
            [self.vocabulary.size(name, self._ready) for name in columns],
            [self.vocabulary.ordered(name) for name in columns],
            self._units,
            self.parameters.blocks,
            self.parameters.dropout,
        )

    def _width(self, rows: int) -> int:
        """Units of a layer: few where rows are few or columns many."""
        if self.parameters.privacy:
            return self.parameters.hidden or HIDDEN
        columns = len(self._words.columns)
        by_columns = 256 if columns <= 40 else 128 if columns <= 150 else 64
        by_rows = 256 if rows >= 5_000 else 128 if rows >= 1_500 else 64
        return self.parameters.hidden or min(by_columns, by_rows)

    def _refuse_too_many(self) -> None:
        for name in self._words.columns:
            if self._words.size(name, self._ready) > words.MOST_TOKENS:
                raise FitError(
                    f"{self.name}: column '{name}' has {self._words.size(name, self._ready):,} values that must be "
                    f"learned one by one, since it is the target or in fixed combinations; at most "
                    f"{words.MOST_TOKENS:,} can be"
                )

    def _target_place(self) -> int | None:
        assert self.vocabulary is not None and self.schema is not None
        columns = self.vocabulary.columns
        return columns.index(self.schema.target) if self.schema.target in columns else None

    def _combine(self, frame: pd.DataFrame) -> None:
        from leaven.generators.table.combined import Combination

        self.combinations = []
        assert self.vocabulary is not None
        for columns in self._combined():
            own = [name for name in columns if name in self.vocabulary.columns]
            if len(own) > 1:
                counted = frame.groupby(own, dropna=False, sort=True).size().reset_index(name="_rows")
                rows = frame[own].head(0)
                rows = pd.concat([rows, counted[own].astype(rows.dtypes.to_dict())], ignore_index=True)
                self.combinations.append(
                    Combination(rows, counted["_rows"].to_numpy(), self.vocabulary, self._ready)
                )

    def _forget_hidden(self) -> None:
        """Combinations with values too rare to be shown are not kept: what is saved may be handed on."""
        for place, constraint in enumerate(self.constraints):
            for combination in self.combinations:
                if isinstance(constraint, FixedCombinations) and set(combination.columns) == set(
                    constraint.columns
                ):
                    combination.keep_shown()
                    self.learned[place] = constraint.learn(combination.rows)

    # Drawing

    def _make(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        shape = (count, len(self._words.columns))
        tokens, known = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
        return self._drawing().rows(tokens, known, chunk=self._chunk, seed=seed, conditions=conditions)

    def _complete(self, frame: pd.DataFrame, *, seed: int) -> pd.DataFrame:
        tokens, known = self._words.encode(frame, self._ready)
        for place, name in enumerate(self._words.columns):
            if name in frame:
                known[:, place] &= frame[name].notna().to_numpy()
        tokens = tokens.astype(np.int64)
        return self._drawing().rows(tokens, known, chunk=self._chunk, seed=seed, given=frame)

    @property
    def _chunk(self) -> int:
        from leaven.generators.table.any_order_draw import CHUNK

        return CHUNK["cuda" if self._device.startswith("cuda") else "cpu"]

    def to(self, device: str) -> Self:
        if device != self._device:
            self._device, self._drawer = device, None
        return self

    def _drawing(self) -> RowDraw:
        from leaven.generators.table.any_order_draw import Drawer

        if self._drawer is None:
            half = half_precision(self.parameters.precision, self._device)
            network = None
            if self.network is not None:
                network = Drawer(self.network.to(self._device), self._device, half)
            self._drawer = RowDraw(
                self._words, self._ready, self.constraints, self.combinations, network, self.threads
            )
        return self._drawer

    @property
    def _words(self) -> Vocabulary:
        if self.vocabulary is None:
            raise FitError(f"{self.name} is not fitted yet")
        return self.vocabulary

    # Files

    def _save(self, directory: Path) -> None:
        state = {
            "vocabulary": self._words.model_dump(mode="json"),
            "units": self._units,
            "counts": [combination.counts.tolist() for combination in self.combinations],
        }
        (directory / VOCABULARY).write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        for number, combination in enumerate(self.combinations):
            combination.rows.to_parquet(directory / COMBINED.format(number))
        if self.network is not None:
            from safetensors.torch import save_file

            network = self.network.to("cpu")
            save_file(network.state_dict(), str(directory / NETWORK))
            self._drawer = None

    def _load(self, directory: Path) -> None:
        from leaven.generators.table.combined import Combination

        state = json.loads((directory / VOCABULARY).read_text(encoding="utf-8"))
        self.vocabulary, self._units = Vocabulary.model_validate(state["vocabulary"]), state["units"]
        self.combinations = []
        for number, counts in enumerate(state["counts"]):
            rows = pd.read_parquet(directory / COMBINED.format(number))
            self.combinations.append(Combination(rows, np.array(counts), self.vocabulary, self._ready))
        if (directory / NETWORK).exists():
            from safetensors.torch import load_file

            self.network = self._made()
            self.network.load_state_dict(load_file(str(directory / NETWORK)))
        self._drawer = None
