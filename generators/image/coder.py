"""The networks of the variational autoencoder: encoder, decoder, prior of the codes, and the classifier that judges."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leaven.generators.image.unet import Block, Condition, layout

THIN = 32  # channels between the convolutions and a code
HIDDEN = 8  # times the width of the rest: the prior's
JUDGES = (32, 64, 64)  # channels of the classifier
LEAST_SPREAD, MOST_SPREAD = -6.0, 2.0  # logarithms


class Coder(nn.Module):
    """Images (n, channels, h, w) <-> codes (n, latent), given classes int64 (n,) and what was done (n, told)."""

    def __init__(
        self, channels: int, sides: tuple[int, int], classes: int, told: int, width: int, latent: int
    ):
        super().__init__()
        self.sides = sides
        self.patch, widths = layout(max(sides), width)
        self.unit = self.patch * 2 ** (len(widths) - 1)
        self.least = -(-sides[0] // self.unit), -(-sides[1] // self.unit)
        inside, flat, condition = channels * self.patch**2, self.least[0] * self.least[1] * THIN, 2 * width
        self.condition = Condition(classes, told, condition)
        self.first = nn.Conv2d(inside, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Level(before, own, condition) for before, own in _pairs(widths))
        self.thin = nn.Conv2d(widths[-1], THIN, 1)
        self.code = nn.Linear(flat, 2 * latent)
        self.spread = nn.Linear(latent, flat)
        self.thick = nn.Conv2d(THIN, widths[-1], 3, padding=1)
        self.up = nn.ModuleList(
            Level(before, own, condition, up=True) for before, own in _pairs(widths)[::-1]
        )
        self.last = nn.Conv2d(widths[0], inside, 3, padding=1)
        self.prior = Prior(latent, classes, told, HIDDEN * width)
        self.classify = Judge(channels, classes, max(sides))
        self.scales = Scales(1 + len(JUDGES))

    def encode(self, images: Tensor, labels: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Means and spreads of the codes, float32."""
        beyond = -images.shape[2] % self.unit, -images.shape[3] % self.unit
        x = F.pad(images, (0, beyond[1], 0, beyond[0]), mode="replicate") if any(beyond) else images
        known = self.condition(torch.zeros(len(x), device=x.device), labels, told)
        x = self.first(F.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last))
        for level in self.down:
            x = level(x, known)
        mean, spread = self.code(F.silu(self.thin(x)).flatten(1)).float().chunk(2, dim=1)
        return mean, spread.clamp(LEAST_SPREAD, MOST_SPREAD).exp()

    def decode(self, codes: Tensor, labels: Tensor, told: Tensor) -> Tensor:
        """Images (n, channels, h, w)."""
        known = self.condition(torch.ones(len(codes), device=codes.device), labels, told)
        x = self.spread(codes).view(-1, THIN, *self.least).contiguous(memory_format=torch.channels_last)
        x = self.thick(x)
        for level in self.up:
            x = level(x, known)
        made: Tensor = F.pixel_shuffle(self.last(F.silu(x)), self.patch)
        return made[:, :, : self.sides[0], : self.sides[1]]

    def judge(self, images: Tensor, labels: Tensor) -> Tensor:
        """The classifier's loss."""
        return F.cross_entropy(self.classify(images)[1].float(), labels)

    def unlike(self, made: Tensor, images: Tensor) -> Tensor:
        """How far the classifier's features of the one are from those of the other; it learns nothing of it."""
        with torch.no_grad():
            wanted = self.classify(images)[0]
        held = {name: value.detach() for name, value in self.classify.named_parameters()}
        found = torch.func.functional_call(self.classify, held, (made,))[0]
        errors = [
            self.scales.unlikely(1 + place, (mine.float() - real.float()).abs())
            for place, (mine, real) in enumerate(zip(found, wanted, strict=True))
        ]
        return torch.stack(errors).mean()


class Level(nn.Module):
    """Two blocks at one height; the next height is before them on the way down, after them on the way up."""

    def __init__(self, before: int, own: int, condition: int, up: bool = False):
        super().__init__()
        self.shrink = nn.Conv2d(before, own, 3, stride=2, padding=1) if before and not up else None
        self.blocks = nn.ModuleList(Block(own, own, condition) for _ in range(2))
        self.grow = nn.Conv2d(own, 4 * before, 1) if before and up else None

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        x = x if self.shrink is None else self.shrink(x)
        for block in self.blocks:
            x = block(x, known)
        return x if self.grow is None else F.pixel_shuffle(self.grow(x), 2)


class Prior(nn.Module):
    """The direction from codes to noise: codes (n, latent), times (n,) in 0 to 1, classes, told -> (n, latent)."""

    def __init__(self, latent: int, classes: int, told: int, width: int):
        super().__init__()
        self.condition = Condition(classes, told, width)
        self.first = nn.Linear(latent, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.known = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.inner = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.last = nn.Linear(width, latent)
        nn.init.zeros_(self.last.weight)

    def forward(self, codes: Tensor, times: Tensor, labels: Tensor, told: Tensor) -> Tensor:
        known = self.condition(times, labels, told)
        x = self.first(codes)
        for norm, scale, inner in zip(self.norms, self.known, self.inner, strict=True):
            x = x + inner(F.silu(norm(x) * (1 + scale(known))))
        made: Tensor = self.last(x)
        return made


class Judge(nn.Module):
    """A small classifier; its features are what images are compared by."""

    def __init__(self, channels: int, classes: int, side: int):
        super().__init__()
        widths = (channels, *JUDGES)
        strides = (1 if side <= 16 else 2 if side <= 64 else 4, 2, 2)
        self.layers = nn.ModuleList(
            nn.Conv2d(before, own, 3 if stride == 1 else 4, stride=stride, padding=1)
            for before, own, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(own // 16, own) for own in JUDGES)
        self.last = nn.Linear(JUDGES[-1], classes)

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        x, features = images.contiguous(memory_format=torch.channels_last), []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.leaky_relu(norm(layer(x)), 0.1)
            features.append(x)
        return features, self.last(x.mean((2, 3)))


class Scales(nn.Module):
    """The learned scale of each error."""

    def __init__(self, count: int):
        super().__init__()
        self.logs = nn.Parameter(torch.full((count,), -1.0))

    def unlikely(self, place: int, errors: Tensor) -> Tensor:
        """How unlikely errors of at least 0 are under Laplace's distribution, in nats a number."""
        scale = self.logs[place].clamp(-6, 3)
        return errors.mean() * torch.exp(-scale) + scale


def _pairs(widths: list[int]) -> list[tuple[int, int]]:
    """Each level's width, with that of the level before it or 0."""
    return list(zip([0, *widths], widths, strict=False))
