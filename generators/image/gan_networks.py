"""The two networks of `gan`, and what both kinds of image are changed by before the discriminator sees them.

Residual blocks without normalisation, after R3GAN (Huang et al., "The GAN is dead; long live the GAN!", NeurIPS
2024). Whole convolutions stand where it has grouped ones, which processors are slow at.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST = 8  # places on a side of the coarsest level at most
LARGE = 64  # pixels of a side up to which a place of the finest level stands for 2 x 2 pixels, else for 4 x 4
LEAST_CHANNELS, MOST_CHANNELS = 8, 256
TOGETHER = 4  # images whose spread the discriminator sees
TRANSLATION, CUTOUT = 0.125, 0.5  # of the side, as in DiffAugment


def patch(shape: tuple[int, int, int]) -> int:
    """Pixels on a side of what a place of the finest level stands for: full size would cost the most by far."""
    return 2 if max(shape[:2]) <= LARGE else 4


def levels(shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Heights and widths in places from the coarsest level to the finest, which covers the image."""
    height, width = (math.ceil(side / patch(shape)) for side in shape[:2])
    halvings = max(0, math.ceil(math.log2(max(height, width) / SMALLEST)))
    scale = 2**halvings
    base = math.ceil(height / scale), math.ceil(width / scale)
    return [(base[0] << level, base[1] << level) for level in range(halvings + 1)]


def channels(width: int, count: int) -> list[int]:
    """Channels of `count` levels, coarsest first: halved wherever the side doubles, `width` at the finest."""
    most = min(MOST_CHANNELS, width << (count - 1))
    return [max(LEAST_CHANNELS, most >> level) for level in range(count)]


class Generator(nn.Module):
    """Noise float (n, latent), labels int64 (n,) -> images (n, c, h, w), about -1 to 1."""

    def __init__(self, shape: tuple[int, int, int], classes: int, latent: int, width: int):
        super().__init__()
        self.shape, self.latent = shape, latent
        sizes = levels(shape)
        widths = channels(width, len(sizes))
        inside = 2 * latent
        self.label = nn.Embedding(classes, latent)
        layers = [nn.Linear(inside, inside) for _ in range(2)]
        for layer in layers:  # what goes out is no smaller than what comes in: else the noise is not heard
            nn.init.kaiming_normal_(layer.weight, 0.2)
        self.style = nn.Sequential(layers[0], nn.LeakyReLU(0.2), layers[1], nn.LeakyReLU(0.2))
        self.base = nn.Linear(inside, widths[0] * math.prod(sizes[0]))
        nn.init.normal_(self.base.weight, std=inside**-0.5)
        self.blocks = nn.ModuleList(
            _Block(before, now, inside) for before, now in zip([widths[0], *widths], widths, strict=False)
        )
        self.last = nn.Conv2d(widths[-1], shape[2] * patch(shape) ** 2, 3, padding=1)
        with torch.no_grad():  # the pixels of a place start alike: else they are seen as a grid
            self.last.weight.copy_(
                self.last.weight[:: patch(shape) ** 2].repeat_interleave(patch(shape) ** 2, 0)
            )

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        told = F.normalize(self.label(labels), dim=1) * math.sqrt(self.latent)
        style = self.style(torch.cat([noise, told], dim=1))
        images = self.base(style).view(len(style), -1, *levels(self.shape)[0])
        images = images.contiguous(memory_format=torch.channels_last)
        for level, block in enumerate(self.blocks):
            if level:
                images = F.interpolate(images, scale_factor=2, mode="bilinear")
            images = block(images, style)
        pixels = F.pixel_shuffle(self.last(F.leaky_relu(images, 0.2)), patch(self.shape))
        made: Tensor = pixels.float()  # no hyperbolic tangent: black images would end all gradients
        return made[:, :, : self.shape[0], : self.shape[1]]


