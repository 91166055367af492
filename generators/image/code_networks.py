"""The networks of `autoregressive`: an autoencoder between images and codes, and a transformer over codes.

A code is a handful of whole numbers for each place of a coarse grid, got by rounding (Mentzer et al., "Finite Scalar
Quantization: VQ-VAE Made Simple", ICLR 2024): no codebook, so none of it can die.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST_CHANNELS = 16
SHARPEST = -6.0  # least logarithm of a pixel's spread


def stride(shape: tuple[int, int, int]) -> int:
    """Pixels on a side of what one place of the grid stands for: the places stay few enough to draw one by one."""
    side = max(shape[:2])
    return 2 if side <= 16 else 4 if side <= 40 else 8 if side <= 96 else 16


class Autoencoder(nn.Module):
    """Images (n, c, h, w) <-> codes int64 (n, places, numbers), each below `levels`."""

    def __init__(self, shape: tuple[int, int, int], numbers: int, levels: int, width: int):
        super().__init__()
        self.shape, self.levels, self.stride = shape, levels, stride(shape)
        self.grid = math.ceil(shape[0] / self.stride), math.ceil(shape[1] / self.stride)
        self.unshuffled = min(4, self.stride)
        halvings = round(math.log2(self.stride / self.unshuffled))
        self.encode = nn.Sequential(
            nn.Conv2d(shape[2] * self.unshuffled**2, width, 3, padding=1),
            *[nn.Sequential(_Block(width), nn.Conv2d(width, width, 2, stride=2)) for _ in range(halvings)],
            _Block(width),
            nn.GELU(),
            nn.Conv2d(width, numbers, 1),
        )
        up: list[nn.Module] = [nn.Conv2d(numbers, width, 3, padding=1), _Block(width), _Block(width)]
        for _ in range(round(math.log2(self.stride)) - 1):
            half = max(LEAST_CHANNELS, width // 2)
            up += [nn.Conv2d(width, 4 * half, 1), nn.PixelShuffle(2), _Block(half)]
            width = half
        self.decode = nn.Sequential(*up, nn.GELU())
        self.mean = nn.Conv2d(width, 4 * shape[2], 3, padding=1)
        self.spread = nn.Conv2d(width, 4 * shape[2], 1)

    def rounded(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Codes int64 (n, places, numbers), and the same as float -1 to 1 (n, numbers, h, w) that gradients pass."""
        below, beside = (side * self.stride for side in self.grid)
        images = F.pad(images, (0, beside - images.shape[3], 0, below - images.shape[2]), mode="replicate")
        exact = torch.sigmoid(self.encode(F.pixel_unshuffle(images, self.unshuffled)).float()) * (
            self.levels - 1
        )
        whole = exact.round()
        passed = exact + (whole - exact).detach()
        return whole.long().flatten(2).transpose(1, 2), passed * 2 / (self.levels - 1) - 1

    def values(self, codes: Tensor) -> Tensor:
        """Codes -> float -1 to 1 (n, numbers, h, w)."""
        flat = codes.transpose(1, 2).float() * 2 / (self.levels - 1) - 1
        return flat.unflatten(2, self.grid)

    def images(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Values of codes -> the images' mean, and the logarithm of its spread, each (n, c, h, w)."""
        found = self.decode(values)
        mean = F.pixel_shuffle(self.mean(found), 2).float()
        spread = F.pixel_shuffle(self.spread(found.detach()), 2).float()
        height, width, _ = self.shape
        return mean[:, :, :height, :width], spread.clamp(SHARPEST, 1.0)[:, :, :height, :width]


class _Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.inside = nn.Sequential(
            nn.GELU(), nn.Conv2d(width, width, 3, padding=1), nn.GELU(), nn.Conv2d(width, width, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = images + self.inside(images)
        return made


class Transformer(nn.Module):
    """Predicts the codes of each place from those before it, and each number of a place from those before it.

    What stands beside: the class, and how the image was changed (float (n, changes), zeros when it was not).
    """

    sees: Tensor

    def __init__(
        self,
        places: int,
        numbers: int,
        levels: int,
        classes: int,
        changes: int,
        width: int,
        depth: int,
        dropout: float,
    ):
        super().__init__()
        self.places, self.numbers, self.levels = places, numbers, levels
        self.code = nn.Embedding(numbers * levels, width)
        self.place = nn.Parameter(torch.randn(places, width) * 0.02)
        self.label = nn.Embedding(classes, width)
        self.change = nn.Linear(changes, width, bias=False)
        nn.init.normal_(self.code.weight, std=0.02)
        nn.init.normal_(self.label.weight, std=0.02)
        self.layers = nn.ModuleList(_Layer(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        hidden = width // 2
        self.context = nn.Linear(width, numbers * hidden)
        self.earlier = nn.Parameter(torch.randn(numbers * levels, numbers * hidden) * 0.02)
        own = torch.arange(numbers)
        sees = (own[:, None] < own[None]).repeat_interleave(levels, 0).repeat_interleave(hidden, 1)
        self.register_buffer("sees", sees, persistent=False)
        self.out = nn.Parameter(torch.randn(numbers, hidden, levels) / hidden**0.5)
        self.bias = nn.Parameter(torch.zeros(numbers, levels))
        self.dropout = dropout

    def _offset(self, codes: Tensor) -> Tensor:
        return codes + torch.arange(self.numbers, device=codes.device) * self.levels

    def beside(self, labels: Tensor, changes: Tensor) -> Tensor:
        """(n, 1, width)."""
        told: Tensor = self.label(labels) + self.change(changes)
        return told[:, None]

    def nats(
        self, codes: Tensor, labels: Tensor, changes: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Minus the logarithm of the probability of each number, float (n, places, numbers).

        With a `generator`, activations are dropped, the same ones at all places of an image.
        """
        before = self.code(self._offset(codes)).sum(2)[:, :-1]
        found = F.pad(before, (0, 0, 1, 0)) + self.place + self.beside(labels, changes)
        kept: list[Tensor | None] = [None] * len(self.layers)
        if generator is not None and self.dropout > 0:
            shape = len(self.layers), 2, len(codes), 1, found.shape[2]
            drawn = torch.rand(shape, generator=generator, device=codes.device)
            kept = list((drawn >= self.dropout).to(found.dtype) / (1 - self.dropout))
        for layer, factors in zip(self.layers, kept, strict=True):
            found, _ = layer(found, kept=factors)
        one_hot = F.one_hot(codes, self.levels).flatten(2).to(found.dtype)
        hidden = self.context(self.norm(found)) + one_hot @ (self.earlier * self.sees)
        hidden = F.gelu(hidden).unflatten(2, (self.numbers, -1))
        logits = torch.einsum("npkh,khl->npkl", hidden, self.out) + self.bias
        return F.cross_entropy(logits.float().flatten(0, 2), codes.flatten(), reduction="none").view_as(codes)

    def draw(self, labels: Tensor, changes: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        """Codes int64 (n, places, numbers), place by place."""
        beside = self.beside(labels, changes)
        before = torch.zeros_like(beside)
        cached: list[tuple[Tensor, Tensor] | None] = [None] * len(self.layers)
        drawn = []
        earlier = (self.earlier * self.sees).view(self.numbers, self.levels, self.numbers, -1)
        for place in range(self.places):
            found = before + self.place[place] + beside
            for number, layer in enumerate(self.layers):
                found, cached[number] = layer(found, cached[number])
            context = self.context(self.norm(found[:, 0])).unflatten(1, (self.numbers, -1))
            here = []
            for number in range(self.numbers):
                hidden = F.gelu(context[:, number])
                logits = (hidden @ self.out[number] + self.bias[number]).float() / temperature
                noise = torch.rand(logits.shape, generator=generator, device=logits.device)
                one = (logits - (-noise.clamp_min(1e-20).log()).log()).argmax(1)  # Gumbel's trick
                context = context + earlier[number][one]
                here.append(one)
            drawn.append(torch.stack(here, dim=1))
            before = self.code(self._offset(drawn[-1])).sum(1, keepdim=True)
        return torch.stack(drawn, dim=1)


class _Layer(nn.Module):
    """Attention to what came before, and a perceptron."""

    def __init__(self, width: int):
        super().__init__()
        self.heads = max(1, width // 32)
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asked = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.inside = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(
        self, found: Tensor, cached: tuple[Tensor, Tensor] | None = None, kept: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(n, places, width) and the keys and values of the places before, if any -> the same with these places'.

        `kept` (2, n, 1, width): what the activations of an image are multiplied with while learning.
        """
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in self.asked(self.before(found)).chunk(3, dim=2)
        )
        if cached is not None:
            key, value = torch.cat([cached[0], key], dim=2), torch.cat([cached[1], value], dim=2)
        # Written out: the ready-made attention takes a hundred times as long backwards on a processor in bfloat16.
        looks = query @ key.transpose(2, 3) * query.shape[3] ** -0.5
        if cached is None:
            later = torch.ones(looks.shape[2:], dtype=torch.bool, device=looks.device).triu(1)
            looks = looks.masked_fill(later, -math.inf)
        seen = self.mixed((looks.softmax(3).to(value.dtype) @ value).transpose(1, 2).flatten(2))
        found = found + (seen if kept is None else seen * kept[0])
        seen = self.inside(self.between(found))
        return found + (seen if kept is None else seen * kept[1]), (key, value)


def logistic_nats(images: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """Minus the logarithm of the probability of 8-bit pixels -1 to 1 under a logistic distribution, pixel by pixel.

    `spread` is the logarithm of its scale (Salimans et al., "PixelCNN++", ICLR 2017).
    """
    half = 1 / 255
    scale = torch.exp(-spread)
    away = images - mean
    above, below = scale * (away + half), scale * (away - half)
    inside = (torch.sigmoid(above) - torch.sigmoid(below)).clamp_min(1e-12).log()
    middle = scale * away
    density = middle - spread - 2 * F.softplus(middle) + math.log(2 * half)
    log = torch.where(torch.sigmoid(above) - torch.sigmoid(below) > 1e-5, inside, density)
    log = torch.where(images < -0.999, -F.softplus(-above), log)
    log = torch.where(images > 0.999, -F.softplus(below), log)
    return -log
