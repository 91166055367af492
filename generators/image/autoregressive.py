"""Images as codes on a coarse grid, which a transformer predicts place by place: it also says how likely an image is.

An autoencoder and the transformer over its codes learn side by side; after its own steps the autoencoder stands
still (van den Oord et al., "Neural Discrete Representation Learning", NeurIPS 2017, with rounding for a codebook).
"""

import math
from typing import ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from leaven.generators.contract import Parameters
from leaven.generators.errors import ConditionError, InputError
from leaven.generators.image import augment
from leaven.generators.image.code_networks import Autoencoder, Transformer, logistic_nats
from leaven.generators.image.network import NetworkGenerator, scaled
from leaven.generators.image.parameters import AutoregressiveParameters
from leaven.generators.training import Plan


class _Both(nn.Module):
    """The two networks, and how many steps they have taken."""

    steps: Tensor

    def __init__(self, coder: Autoencoder, transformer: Transformer):
        super().__init__()
        self.coder, self.transformer = coder, transformer
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))


class Autoregressive(NetworkGenerator):
    """Draws the codes of an image of a class one by one, and decodes them."""

    name = "autoregressive"
    Parameters: ClassVar[type[Parameters]] = AutoregressiveParameters

    def _build(self) -> nn.Module:
        mine = self.parameters
        coder = Autoencoder(self.shape, mine.numbers, mine.levels, mine.coder_width)
        transformer = Transformer(
            math.prod(coder.grid),
            mine.numbers,
            mine.levels,
            len(self.classes),
            augment.TOLD,
            mine.width,
            mine.depth,
            mine.dropout,
        )
        return _Both(coder, transformer)

    def _plan(self, images: int) -> Plan:
        return Plan(self.parameters.steps, self.parameters.rate, every=100, patience=10)

    def _loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """While learning: how far decoded images are off, and the codes' nats. Else the nats of a pixel's number."""
        both = cast(_Both, network)
        if not both.training:
            return self._nats(both, images, labels).mean() / math.prod(self.shape)
        images, changes = augment.changed(images, self.parameters.augment, generator)
        learns = int(both.steps) < self.parameters.coder_steps
        both.steps += 1
        with torch.set_grad_enabled(learns):
            codes, values = both.coder.rounded(images)
        nats = both.transformer.nats(codes, labels, changes, generator).mean()
        if not learns:
            return nats
        mean, spread = both.coder.images(values)
        off = (mean - images).abs().mean() + (mean - images).square().mean()
        return nats + off + 0.1 * logistic_nats(images, mean.detach(), spread).mean()

    def _nats(self, both: _Both, images: Tensor, labels: Tensor) -> Tensor:
        """Minus the logarithm of each image's probability, float (n,)."""
        codes, values = both.coder.rounded(images)
        unchanged = torch.zeros(len(labels), augment.TOLD, device=images.device)
        of_codes = both.transformer.nats(codes, labels, unchanged).sum((1, 2))
        return of_codes + logistic_nats(images, *both.coder.images(values)).sum((1, 2, 3))

    def _draw(self, network: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        both = cast(_Both, network)
        unchanged = torch.zeros(len(labels), augment.TOLD, device=labels.device)
        codes = both.transformer.draw(labels, unchanged, self.parameters.temperature, generator)
        return both.coder.images(both.coder.values(codes))[0]

    def log_likelihood(self, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """How likely images of these classes are: a lower bound of the logarithm of the probability, in nats.

        Low for images unlike train's; higher for train images than for others of their kind where the fit has learned
        them by heart. Divided by minus the number of values of an image and the logarithm of 2: bits per dimension.

        Args:
            pixels: uint8 (n, height, width, channels).
            labels: the class of each, (n,).

        Returns:
            float64 (n,).

        Raises:
            InputError: the images have another shape than train's.
            ConditionError: a class that train does not have.
        """
        if pixels.shape[1:] != self.shape or pixels.dtype != np.uint8:
            raise InputError(
                f"images are {pixels.dtype} of the shape {pixels.shape[1:]}; expected uint8 {self.shape}"
            )
        known = {label: code for code, label in enumerate(self.classes)}
        unknown = sorted({str(label) for label in labels} - set(known))
        if unknown:
            raise ConditionError(
                f"there is no class '{unknown[0]}'; the classes are {', '.join(self.classes[:20])}"
            )
        codes = torch.tensor([known[str(label)] for label in labels], dtype=torch.int64)
        both = cast(_Both, self.network)
        found = [np.empty(0)]
        with self.computing(self.device), torch.inference_mode(), self.cast():
            for start in range(0, len(pixels), self.draw_batch):
                some = slice(start, start + self.draw_batch)
                images = scaled(torch.from_numpy(np.ascontiguousarray(pixels[some])).to(self.device))
                nats = self._nats(both, images, codes[some].to(self.device))
                found.append(-nats.double().cpu().numpy())
        return np.concatenate(found)
