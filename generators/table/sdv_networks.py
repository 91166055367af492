"""SDV's networks: CTGAN, TVAE and CopulaGAN.

Xu, Skoularidou, Cuesta-Infante and Veeramachaneni, "Modeling Tabular Data using Conditional GAN" (NeurIPS 2019).
"""

from abc import abstractmethod
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from leaven.generators.conditions import Conditions
from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import FitError
from leaven.generators.table.base import TableParameters
from leaven.generators.table.sdv import SdvGenerator

Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(min_length=1, max_length=10)]


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

    @abstractmethod
    def _steps_per_epoch(self, rows: int) -> int:
        """Optimizer steps in one epoch."""

    @abstractmethod
    def _class(self) -> Any:
        """SDV's synthesizer."""

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
    compress_dims: Widths = Field((128, 128), description="widths of the encoder's layers")
    decompress_dims: Widths = Field((128, 128), description="widths of the decoder's layers")
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
    generator_dim: Widths = Field((256, 256), description="widths of the generator's residual layers")
    discriminator_dim: Widths = Field((256, 256), description="widths of the discriminator's layers")
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
