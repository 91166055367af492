"""How like real images made ones are while a network is fitted: cheap, and on features that nothing has learned."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leaven.generators.seeds import derive

WIDTH = 64  # features of a place
GRID = 4  # places on a side


class Likeness:
    """Compares made images with real ones, class by class.

    The features are those of a convolutional network with random weights, which tell images apart well enough to
    compare two states of a generator, next to the image itself made small.
    """

    def __init__(self, images: Tensor, labels: Tensor):
        """`images` -1 to 1 (n, c, h, w) and `labels` (n,): the real ones."""
        self.labels = labels
        generator = torch.Generator().manual_seed(derive("likeness"))
        self.layers = nn.ModuleList()
        inside = images.shape[1]
        for outside in (WIDTH // 2, WIDTH):
            layer = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
            layer.weight.data = torch.randn(layer.weight.shape, generator=generator) / (3 * inside**0.5)
            self.layers.append(layer.to(images.device).requires_grad_(False))
            inside = outside
        raw = self._raw(images)
        self.mean, self.spread = raw.mean(0), raw.std(0).clamp_min(1e-3)
        self.scale = torch.ones(())
        features = self._features(images)
        self.scale = torch.cdist(features, features).mean().clamp_min(1e-6)
        self.real = features / self.scale
        self.among = self._with_classes(torch.cdist(self.real, self.real), labels, labels)

    def _raw(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            small = F.adaptive_avg_pool2d(images, 2 * GRID).flatten(1)
            found = F.adaptive_avg_pool2d(images, min(32, *images.shape[2:]))
            for layer in self.layers:
                found = F.max_pool2d(F.leaky_relu(layer(found), 0.2), 2)
            return torch.cat([small, F.adaptive_avg_pool2d(found, GRID).flatten(1)], dim=1).float()

    def _features(self, images: Tensor) -> Tensor:
        return (self._raw(images) - self.mean) / self.spread / self.scale

    @staticmethod
    def _with_classes(distances: Tensor, ours: Tensor, theirs: Tensor) -> Tensor:
        # Not their sum: it would be the distance of the images plus that of the classes, whatever belongs together.
        return (distances.square() + (ours[:, None] != theirs[None])).sqrt()

    def distance(self, images: Tensor, labels: Tensor) -> Tensor:
        """The energy distance between (features, class) of these images and of the real ones: 0 when they are one
        distribution (Székely and Rizzo, 2013)."""
        made = self._features(images)
        between = self._with_classes(torch.cdist(made, self.real), labels, self.labels)
        within = self._with_classes(torch.cdist(made, made), labels, labels)
        return 2 * between.mean() - _mean_off(within) - _mean_off(self.among)

    def spreads(self, images: Tensor, labels: Tensor) -> dict[int, float]:
        """How far apart the made images of a class are, against its real ones (1: as far)."""
        made, found = self._features(images), {}
        for label in self.labels.unique().tolist():
            ours, theirs = made[labels == label], self.real[self.labels == label]
            if min(len(ours), len(theirs)) >= 5:
                apart = _mean_off(torch.cdist(theirs, theirs)).clamp_min(1e-6)
                found[label] = float(_mean_off(torch.cdist(ours, ours)) / apart)
        return found


def _mean_off(distances: Tensor) -> Tensor:
    """The mean without the diagonal."""
    count = len(distances)
    return distances.sum() / max(1, count * (count - 1))
