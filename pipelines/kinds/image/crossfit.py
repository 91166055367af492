"""Networks cross-fitted on train: each judges the train images that it has not seen as it judges synthetic ones.

A network knows the images that it has learned from: their features lie together, and it is sure of their labels. What
real images come to is therefore asked of the network that has not seen them.
"""

import functools
import hashlib
from collections import OrderedDict
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.image import resnet
from leaven.generators.image.policy import Redraw
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines.kinds.image.features import Features
from leaven.pipelines.kinds.image.remembered import Remembered, keys
from leaven.pipelines.quality.images.arms import held, pixels_of
from leaven.pipelines.task import Task

FOLDS = 3
LEARNED_ROWS = 20_000  # train images that networks learn from at most
STEPS = 150  # of a network, twice as many from FEW images on: less than for the best accuracy, which is not asked for
FEW = 2_000
VIEWS = 2  # of an image: as it is, and shifted
SHIFT = 1 / 16  # of the side
KEPT = 3  # sets of train images whose networks are kept

_kept: OrderedDict[str, Any] = OrderedDict()


class Learned:
    """Train images that networks learn from, and what learns from them: each thing is fitted once in a process.

    Attributes:
        pixels: uint8 (rows, height, width, channels).
        labels: class codes int64 (rows,); images without a known label are left out.
    """

    def __init__(
        self, pixels: np.ndarray, labels: np.ndarray, task: Task, *, seed: int, threads: int, device: str
    ):
        self.pixels, self.labels, self.task = pixels, labels, task
        self.seed, self.threads, self.device = seed, threads, device
        self.shared: dict[str, Any] = {}  # what is made of it once, by name

    @functools.cached_property
    def whole(self) -> resnet.Trained:
        """A network that has learned from all of them."""
        return self._train(np.ones(len(self.labels), dtype=bool), derive(self.seed, "whole"))

    @functools.cached_property
    def folds(self) -> np.ndarray:
        """Which network has not seen an image, int64 (rows,): equal images go together, classes are dealt evenly."""
        _, first, same = np.unique(keys(self.pixels), return_index=True, return_inverse=True)
        random = np.random.default_rng(derive(self.seed, "folds"))
        order = random.permutation(len(first))
        order = order[np.argsort(self.labels[first][order], kind="stable")]
        dealt = np.empty(len(first), dtype=np.int64)
        dealt[order] = np.arange(len(first)) % FOLDS
        return dealt[same.ravel()]

    @functools.cached_property
    def networks(self) -> list[resnet.Trained]:
        """One for each fold, that has not seen it; none where there are too few images."""
        if len(self.labels) < 2 * FOLDS or len(np.unique(self.folds)) < FOLDS:
            return []
        return [self._train(self.folds != fold, derive(self.seed, "fold", fold)) for fold in range(FOLDS)]

    @functools.cached_property
    def features(self) -> list[Remembered]:
        """What stands before the last layer of each of `networks`."""
        return [Remembered(network.features) for network in self.networks]

    def _train(self, rows: np.ndarray, seed: int) -> resnet.Trained:
        return resnet.train(
            self.pixels[rows],
            self.labels[rows],
            len(self.task.classes),
            seed=seed,
            threads=self.threads,
            device=self.device,
            steps=STEPS * (1 if len(self.labels) < FEW else 2),
            redraw=Redraw(),
        )


def learned_rows(schema: Schema) -> int:
    """How many train images networks learn from at most."""
    return min(LEARNED_ROWS, held(schema))


def learned(
    schema: Schema, task: Task, train: pd.DataFrame, *, seed: int = 0, threads: int, device: str = "cpu"
) -> Learned:
    """What is learned from these train rows; the same object again for the same rows and settings.

    Args:
        schema: the columns, one of them of images.
        task: a classification.
        train: train rows and nothing else; a sample of `learned_rows` of more.
        seed: of the networks. The default serves everybody who wants to share them.
        threads: of a training.
        device: where it trains.
    """
    codes = Features(schema, task).labels(train)
    rows = np.flatnonzero(codes >= 0)
    if len(rows) > learned_rows(schema):
        rows = np.sort(np.random.default_rng(seed).choice(rows, learned_rows(schema), replace=False))
    pixels, labels = pixels_of(schema, train)[rows], codes[rows].astype(np.int64)
    asked = [pixels.shape, task.classes, seed, threads, device]
    key = f"{derive(asked)}-{hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()}"
    if key not in _kept:
        _kept[key] = Learned(pixels, labels, task, seed=seed, threads=threads, device=device)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    made: Learned = _kept[key]
    return made


class Ensemble:
    """What the networks say of images, each seen in two views: as it is, and shifted a little.

    The views take the place of kinds of classifiers: where they disagree, the label hangs on a detail. As
    `kinds.agreement.Ensemble` says otherwise.
    """

    def __init__(self, schema: Schema, learned: Learned):
        self._schema, self._learned = schema, learned
        self.labels = learned.labels
        self._said = [
            Remembered(functools.partial(_say, network, features))
            for network, features in zip(learned.networks, learned.features, strict=True)
        ]
        self.unseen = np.full((VIEWS, len(self.labels), len(learned.task.classes)), np.nan)
        for fold, said in enumerate(self._said):
            held = np.flatnonzero(learned.folds == fold)
            self.unseen[:, held] = _by_view(said(learned.pixels[held]))

    @property
    def known(self) -> bool:
        return bool(self._said)

    def says(self, frame: pd.DataFrame) -> np.ndarray:
        """(views, rows, classes), mean over the networks."""
        pixels = pixels_of(self._schema, frame)
        if not len(pixels):
            return np.empty((VIEWS, 0, self.unseen.shape[2]))
        return np.mean([_by_view(said(pixels)) for said in self._said], axis=0)

    def labels_of(self, frame: pd.DataFrame) -> np.ndarray:
        """Class codes, -1 where the label is missing or unknown: int64 (rows,)."""
        return Features(self._schema, self._learned.task).labels(frame)


def _say(network: resnet.Trained, features: Remembered, pixels: np.ndarray) -> np.ndarray:
    """What a network makes of both views, one after the other: (rows, views x classes)."""
    return np.hstack([network.classified(features(pixels)), network.probabilities(_shifted(pixels))])


def _by_view(said: np.ndarray) -> np.ndarray:
    """(rows, views x classes) -> float64 (views, rows, classes)."""
    return said.astype(np.float64).reshape(len(said), VIEWS, -1).transpose(1, 0, 2)


def _shifted(pixels: np.ndarray) -> np.ndarray:
    """The images, shifted along a diagonal; what comes in repeats the border."""
    height, width = pixels.shape[1:3]
    by = max(1, round(SHIFT * max(height, width)))
    return np.pad(pixels, ((0, 0), (by, 0), (by, 0), (0, 0)), mode="edge")[:, :height, :width]
