"""Small changes of train images while a network learns, told to the network, so that what it makes is not changed.

As in Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (NeurIPS 2022), section 5: the
network reads what was done to an image, and is told at drawing that nothing was.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFT, TURN, SCALE, STRETCH = 0.12, math.radians(15), 0.15, 0.1
"""The most of each: share of the side, angle, logarithm of the size and of height against width."""

TOLD = 6  # numbers that say what was done to an image: mirrored, shifts, turn, size, stretch


def changed(images: Tensor, chance: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images (n, c, h, w), each change done with this chance -> the images, and what was done, float32 (n, TOLD).

    Randomness comes from `generator` alone. What is told is about -1 to 1, and 0 where nothing was done.
    """
    count, device = len(images), images.device
    done = torch.rand(count, TOLD, generator=generator, device=device) < chance
    told = (2 * torch.rand(count, TOLD, generator=generator, device=device) - 1) * done
    told[:, 0] = done[:, 0].float()
    moved = done.any(dim=1)
    if not moved.any():
        return images, told
    mirrored, across, down, turn, size, stretch = told[moved].unbind(1)
    turn, size, stretch = turn * TURN, torch.exp(size * SCALE), torch.exp(stretch * STRETCH)
    height, width = images.shape[2:]
    ratio = height / width  # a turn is one of pixels, not of shares of the sides
    cos, sin = turn.cos() * size, turn.sin() * size
    flip = 1 - 2 * mirrored
    matrix = torch.stack(
        [
            torch.stack([flip * cos * stretch, -sin * ratio * flip / stretch, 2 * SHIFT * across], 1),
            torch.stack([sin / ratio * stretch, cos / stretch, 2 * SHIFT * down], 1),
        ],
        1,
    )
    grid = F.affine_grid(matrix, [len(matrix), *images.shape[1:]], align_corners=False)
    result = images.clone()
    result[moved] = F.grid_sample(
        images[moved], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return result, told
