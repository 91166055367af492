"""A small residual network that learns from tens to tens of thousands of images in seconds to a minute.

ResNet-9 as in Page, "How to Train Your ResNet" (2018), at a quarter to a half of its width. The steps are the same
whatever the number of images, and every class is drawn equally often: more images, or other shares of classes, are
neither more training nor another threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leaven.generators.image.network import scaled
from leaven.generators.precision import half_precision
from leaven.generators.seeds import derive, seeded, torch_threads

WIDTH = 16
BATCH = 64
RATE, WEIGHT_DECAY, SMOOTHING = 4e-3, 0.05, 0.1
SMALL = 16  # sides up to which the images are not halved a third time
ASKED = 500  # images in a batch of predictions
THREADS_PAY = 48  # side below which threads wait for each other longer than they work

Redraw = Callable[[np.ndarray, int], np.ndarray]
"""(pixels uint8 (n, h, w, c), seed) -> changed pixels of the same shape."""


class ResNet9(nn.Module):
    """(n, channels, h, w) in -1 to 1 -> logits (n, classes); `pooled` gives what stands before the last layer."""

    def __init__(self, channels: int, classes: int, side: int, width: int = WIDTH):
        super().__init__()
        # Up to 32 pixels as published; larger images are halved until they are no larger.
        halvings = max(0, int(np.ceil(np.log2(side / 32))))
        self.stem = nn.Sequential(
            _conv(channels, width), *[_conv(width, width, stride=2) for _ in range(halvings)]
        )
        self.body = nn.Sequential(
            _conv(width, 2 * width, pool=True),
            _Residual(2 * width),
            _conv(2 * width, 4 * width, pool=True),
            *([] if side <= SMALL else [_conv(4 * width, 4 * width, pool=True)]),
            _Residual(4 * width),
        )
        self.last = nn.Linear(4 * width, classes)

    def pooled(self, images: Tensor) -> Tensor:
        """(n, 4 x width)."""
        made: Tensor = self.body(self.stem(images)).amax((2, 3))
        return made

    def forward(self, images: Tensor) -> Tensor:
        return self.classified(self.pooled(images))

    def classified(self, pooled: Tensor) -> Tensor:
        """(n, 4 x width) -> logits (n, classes)."""
        logits: Tensor = self.last(pooled) * 0.25
        return logits


class _Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.inside = nn.Sequential(_conv(width, width), _conv(width, width))

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = images + self.inside(images)
        return made


def _conv(inside: int, outside: int, stride: int = 1, pool: bool = False) -> nn.Sequential:
    # Pooled before it is normalised: a fifth less time, and as good within noise (Jordan, "94% on CIFAR-10", 2024).
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False),
        *([nn.MaxPool2d(2, ceil_mode=True)] if pool else []),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


@dataclass
class Trained:
    """A trained network and where it computes."""

    network: ResNet9
    device: str
    half: bool
    threads: int

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (n, h, w, c) -> float64 (n, classes), as if every class were as frequent."""
        logits = self._asked(pixels, self.network.forward)
        return np.asarray(F.softmax(logits.double(), dim=1).numpy())

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (n, h, w, c) -> float32 (n, d): what stands before the last layer."""
        return np.asarray(self._asked(pixels, self.network.pooled).numpy())

    def classified(self, features: np.ndarray) -> np.ndarray:
        """`features` of images, float32 (n, d) -> their `probabilities`."""
        with torch_threads(self.threads), torch.inference_mode():
            last = torch.from_numpy(features).to(self.device)
            logits = self.network.classified(last).cpu()
        return np.asarray(F.softmax(logits.double(), dim=1).numpy())

    def _asked(self, pixels: np.ndarray, what: Callable[[Tensor], Tensor]) -> Tensor:
        self.network.eval()
        parts = []
        with torch_threads(self.threads), torch.inference_mode(), _cast(self.device, self.half):
            for start in range(0, len(pixels), ASKED):
                batch = torch.from_numpy(np.array(pixels[start : start + ASKED])).to(self.device)
                parts.append(what(scaled(batch)).float().cpu())
        return torch.cat(parts) if parts else torch.empty((0, self.network.last.out_features))


def train(
    pixels: np.ndarray,
    labels: np.ndarray,
    classes: int,
    *,
    seed: int,
    threads: int,
    device: str = "cpu",
    steps: int,
    redraw: Redraw | None = None,
    balanced: bool = True,
) -> Trained:
    """Train a network.

    Args:
        pixels: uint8 (n, h, w, c), at least one.
        labels: class codes int64 (n,).
        classes: how many there are; some may have no image.
        seed: of weights and batches.
        threads: of the processor.
        device: `cpu` or `cuda`.
        steps: of `BATCH` images.
        redraw: changes the images of each batch anew, with a seed of its own.
        balanced: every class as often as any other; else as often as it is there.
    """
    half = half_precision("auto", device)
    threads = threads if max(pixels.shape[1:3]) >= THREADS_PAY else 1
    with seeded(derive("resnet", seed), threads):
        network = ResNet9(pixels.shape[3], classes, max(pixels.shape[1:3]))
        network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        decayed = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}],
            lr=RATE,
            betas=(0.9, 0.99),
            fused=True,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, RATE, total_steps=steps, pct_start=0.2, div_factor=10, final_div_factor=100
        )
        order = _Order(labels, balanced, np.random.default_rng(derive("batches", seed)))
        network.train()
        for step in range(steps):
            picked = order.take(BATCH)
            images = pixels[picked]
            if redraw is not None:
                images = redraw(images, derive(seed, "redraw", step))
            batch = scaled(torch.from_numpy(np.ascontiguousarray(images)).to(device))
            with _cast(device, half):
                logits = network(batch)
            wanted = torch.from_numpy(labels[picked]).to(device)
            loss = F.cross_entropy(logits.float(), wanted, label_smoothing=SMOOTHING)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return Trained(network.eval(), device, half, threads)


class _Order:
    """Which images come next: every image of a class once before any comes again."""

    def __init__(self, labels: np.ndarray, balanced: bool, rng: np.random.Generator):
        self.rng = rng
        groups = [np.flatnonzero(labels == code) for code in np.unique(labels)]
        self.groups = groups if balanced else [np.arange(len(labels))]
        self.decks = [np.empty(0, dtype=np.int64) for _ in self.groups]

    def take(self, count: int) -> np.ndarray:
        """Indices int64 (count,), as evenly over the groups as can be."""
        each, rest = divmod(count, len(self.groups))
        more = set(self.rng.permutation(len(self.groups))[:rest].tolist())
        return np.concatenate([self._from(n, each + (n in more)) for n in range(len(self.groups))])

    def _from(self, group: int, count: int) -> np.ndarray:
        while len(self.decks[group]) < count:
            self.decks[group] = np.concatenate([self.decks[group], self.rng.permutation(self.groups[group])])
        taken, self.decks[group] = self.decks[group][:count], self.decks[group][count:]
        return taken


def _cast(device: str, half: bool) -> Any:
    return torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=half)
