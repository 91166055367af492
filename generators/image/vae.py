"""A conditional variational autoencoder, with features of a classifier among what it is judged by and a learned prior.

Kingma and Welling, "Auto-Encoding Variational Bayes" (ICLR 2014); the error's scale is learned as in Rybkin et al.,
"Simple and Effective VAE Training with Calibrated Decoders" (ICML 2021), features as in Hou et al., "Deep Feature
Consistent VAE" (WACV 2017), the prior is flow matching on the codes as in Vahdat et al. (NeurIPS 2021).
"""

from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.image import augment
from leaven.generators.image.coder import Coder
from leaven.generators.image.network import NetworkGenerator, scaled, to_pixels
from leaven.generators.image.parameters import VAEParameters
from leaven.generators.seeds import derive

CODES = "codes.safetensors"
MOST_CODES = 20_000  # train images that rows are made between
PRIOR_STEPS = 24  # from noise to a code
NEAR = 0.15  # of the way between two train images, nearer than which no row is to either


class VAE(NetworkGenerator):
    """An encoder, a decoder and a prior of the codes, all told the class, trained together."""

    name = "vae"
    Parameters = VAEParameters

    def _build(self) -> Coder:
        height, width, channels = self.shape
        asked = self.parameters
        return Coder(channels, (height, width), len(self.classes), augment.TOLD, asked.width, asked.latent)

    def _learn(
        self,
        pixels: np.ndarray,
        labels: np.ndarray,
        *,
        seed: int,
        budget: Budget,
        device: str,
        progress: Progress,
    ) -> Fit:
        report = super()._learn(pixels, labels, seed=seed, budget=budget, device=device, progress=progress)
        rng = np.random.default_rng(derive(seed, "codes"))
        kept = np.sort(rng.permutation(len(labels))[:MOST_CODES])
        self.known, self.rows = torch.from_numpy(labels[kept]), torch.from_numpy(kept)
        self.codes = self._encoded(pixels[kept], self.known)
        return report

    def _encoded(self, pixels: np.ndarray, labels: Tensor) -> Tensor:
        """The codes of images, float32 (n, latent)."""
        network, parts = cast(Coder, self._fitted()), []
        with self.computing(self.device), torch.inference_mode(), self.cast():
            for start in range(0, len(pixels), self.draw_batch):
                images = scaled(torch.from_numpy(pixels[start : start + self.draw_batch]).to(self.device))
                own = labels[start : start + self.draw_batch].to(self.device)
                parts.append(network.encode(images, own, _nothing(own))[0].float().cpu())
        return torch.cat(parts)

    def _loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        network = cast(Coder, network)
        count, device = len(images), images.device
        told = _nothing(labels)
        if network.training:
            images, told = augment.changed(images, self.parameters.augment, generator)
        mean, spread = network.encode(images, labels, told)
        codes = mean + spread * torch.randn(mean.shape, generator=generator, device=device)
        made = network.decode(codes, labels, told).float()
        error = network.scales.unlikely(0, (made - images).abs())
        divergence = 0.5 * (mean**2 + spread**2 - 1) - spread.log()
        loss = error + self.parameters.divergence * divergence.sum(1).mean() / images[0].numel()
        times = torch.rand(count, generator=generator, device=device)
        noise = torch.randn(mean.shape, generator=generator, device=device)
        mixed = torch.lerp(codes.detach(), noise, times[:, None])
        flow = network.prior(mixed, times, labels, told).float()
        loss = loss + F.mse_loss(flow, noise - codes.detach())
        if network.training and self.parameters.features:
            loss = (
                loss + network.judge(images, labels) + self.parameters.features * network.unlike(made, images)
            )
        return loss

    @property
    def role(self) -> Literal["sampler", "editor"]:  # type: ignore[override]
        """What is made out of train images resembles them by design."""
        return "editor" if self.parameters.interpolate else "sampler"

    def _make(self, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        self._nearer: list[Tensor] = []
        made, _ = super()._make(labels, seed)
        return made, torch.cat(self._nearer)[: len(labels)].numpy() if self._nearer else None

    def _draw(self, network: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        network = cast(Coder, network)
        if self.parameters.interpolate:
            codes, nearer = self._between(labels, generator)
            self._nearer.append(nearer)
            return network.decode(codes, labels, _nothing(labels))
        return self._glimpse(network, labels, generator)

    def _glimpse(self, network: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Out of the prior: train images have no codes yet."""
        network = cast(Coder, network)
        codes = self._from_noise(network, labels, self._noise(len(labels), generator))
        return network.decode(codes, labels, _nothing(labels))

    def _noise(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, self.parameters.latent, generator=generator, device=self.device)

    def _between(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Codes between those of two train images of each class (or of one), and the row of the nearer one."""
        draws = torch.rand(len(labels), 3, generator=generator, device=self.device).cpu()
        order = torch.argsort(self.known, stable=True)
        counts = torch.bincount(self.known, minlength=len(self.classes))
        own, start = counts[labels.cpu()], (counts.cumsum(0) - counts)[labels.cpu()]
        first = (draws[:, 0] * own).long()
        second = (first + 1 + (draws[:, 1] * (own - 1)).long()) % own
        share = NEAR + (1 - 2 * NEAR) * draws[:, 2:]
        one, other = order[start + first], order[start + second]
        nearer = self.rows[torch.where(share[:, 0] < 0.5, one, other)]
        return torch.lerp(self.codes[one], self.codes[other], share).to(self.device), nearer

    def _from_noise(self, network: Coder, labels: Tensor, noise: Tensor) -> Tensor:
        """Codes as the prior has them, by two-step Adams-Bashforth."""
        codes, before = noise, None
        for number in range(PRIOR_STEPS):
            time = torch.full((len(labels),), 1 - number / PRIOR_STEPS, device=labels.device)
            flow = network.prior(codes, time, labels, _nothing(labels)).float()
            codes = codes - (flow if before is None else 1.5 * flow - 0.5 * before) / PRIOR_STEPS
            before = flow
        return codes

    def walk(self, steps: int, seed: int, classes: int = 10) -> np.ndarray:
        """From one image to another of each of the first classes, uint8 (steps, classes, h, w, c)."""
        network, count = cast(Coder, self._fitted()), min(classes, len(self.classes))
        with self.computing(self.device), torch.inference_mode(), self.cast():
            generator = torch.Generator(self.device).manual_seed(derive(seed, "walk"))
            labels = torch.arange(count, device=self.device)
            ends = [self._from_noise(network, labels, self._noise(count, generator)) for _ in range(2)]
            shares = [step / max(1, steps - 1) for step in range(steps)]
            made = [
                network.decode(torch.lerp(ends[0], ends[1], share), labels, _nothing(labels))
                for share in shares
            ]
        return np.stack([to_pixels(images) for images in made])

    def _save(self, directory: Path) -> None:
        from safetensors.torch import save_file

        super()._save(directory)
        save_file({"codes": self.codes, "labels": self.known, "rows": self.rows}, directory / CODES)

    def _load(self, directory: Path) -> None:
        from safetensors.torch import load_file

        super()._load(directory)
        kept = load_file(directory / CODES)
        self.codes, self.known, self.rows = kept["codes"], kept["labels"], kept["rows"]


def _nothing(labels: Tensor) -> Tensor:
    """What is told of images that nothing was done to."""
    return torch.zeros(len(labels), augment.TOLD, device=labels.device)
