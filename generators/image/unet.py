"""A small U-Net that reads a time, a class and what was done to the image; made for few, wide layers on a CPU.

After Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (NeurIPS 2021), with one normalisation in a
block, on patches of pixels: on a CPU with matrix units what is not a convolution takes most of the time.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leaven.generators.image.parameters import GROUP

SMALL, FINE = (
    16,
    32,
)  # sides up to which the network works at full width, and up to which it sees pixels as they are


class UNet(nn.Module):
    """Images (n, channels, h, w), times (n,) in 0 to 1, classes int64 (n,) and `told` (n, told) -> (n, channels, h, w).

    Class number `classes` means any class. Sides may be of any length.
    """

    def __init__(
        self, channels: int, sides: tuple[int, int], classes: int, told: int, width: int, blocks: int
    ):
        super().__init__()
        self.patch, widths = layout(max(sides), width)
        self.unit = self.patch * 2 ** (len(widths) - 1)
        inside = channels * self.patch**2
        condition = 2 * width
        self.condition = Condition(classes, told, condition)
        self.first = nn.Conv2d(inside, widths[0], 3, padding=1)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, own in enumerate(widths):
            before = widths[max(0, level - 1)]
            self.shrink.append(nn.Conv2d(before, own, 3, stride=2, padding=1) if level else nn.Identity())
            self.down.append(nn.ModuleList(Block(own, own, condition) for _ in range(blocks)))
            self.up.append(
                nn.ModuleList(
                    [Block(2 * own, own, condition), *(Block(own, own, condition) for _ in range(blocks - 1))]
                )
            )
            self.grow.append(nn.Conv2d(own, 4 * before, 1) if level else nn.Identity())
        self.last_norm = nn.GroupNorm(widths[0] // GROUP, widths[0])
        self.last = nn.Conv2d(widths[0], inside, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(cast(Tensor, self.last.bias))

    def forward(self, images: Tensor, times: Tensor, labels: Tensor, told: Tensor) -> Tensor:
        height, width = images.shape[2:]
        beyond = -height % self.unit, -width % self.unit
        x = F.pad(images, (0, beyond[1], 0, beyond[0]), mode="replicate") if any(beyond) else images
        known = self.condition(times, labels, told)
        x = self.first(F.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last))
        kept = []
        for shrink, blocks in zip(self.shrink, self.down, strict=True):
            x = shrink(x)
            for block in cast(nn.ModuleList, blocks):
                x = block(x, known)
            kept.append(x)
        for level in reversed(range(len(self.up))):
            x = torch.cat([x, kept[level]], dim=1)
            for block in cast(nn.ModuleList, self.up[level]):
                x = block(x, known)
            if level:
                x = F.pixel_shuffle(self.grow[level](x), 2)
        made: Tensor = F.pixel_shuffle(self.last(F.silu(self.last_norm(x))), self.patch)
        return made[:, :, :height, :width]


class Condition(nn.Module):
    """Times (n,), classes (n,) and what was done (n, told) -> (n, width)."""

    def __init__(self, classes: int, told: int, width: int):
        super().__init__()
        self.register_buffer("waves", math.pi * 2 ** torch.linspace(-1, 5, 16), persistent=False)
        self.time = nn.Linear(32, width)
        self.label = nn.Embedding(classes + 1, width)
        self.told = nn.Linear(told, width, bias=False) if told else None
        self.mix = nn.Linear(width, width)

    def forward(self, times: Tensor, labels: Tensor, told: Tensor) -> Tensor:
        phases = times[:, None] * cast(Tensor, self.waves)
        known = self.time(torch.cat([phases.sin(), phases.cos()], dim=1)) + self.label(labels)
        if self.told is not None:
            known = known + self.told(told)
        made: Tensor = F.silu(self.mix(F.silu(known)))
        return made


class Block(nn.Module):
    """A residual block, (n, inside, h, w) -> (n, outside, h, w); what is known scales and shifts its channels."""

    def __init__(self, inside: int, outside: int, condition: int):
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, padding=1)
        self.known = nn.Linear(condition, 2 * outside)
        self.norm = nn.GroupNorm(outside // GROUP, outside)
        self.second = nn.Conv2d(outside, outside, 3, padding=1)
        self.skip = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(cast(Tensor, self.second.bias))

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        scale, shift = self.known(known)[:, :, None, None].chunk(2, dim=1)
        inner = self.norm(self.first(F.silu(x)))
        inner = F.silu(torch.addcmul(shift.to(inner.dtype), inner, 1 + scale.to(inner.dtype)))
        made: Tensor = self.skip(x) + self.second(inner)
        return made


def layout(side: int, width: int) -> tuple[int, list[int]]:
    """The side of a patch of pixels, and the width of each level, each half as high as the one before.

    Up to 34 pixels there are two levels, of at most 17 and 9; larger images have thinner levels before them.
    """
    patch = 1 if side <= SMALL + 1 else 2 if side <= 2 * SMALL + 2 else 4
    finer = max(0, math.ceil(math.log2(side / patch / (SMALL + 1))))
    thin = max(GROUP, width // 2 // GROUP * GROUP)
    return patch, [thin] * finer + [width, 2 * width]