class Discriminator(nn.Module):
    """Images (n, c, h, w), labels int64 (n,) -> how real they look, float (n,).

    `ramp` (0 to 1) is how much it matters whether they are of their class.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int):
        super().__init__()
        sizes = levels(shape)
        widths = channels(width, len(sizes))[::-1]
        self.patch = patch(shape)
        self.size = sizes[-1][0] * self.patch, sizes[-1][1] * self.patch
        self.first = nn.Conv2d(shape[2] * self.patch**2, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            _Block(before, now) for before, now in zip([widths[0], *widths], widths, strict=False)
        )
        self.pool = nn.Conv2d(widths[-1], widths[-1], sizes[0], groups=widths[-1])
        self.joined = nn.Linear(widths[-1] + 1, widths[-1])
        self.real = nn.Linear(widths[-1], 1)
        self.label = nn.Embedding(classes, widths[-1])

    def forward(self, images: Tensor, labels: Tensor, ramp: float = 1.0) -> Tensor:
        height, width = self.size
        images = F.pad(images, (0, width - images.shape[3], 0, height - images.shape[2]), value=-1.0)
        images = self.first(F.pixel_unshuffle(images, self.patch))
        for level, block in enumerate(self.blocks):
            if level:
                images = F.avg_pool2d(images, 2)
            images = block(images)
        images = F.leaky_relu(images, 0.2)
        found = self.pool(images).flatten(1).float()
        with torch.autocast(images.device.type, enabled=False):
            found = F.leaky_relu(self.joined(torch.cat([found, _spread(images.float())], dim=1)), 0.2)
            of_class = (found * F.normalize(self.label(labels), dim=1)).sum(1)
            score: Tensor = self.real(found).squeeze(1) + ramp * of_class
        return score


def _spread(found: Tensor) -> Tensor:
    """How unlike its neighbours in the batch each image is, (n, 1): images that are all alike give themselves away.

    Karras et al., "Progressive Growing of GANs" (ICLR 2018). Where a batch is sorted, neighbours are of one class.
    """
    together = next(size for size in (TOGETHER, 2, 1) if len(found) % size == 0)
    variance = found.unflatten(0, (-1, together)).var(1, correction=0)
    return (variance + 1e-8).sqrt().mean((1, 2, 3)).repeat_interleave(together)[:, None]


class _Block(nn.Module):
    """Two convolutions beside the way through, which start as nothing; with a style, it says how they are scaled."""

    def __init__(self, inside: int, outside: int, style: int = 0):
        super().__init__()
        self.way = nn.Conv2d(inside, outside, 1, bias=False) if inside != outside else nn.Identity()
        self.first = nn.Conv2d(inside, outside, 3, padding=1)
        self.second = nn.Conv2d(outside, outside, 3, padding=1)
        self.style = nn.Linear(style, outside) if style else None
        nn.init.zeros_(self.second.weight)

    def forward(self, images: Tensor, style: Tensor | None = None) -> Tensor:
        made = self.first(F.leaky_relu(images, 0.2))
        if self.style is not None:
            made = made * (1 + self.style(style))[:, :, None, None]
        found: Tensor = self.way(images) + self.second(F.leaky_relu(made, 0.2))
        return found


def augmented(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Each image, with the chance `share` each, moved, partly covered, and brighter, paler or greyer.

    DiffAugment (Zhao et al., NeurIPS 2020): real and made images alike, so that the generator learns none of it.
    """
    if share <= 0:
        return images
    count, colours, height, width = images.shape
    device = images.device

    def drawn(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    def chosen() -> Tensor:
        return (drawn(count) < share).to(images.dtype)

    brightness = (drawn(count) - 0.5) * chosen()
    contrast = 1 + (drawn(count) - 0.5) * chosen()
    saturation = 1 + (2 * drawn(count) - 1) * chosen()
    if colours > 1:
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * saturation[:, None, None, None]
        mean = images.mean((1, 2, 3), keepdim=True)
        images = mean + (images - mean) * contrast[:, None, None, None] + brightness[:, None, None, None]
    moved = (2 * drawn(count, 2) - 1) * TRANSLATION * chosen()[:, None]
    start = torch.stack([moved[:, 0] * height, moved[:, 1] * width]).round().long()
    rows = torch.arange(height, device=device) + start[0][:, None]  # (n, h)
    columns = torch.arange(width, device=device) + start[1][:, None]
    # Beyond the edge the nearest pixel goes on: an edge would tell background from nothing.
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    place = torch.arange(count, device=device)[:, None, None]
    images = images.permute(0, 2, 3, 1)[place, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    tall, wide = height * CUTOUT, width * CUTOUT
    centre = drawn(count, 2)
    away = (torch.arange(height, device=device) - (centre[:, :1] * height)).abs() > tall / 2
    aside = (torch.arange(width, device=device) - (centre[:, 1:] * width)).abs() > wide / 2
    seen = away[:, :, None] | aside[:, None, :] | (chosen() == 0)[:, None, None]
    return images * seen[:, None].to(images.dtype)
