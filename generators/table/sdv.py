"""SDV's generators for tables: Gaussian copula, CTGAN, TVAE, CopulaGAN.

Patki, Wedge and Veeramachaneni, "The Synthetic Data Vault" (DSAA 2016); Xu, Skoularidou, Cuesta-Infante and
Veeramachaneni, "Modeling Tabular Data using Conditional GAN" (NeurIPS 2019), for CTGAN and TVAE.
"""

import contextlib
import io
import json
import logging
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from leaven.generators.conditions import Condition, Conditions
from leaven.generators.constraints import FixedCombinations, Inequality
from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import FitError, LeavenError
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive, seeded
from leaven.generators.table.base import TableGenerator, TableParameters
from leaven.generators.table.marginals import Marginal
from leaven.generators.table.prepare import Preparation

MODEL = "model.pkl"
MARGINALS = "marginals.json"
TABLE = "rows"
LOG = logging.getLogger(__name__)
Width = Field(ge=1, le=8192)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """SDV warns and prints about what is decided here; it goes to the debug log."""
    said = io.StringIO()
    loggers = [
        logging.getLogger(name) for name in ("sdv", "rdt", "copulas", "ctgan", "SingleTableSynthesizer")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if said.getvalue():
            LOG.debug("%s", said.getvalue())


class SdvGenerator(TableGenerator):
    """What SDV's generators share: metadata from the schema, constraints, seeds, files."""

    draw_missing = False  # missing values are learned, like everything else
    discrete_up_to = 2  # a number with at most so many distinct values is learned as a category
    model: Any = None  # None when every column is constant: nothing is to be learned

    @abstractmethod
    def _synthesizer(self, metadata: Any, device: str) -> Any:
        """A fresh SDV synthesizer."""

    @abstractmethod
    def _train(
        self, coded: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        """Fit on coded rows; sets `self.model`."""

    def _guide(self, count: int, seed: int, conditions: Conditions) -> None:
        """Set the model up so that it draws by the conditions, as far as it can."""

    def _transformers(self, coded: pd.DataFrame) -> dict[str, Any]:
        """Transformers that are not SDV's default, by coded column."""
        return {}

    def _prepare(self, frame: pd.DataFrame, schema: Schema) -> Preparation:
        return Preparation.learn(
            frame,
            schema,
            max_categories=self.parameters.max_categories,
            discrete_up_to=self.discrete_up_to,
            discrete={name for names in self._combined() for name in names},
            linked=self._ordered_pairs(schema),
            draw_missing=self.draw_missing,
        )

    def _learn(
        self, frame: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        self.model = None
        coded = self._ready.encode(frame, derive(seed, "fill"))
        if coded.shape[1] == 0:
            return Fit(notes=["every column is constant: nothing to learn"])
        progress(0.0, f"{self.name}: preprocessing {coded.shape[1]} columns of {len(coded):,} rows")
        try:
            with seeded(derive(seed, "fit"), self.threads), _quiet():
                return self._train(coded, seed=seed, budget=budget, device=device, progress=progress)
        except LeavenError:
            raise
        except (Exception, AssertionError) as error:
            LOG.debug("%s failed", self.name, exc_info=True)
            said = str(error).strip().splitlines()
            raise FitError(
                f"{self.name}: SDV failed with {type(error).__name__}: {said[0] if said else ''}"
            ) from error

    def _fitted(self, coded: pd.DataFrame, device: str, notes: list[str], **attributes: Any) -> Any:
        """A synthesizer fitted on coded rows, with SDV's constraints if it accepts them."""
        from sdv.metadata import Metadata

        columns = {key: {"sdtype": "numerical"} for key in self._ready.numeric}
        columns |= {key: {"sdtype": "categorical"} for key in self._ready.discrete}
        described = {"tables": {TABLE: {"columns": {key: columns[key] for key in coded.columns}}}}
        texts = coded.copy()
        for key in self._ready.discrete:
            texts[key] = np.array([f"v{code}" for code in range(max(coded[key].max() + 1, 1))], dtype=object)[
                coded[key]
            ]
        constraints = self._native()
        for own in [constraints, []] if constraints else [[]]:
            model = self._synthesizer(Metadata.load_from_dict(described), device)
            for name, value in attributes.items():
                setattr(model, name, value)
            # When and under which number it was made would make equal fits unequal files.
            model._synthesizer_id, model._creation_date = self.name, ""
            try:
                if own:
                    model.add_constraints(own)
                if special := self._transformers(coded):
                    model.auto_assign_transformers({TABLE: texts})
                    assigned = model.get_transformers()
                    model.update_transformers({key: made for key, made in special.items() if key in assigned})
                model.fit({TABLE: texts})
            except Exception as error:
                if not own:
                    raise
                LOG.debug("SDV refused the constraints", exc_info=True)
                notes.append(
                    f"SDV refused the constraints ({type(error).__name__}); rows that break one are drawn again"
                )
                continue
            model._fitted_date = ""
            return model

    def _native(self) -> list[Any]:
        """The recipe's constraints as SDV's, where it has them; the others are kept by drawing again."""
        from sdv import cag

        keys, found = self._ready.keys, []
        for constraint in self.constraints:
            if isinstance(constraint, Inequality) and (constraint.low, constraint.high) in self._ready.linked:
                found.append(
                    cag.Inequality(
                        keys[constraint.low], keys[constraint.high], strict_boundaries=constraint.strict
                    )
                )
            elif isinstance(constraint, FixedCombinations):
                names = [n for n in constraint.columns if self._ready.codings[n].form == "discrete"]
                if len(names) > 1:
                    found.append(cag.FixedCombinations([keys[name] for name in names]))
        return found

    def _draw(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        if self.model is None:
            return pd.DataFrame(index=pd.RangeIndex(count))
        with seeded(seed, self.threads), _quiet():
            self.model.reset_sampling()
            self.model._set_random_state(seed)
            self._guide(count, seed, conditions)
            drawn = self.model.sample(num_rows=count)[TABLE].reset_index(drop=True)
        coded = {}
        for key in self._ready.numeric:
            coded[key] = drawn[key].to_numpy(dtype="float64")
        for key, levels in self._ready.discrete.items():
            tokens = pd.Index([f"v{code}" for code in range(levels)], dtype=object)
            codes = tokens.get_indexer(pd.Index(drawn[key].astype(object)))
            coded[key] = np.maximum(codes, 0)
        return pd.DataFrame(coded)

    def _save(self, directory: Path) -> None:
        import cloudpickle

        with (directory / MODEL).open("wb") as file:
            cloudpickle.dump(self.model, file)

    def _load(self, directory: Path) -> None:
        import cloudpickle

        with (directory / MODEL).open("rb") as file, _quiet():
            self.model = cloudpickle.load(file)
        self._on_cpu()

    def _on_cpu(self) -> None:
        """Rows are drawn on the processor everywhere, so that a graphics card does not change them."""
        network: Any = getattr(self.model, "_model", None)
        if hasattr(network, "set_device"):
            network.set_device("cpu")


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
        trial = 2_000
        # A cell takes some microseconds: only a short budget or a large table is worth a trial.
        if budget.seconds is None or total <= trial or coded.size * 1e-4 < budget.seconds - budget.elapsed:
            return total
        start = budget.elapsed
        self._fitted(coded.iloc[:trial].reset_index(drop=True), device, [])
        taken = max(budget.elapsed - start, 1e-3)
        return int(np.clip(trial * (budget.seconds - budget.elapsed) / taken, 500, total))

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


class NetworkParameters(TableParameters):
    """Parameters of SDV's networks."""

    max_rows: int = Field(
        200_000, ge=1, description="learns from at most so many train rows, a random sample"
    )
    max_categories: int = Field(
        100, ge=2, description="categories of a column that are learned one by one; rarer ones share a place"
    )
    epochs: int = Field(300, ge=1, le=1_000_000, description="times the rows are gone through")
    batch_size: int = Field(500, ge=2, le=100_000, description="rows in one step")


class _Network(SdvGenerator):
    """What SDV's networks share."""

    discrete_up_to = 10
    _outside = ("max_rows", "max_categories")  # parameters that SDV does not know

    def _steps_per_epoch(self, rows: int) -> int:
        """Optimizer steps in one epoch."""
        raise NotImplementedError

    def _class(self) -> Any:
        raise NotImplementedError

    def _synthesizer(self, metadata: Any, device: str) -> Any:
        return self._class()(
            metadata,
            enforce_min_max_values=False,
            enforce_rounding=False,
            enable_gpu=device == "cuda",
            **self.parameters.model_dump(exclude=set(self._outside)),
        )

    def _train(
        self, coded: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        from leaven.generators.table.sdv_models import Training

        notes: list[str] = []
        epoch = self._steps_per_epoch(len(coded))
        training = Training(self.name, budget, progress, epoch * self.parameters.epochs, epoch)
        self.model = self._fitted(coded, device, notes, training=training)
        self.model.training = None
        self._settle()
        self._on_cpu()
        self._finite()
        if training.cut:
            notes.append(f"the budget ended the fit after {training.steps:,} of {training.expected:,} steps")
        return Fit(
            steps=training.steps,
            stopped_by="budget" if training.cut else "done",
            notes=notes,
            losses=self._losses(),
        )

    def _settle(self) -> None:
        """What is left to do when training has ended."""

    def _finite(self) -> None:
        import torch

        network = self.model._model
        parts: Any = getattr(network, "decoder", None) or getattr(network, "_generator", None)
        if not all(torch.isfinite(values).all() for values in parts.parameters()):
            raise FitError(f"{self.name}: training diverged (parameters are not finite)")

    def _losses(self, most: int = 300) -> list[dict[str, float]]:
        losses = self.model._model.loss_values
        if losses is None or losses.empty:
            return []
        means = losses.drop(columns=["Batch"], errors="ignore").astype(float).groupby("Epoch").mean()
        means = means.dropna(axis=1, how="all").reset_index().iloc[:: max(1, len(means) // most)]
        means.columns = [str(name).lower().replace(" ", "_") for name in means.columns]
        return means.to_dict(orient="records")


class TvaeParameters(NetworkParameters):
    """Parameters of TVAE."""

    embedding_dim: int = Field(128, ge=1, le=8192, description="size of the latent vector")
    compress_dims: tuple[int, ...] = Field((128, 128), description="widths of the encoder's layers")
    decompress_dims: tuple[int, ...] = Field((128, 128), description="widths of the decoder's layers")
    l2scale: float = Field(1e-5, ge=0, description="weight decay")
    loss_factor: float = Field(
        2.0, gt=0, description="weight of the reconstruction against the KL divergence"
    )


class TVAE(_Network):
    """SDV's tabular variational autoencoder. Conditions are met by drawing again.

    It takes the likeliest category, so what is missing now and then would never be: missing values are drawn at
    random, by their share.
    """

    name = "tvae"
    draw_missing = True
    Parameters = TvaeParameters

    def _class(self) -> Any:
        from leaven.generators.table.sdv_models import Tvae

        return Tvae

    def _steps_per_epoch(self, rows: int) -> int:
        return -(-rows // self.parameters.batch_size)


class CtganParameters(NetworkParameters):
    """Parameters of CTGAN."""

    embedding_dim: int = Field(128, ge=1, le=8192, description="size of the noise vector")
    generator_dim: tuple[int, ...] = Field(
        (256, 256), description="widths of the generator's residual layers"
    )
    discriminator_dim: tuple[int, ...] = Field((256, 256), description="widths of the discriminator's layers")
    generator_lr: float = Field(2e-4, gt=0, description="the generator's learning rate")
    generator_decay: float = Field(1e-6, ge=0, description="the generator's weight decay")
    discriminator_lr: float = Field(2e-4, gt=0, description="the discriminator's learning rate")
    discriminator_decay: float = Field(1e-6, ge=0, description="the discriminator's weight decay")
    discriminator_steps: int = Field(
        1, ge=1, le=100, description="discriminator steps for each generator step"
    )
    log_frequency: bool = Field(True, description="show categories by the logarithm of their counts")
    pac: int = Field(10, ge=1, le=1000, description="rows that the discriminator judges together")

    @model_validator(mode="after")
    def _batch(self) -> "CtganParameters":
        if self.batch_size % 2 or self.batch_size % self.pac:
            raise ValueError(f"batch_size {self.batch_size} must be even and a multiple of pac ({self.pac})")
        return self


class CTGAN(_Network):
    """SDV's conditional tabular GAN. One condition on a category is drawn by the network's own condition vector."""

    name = "ctgan"
    Parameters = CtganParameters

    def _class(self) -> Any:
        from leaven.generators.table.sdv_models import Ctgan

        return Ctgan

    def _steps_per_epoch(self, rows: int) -> int:
        return max(rows // self.parameters.batch_size, 1) * (self.parameters.discriminator_steps + 1)

    def _settle(self) -> None:
        from leaven.generators.table.sdv_models import mend

        mend(self.model._model._data_sampler)

    def _guide(self, count: int, seed: int, conditions: Conditions) -> None:
        """Condition the network on the rarest of the asked-for categories."""
        self.model.wanted = None
        best = 1.0
        columns = {info.column_name for info in self.model._model._transformer._column_transform_info_list}
        for condition in conditions:
            coding, key = self._ready.codings[condition.column], self._ready.keys[condition.column]
            if coding.form != "discrete" or key not in columns:
                continue
            sizes = np.array([*coding.counts, sum(coding.rest_counts)], dtype=float)
            codes = self._ready.codes(condition)
            share = sizes[codes].sum() / sizes.sum()
            if 0 < share < best:
                best = share
                rows = np.random.default_rng(seed).multinomial(count, sizes[codes] / sizes[codes].sum())
                pairs = [(f"v{code}", int(n)) for code, n in zip(codes, rows, strict=True)]
                self.model.wanted = (key, pairs)


class CopulaGanParameters(CtganParameters):
    """Parameters of CopulaGAN."""

    default_distribution: Literal["norm", "beta", "truncnorm", "gamma", "uniform"] = Field(
        "beta", description="family by which each number is made normal first"
    )


class CopulaGAN(CTGAN):
    """SDV's CTGAN on numbers made normal by a copula's marginals."""

    name = "copula_gan"
    Parameters = CopulaGanParameters

    def _class(self) -> Any:
        from leaven.generators.table.sdv_models import CopulaGan

        return CopulaGan
