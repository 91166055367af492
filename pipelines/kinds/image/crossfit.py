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

from leaven.generators.image.policy import Redraw
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines.kinds.image import resnet
from leaven.pipelines.quality.encode import as_labels
from leaven.pipelines.quality.images.arms import pixels_of
from leaven.pipelines.task import Task

FOLDS = 3
LEARNED_ROWS = 20_000  # train images that networks here learn from; a sample of more
STEPS = 300  # of a network here: features and the order of confidences need fewer than the best accuracy
SHIFT = 1 / 16  # of the side: how far the views of an image lie apart
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

    def _train(self, rows: np.ndarray, seed: int) -> resnet.Trained:
        return resnet.train(
            self.pixels[rows],
            self.labels[rows],
            len(self.task.classes),
            seed=seed,
            threads=self.threads,
            device=self.device,
            steps=STEPS,
            redraw=Redraw(),
        )


def learned(
    schema: Schema, task: Task, train: pd.DataFrame, *, seed: int = 0, threads: int, device: str = "cpu"
) -> Learned:
    """What is learned from these train rows; the same object again for the same rows and settings.

    Args:
        schema: the columns, one of them of images.
        task: a classification.
        train: train rows and nothing else; a sample of `LEARNED_ROWS` of more.
        seed: of the networks. The default serves everybody who wants to share them.
        threads: of a training.
        device: where it trains.
    """
    codes = pd.Index(list(task.classes)).get_indexer(pd.Index(as_labels(train[task.target])))
    rows = np.flatnonzero(codes >= 0)
    if len(rows) > LEARNED_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, LEARNED_ROWS, replace=False))
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


def keys(pixels: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each image, uint64 (rows,)."""
    flat = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    digests = b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in flat)
    return np.frombuffer(digests, dtype=np.uint64)


class Ensemble:
    """What the networks say of images, each seen in three views: as it is, and shifted a little each way.

    The views take the place of kinds of classifiers: where they disagree, the label hangs on a detail. As
    `kinds.agreement.Ensemble` says otherwise.
    """

    def __init__(self, schema: Schema, learned: Learned):
        self._schema, self._learned = schema, learned
        self.labels = learned.labels
        self._said_before: OrderedDict[str, np.ndarray] = OrderedDict()
        classes = len(learned.task.classes)
        self.unseen = np.full((3, len(self.labels), classes), np.nan)
        for fold, network in enumerate(learned.networks):
            held = learned.folds == fold
            for number, view in enumerate(_views(learned.pixels[held])):
                self.unseen[number, held] = network.probabilities(view)

    @property
    def known(self) -> bool:
        return bool(self._learned.networks)

    def says(self, frame: pd.DataFrame) -> np.ndarray:
        """(views, rows, classes), mean over the networks."""
        pixels = pixels_of(self._schema, frame)
        key = hashlib.sha256(pixels.tobytes()).hexdigest()
        if key not in self._said_before:
            said = [
                np.mean([network.probabilities(view) for network in self._learned.networks], axis=0)
                for view in _views(pixels)
            ]
            self._said_before[key] = np.stack(said)
            while len(self._said_before) > KEPT:
                self._said_before.popitem(last=False)
        return self._said_before[key]

    def labels_of(self, frame: pd.DataFrame) -> np.ndarray:
        """Class codes, -1 where the label is missing or unknown: int64 (rows,)."""
        task = self._learned.task
        labels = pd.Index(as_labels(frame[task.target]))
        return np.asarray(pd.Index(list(task.classes)).get_indexer(labels))


def _views(pixels: np.ndarray) -> list[np.ndarray]:
    """The images as they are, and shifted along both diagonals; what comes in repeats the border."""
    height, width = pixels.shape[1:3]
    by = max(1, round(SHIFT * max(height, width)))
    wide = np.pad(pixels, ((0, 0), (by, by), (by, by), (0, 0)), mode="edge")
    return [pixels, wide[:, :height, :width], wide[:, 2 * by :, 2 * by :]]
