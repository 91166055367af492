"""Small changes of images while a network learns, which it is told of: so what it draws is unchanged.

As in EDM (Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

COUNT = 4  # numbers that tell of a change
MOVED = 0.1  # of the side
TURNED = math.radians(10)
SCALED = 0.12  # logarithm


def changed(images: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Move, turn and scale a `share` of images (n, c, h, w) -> the images, and how each was changed, (n, COUNT)."""
    count = len(images)
    device = images.device
    told = 2 * torch.rand(count, COUNT, generator=generator, device=device) - 1
    told = told * (torch.rand(count, 1, generator=generator, device=device) < share)
    if share <= 0:
        return images, told
    angle, scale = told[:, 2] * TURNED, torch.exp(told[:, 3] * SCALED)
    ratio = images.shape[2] / images.shape[3]
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    first = torch.stack([cosine, -sine * ratio, 2 * MOVED * told[:, 0]], dim=1)
    second = torch.stack([sine / ratio, cosine, 2 * MOVED * told[:, 1]], dim=1)
    grid = F.affine_grid(torch.stack([first, second], dim=1), list(images.shape), align_corners=False)
    made = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    untouched = (told == 0).all(1)[:, None, None, None]
    return torch.where(untouched, images, made), told
