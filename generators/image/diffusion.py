"""Images out of noise: flow matching with a small U-Net, classifier-free guidance, ten evaluations an image at most.

Lipman et al., "Flow Matching for Generative Modeling" (ICLR 2023); times as in Esser et al., "Scaling Rectified Flow
Transformers" (ICML 2024); guidance as in Ho and Salimans (2022), in the middle of the way alone as in Kynkäänniemi et
al. (NeurIPS 2024).
"""

import itertools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leaven.generators.contract import Fit
from leaven.generators.errors import FitError
from leaven.generators.image import augment
from leaven.generators.image.network import NetworkGenerator, to_pixels
from leaven.generators.image.parameters import DiffusionParameters
from leaven.generators.image.unet import UNet
from leaven.generators.seeds import derive

MEAN, SPREAD = 0.0, 1.2  # of the logarithm of t / (1 - t), where the network learns
GUIDED = 0.3, 0.95  # times between which drawing is guided
COMPILER = "inductor"
ANY_CLASS = 0.1  # share of train images whose class the network is not told


class Diffusion(NetworkGenerator):
    """Flow matching: the network learns the way from noise (time 1) to an image (time 0)."""

    name = "diffusion"
    Parameters = DiffusionParameters

    def _build(self) -> nn.Module:
        height, width, channels = self.shape
        asked = self.parameters
        return UNet(channels, (height, width), len(self.classes), augment.TOLD, asked.width, asked.blocks)

    def _fresh(self, seed: int) -> nn.Module:
        network = super()._fresh(seed)
        if self.parameters.compile:
            network.compile(backend=COMPILER)
        return network

    def _train(self, pixels: np.ndarray, labels: np.ndarray, batch: int, **how: Any) -> Fit:
        if not self.parameters.compile:
            return super()._train(pixels, labels, batch, **how)
        from torch._dynamo.exc import TorchDynamoException  # seconds

        try:
            return super()._train(pixels, labels, batch, **how)
        except TorchDynamoException as error:
            why = " ".join(str(error).split("\n\n")[0].split())
            raise FitError(f"diffusion: compile: the network cannot be compiled here: {why}") from error

    def _loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        count, device = len(images), images.device
        told = torch.zeros(count, augment.TOLD, device=device)
        if network.training:
            images, told = augment.changed(images, self.parameters.augment, generator)
            unknown = torch.rand(count, generator=generator, device=device) < ANY_CLASS
            labels = torch.where(unknown, len(self.classes), labels)
        times = torch.sigmoid(MEAN + SPREAD * torch.randn(count, generator=generator, device=device))
        noise = torch.randn(images.shape, generator=generator, device=device)
        part = times[:, None, None, None]
        found = network((1 - part) * images + part * noise, times, labels, told)
        return F.mse_loss(found.float(), noise - images)

    def _draw(self, network: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        height, width, channels = self.shape
        noise = torch.randn(len(labels), channels, height, width, generator=generator, device=labels.device)
        return self._solve(network, noise, labels)

    def walk(self, steps: int, seed: int, classes: int = 10) -> np.ndarray:
        """From one image to another of each of the first classes, uint8 (steps, classes, h, w, c)."""
        network, count = self._fitted(), min(classes, len(self.classes))
        height, width, channels = self.shape
        with self.computing(self.device), torch.inference_mode():
            generator = torch.Generator(self.device).manual_seed(derive(seed, "walk"))
            ends = torch.randn(2, count, channels, height, width, generator=generator, device=self.device)
            labels = torch.arange(count, device=self.device)
            angles = [step / max(1, steps - 1) * math.pi / 2 for step in range(steps)]
            with self.cast():
                made = [
                    self._solve(network, ends[0] * math.cos(a) + ends[1] * math.sin(a), labels)
                    for a in angles
                ]
        return np.stack([to_pixels(images) for images in made])

    def _solve(self, network: nn.Module, noise: Tensor, labels: Tensor) -> Tensor:
        """From noise to images, by two-step Adams-Bashforth."""
        grid = times(self.parameters.evaluations, self.parameters.guidance_scale != 1)
        images, before, last = noise, None, 1.0
        for now, then in itertools.pairwise(grid):
            flow, step = self._flow(network, images, now, labels), then - now
            # Between two looks the direction turns as it did between the two before.
            used = flow if before is None else flow + (flow - before) * (step / (now - last) / 2)
            images, before, last = images + step * used, flow, now
        return images

    def _flow(self, network: nn.Module, images: Tensor, time: float, labels: Tensor) -> Tensor:
        """The guided direction from image to noise."""
        scale, count = self.parameters.guidance_scale, len(labels)
        guided = scale != 1 and is_guided(time)
        if guided:
            images = torch.cat([images, images])
            labels = torch.cat([labels, torch.full_like(labels, len(self.classes))])
        told = torch.zeros(len(labels), augment.TOLD, device=labels.device)
        flow: Tensor = network(images, torch.full((len(labels),), time, device=labels.device), labels, told)
        flow = flow.float()
        return torch.lerp(flow[count:], flow[:count], scale) if guided else flow


def times(evaluations: int, guided: bool) -> list[float]:
    """The times at which the network is asked, from 1 down to 0, which ends the list."""
    for steps in range(evaluations, 1, -1):
        grid = [1 - number / steps for number in range(steps + 1)]
        if steps + guided * sum(map(is_guided, grid)) <= evaluations:
            return grid
    return [1.0, 0.5, 0.0]


def is_guided(time: float) -> bool:
    """Whether the network is asked with and without the class."""
    return GUIDED[0] <= time <= GUIDED[1]
