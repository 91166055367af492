"""Mixed train images, labelled by an ensemble of classifiers.

Two train images are mixed as in Zhang et al., "mixup" (ICLR 2018), or a piece of one is laid over the other as in Yun
et al., "CutMix" (ICCV 2019). An image is kept for a class with the chance that the ensemble gives that class, so that
who learns from the images learns what the ensemble knows: Hinton et al., "Distilling the Knowledge in a Neural
Network" (2015).
"""

import json
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.image import resnet
from leaven.generators.image.kept import KeepsImages
from leaven.generators.image.network import take, weights_of
from leaven.generators.image.parameters import DistillationParameters
from leaven.generators.image.policy import Redraw
from leaven.generators.parallel import Call, beside
from leaven.generators.precision import half_precision
from leaven.generators.seeds import derive

WEIGHTS, PLAN = "networks.safetensors", "plan.json"
BLOCK = 128  # images drawn at once, always as many
TURNS = (1, 4)  # times that an image is proposed, at once, until its label is believed
TRIED, TRIED_STEPS = (
    0.2,
    200,
)  # share of the steps, and most, of the two networks that mirrored images are tried with
PROBE, LEAST_STEPS = 20, 30  # steps that the time of one is measured with; and of a training
SAFETY = 0.75  # of the budget is planned with: a machine may slow down


State = dict[str, Tensor]
"""A network's weights by name."""


class Distillation(KeepsImages):
    """Mixes of train images that an ensemble believes to be of their class."""

    name = "distillation"
    role: Literal["sampler", "editor"] = "editor"  # type: ignore[misc]
    Parameters = DistillationParameters
    arrays = "images.npz"
    flip = False
    expected = ""  # how long the networks will learn, once it is known

    def _learn(
        self,
        pixels: np.ndarray,
        labels: np.ndarray,
        *,
        seed: int,
        budget: Budget,
        device: str,
        progress: Progress,
    ) -> Fit:
        self._keep(pixels, labels)
        self.device = device
        self.networks: list[resnet.Trained] = []
        report = Fit()
        if len(self.classes) < 2:
            report.notes.append("there is one class: no ensemble, every mix is of it")
            return report
        folder = budget.checkpoint
        report.steps = _planned(folder) or self._affordable(seed, budget)
        progress(0.0, f"{self.name}: trying whether mirrored images help")
        self.flip = self._flip(report.steps, seed)
        if report.steps < self.parameters.steps:
            report.stopped_by = "budget"
            report.notes.append(
                f"the budget allowed {report.steps:,} of {self.parameters.steps:,} steps for each network"
            )
        self._networks_trained(report.steps, seed, folder, progress)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        return report

    def _flip(self, steps: int, seed: int) -> bool:
        """Whether to learn from mirrored images: as asked, or what is better on images that are left out for it."""
        if self.parameters.flip is not None:
            return self.parameters.flip
        left_out = np.random.default_rng(derive(seed, "left out")).permutation(len(self.labels))
        left_out, learned = np.split(left_out, [len(left_out) // 3])
        if len(np.unique(self.labels[learned])) < 2 or not len(left_out):
            return False
        small = self._alone(learned)
        tried = max(LEAST_STEPS, min(TRIED_STEPS, int(TRIED * steps)))
        calls = [
            (_right, (small.with_flip(flip), tried, self.pixels[left_out], self.labels[left_out], seed))
            for flip in (False, True)
        ]
        plain, mirrored = beside(calls, self._beside)
        return bool(mirrored > plain)

    def with_flip(self, flip: bool) -> "Distillation":
        """The same, told to learn from mirrored images or not to."""
        made = self._alone()
        made.flip = flip
        return made

    def _affordable(self, seed: int, budget: Budget) -> int:
        """Steps of each network that the budget pays."""
        if budget.steps is not None or budget.seconds is None:
            return budget.steps or self.parameters.steps
        _trained(self, PROBE // 2, seed)  # what is slow once is not measured
        begun = time.monotonic()
        _trained(self, PROBE, seed)
        each = (time.monotonic() - begun) / PROBE
        rounds: float = math.ceil(self.parameters.networks / self._beside)
        if self.parameters.flip is None:
            rounds += TRIED * math.ceil(2 / self._beside)
        left = SAFETY * budget.seconds - budget.elapsed
        steps = max(LEAST_STEPS, min(self.parameters.steps, int(left / rounds / each)))
        self.expected = f", in about {steps * rounds * each:.0f} s"
        return steps

    @property
    def _beside(self) -> int:
        """Networks that learn at once."""
        return self.threads if self.device == "cpu" else 1

    def _networks_trained(self, steps: int, seed: int, folder: Path | None, progress: Progress) -> None:
        """Train the networks, and keep each in the folder once it is trained; those that are there are not trained."""
        count = self.parameters.networks
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / PLAN, json.dumps({"steps": steps}).encode())
        states = _states(folder, count)
        missing = [number for number in range(count) if number not in states]

        def calls() -> Iterator[Call]:
            for number in missing:
                yield _trained, (self._alone(), steps, derive(seed, "network", number))

        done = count - len(missing)
        progress(
            done / count,
            f"{self.name}: {done} of {count} networks learned, {steps:,} steps each{self.expected}",
        )
        for number, trained in zip(missing, beside(calls(), self._beside), strict=True):
            states[number] = weights_of(trained.network)
            if folder is not None:
                from safetensors.torch import save

                _write(folder / f"{number}.safetensors", save(states[number]))
            done += 1
            progress(done / count, f"{self.name}: {done} of {count} networks learned")
        self.networks = [self._network(states[number]) for number in range(count)]

    def _alone(self, rows: np.ndarray | slice = slice(None)) -> "Distillation":
        """What a process beside needs of it: images and labels, of some rows alone."""
        made = Distillation(self.parameters)
        made.pixels, made.labels, made.classes = self.pixels[rows], self.labels[rows], self.classes
        made.device, made.flip = self.device, self.flip
        return made

    def _network(self, state: State) -> resnet.Trained:
        """A trained network of its weights."""
        height, width, channels = self.shape
        network = resnet.ResNet9(channels, len(self.classes), max(height, width))
        take(network, state, self.name)
        network.to(self.device).eval()
        return resnet.Trained(network, self.device, half_precision("auto", self.device), 1)

    def to(self, device: str) -> "Distillation":
        self.device = device
        for trained in self.networks:
            trained.network.to(device)
            trained.device, trained.half = device, half_precision("auto", device)
        return self

    def _make(self, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        made = np.empty((len(labels), *self.shape), dtype=np.uint8)
        sources = np.empty(len(labels), dtype=np.int64)
        for number, start in enumerate(range(0, len(labels), BLOCK)):
            wanted = labels[start : start + BLOCK]
            # Always a whole block: so no row depends on how many are asked for after it.
            images, rows = self._block(np.resize(wanted, BLOCK), np.random.default_rng(derive(seed, number)))
            made[start : start + BLOCK] = images[: len(wanted)]
            sources[start : start + BLOCK] = rows[: len(wanted)]
        return made, sources

    def _block(self, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """An image for each label, and the train row that most of it is of.

        Mixes are proposed again and again, each taken with the chance that the ensemble gives the label, and at last
        the likeliest of those proposed.
        """
        images = np.empty((len(labels), *self.shape), dtype=np.uint8)
        rows = np.empty(len(labels), dtype=np.int64)
        best, left = np.full(len(labels), -1.0), np.arange(len(labels))
        for turns in TURNS:
            asked = np.repeat(labels[left], turns)
            made, bases = self._mixed(asked, rng)
            chance = self._chance(made, asked)
            ranks = np.where(rng.random(len(asked)) < chance, 2.0, chance)
            first = ranks.reshape(-1, turns).argmax(axis=1) + turns * np.arange(len(left))
            better = ranks[first] > best[left]
            places, taken = left[better], first[better]
            images[places], rows[places], best[places] = made[taken], bases[taken], ranks[taken]
            left = left[best[left] < 2.0]
            if not len(left):
                break
        return images, rows

    def _mixed(self, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A train image of each label's class with another in it, and its row."""
        count, asked = len(labels), self.parameters
        others = np.where(rng.random(count) < asked.same, labels, rng.integers(len(self.classes), size=count))
        bases, partners = self._some(labels, rng), self._some(others, rng)
        shares = rng.uniform(asked.least, 1, count)
        overlaid = rng.random(count) < asked.overlay
        made = self.pixels[bases].astype(np.float32)
        plain = np.flatnonzero(~overlaid)
        weights = shares[plain, None, None, None].astype(np.float32)
        made[plain] = weights * made[plain] + (1 - weights) * self.pixels[partners[plain]]
        height, width = self.shape[:2]
        for place in np.flatnonzero(overlaid):
            side = math.sqrt(1 - shares[place])
            tall, wide = max(1, int(side * height)), max(1, int(side * width))
            top, start = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
            piece = slice(top, top + tall), slice(start, start + wide)
            made[place][piece] = self.pixels[partners[place]][piece]
        return np.rint(made).astype(np.uint8), bases

    def _some(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A train row of each label's class, int64 (count,)."""
        order = np.argsort(self.labels, kind="stable")
        counts = np.bincount(self.labels, minlength=len(self.classes))
        starts = counts.cumsum() - counts
        found: np.ndarray = order[starts[labels] + (rng.random(len(labels)) * counts[labels]).astype(int)]
        return found

    def _chance(self, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """How likely the ensemble finds the labels, (images,)."""
        if not self.networks:
            return np.ones(len(labels))
        said = np.mean([trained.probabilities(pixels) for trained in self.networks], axis=0)
        sure = (said / said.max(axis=1, keepdims=True)) ** (1 / self.parameters.temperature)
        chance: np.ndarray = sure[np.arange(len(labels)), labels] / sure.sum(axis=1)
        return chance

    def _save(self, directory: Path) -> None:
        from safetensors.torch import save_file

        super()._save(directory)
        tensors = {
            f"{number}/{name}": value
            for number, trained in enumerate(self.networks)
            for name, value in weights_of(trained.network).items()
        }
        if tensors:
            save_file(tensors, directory / WEIGHTS)

    def _load(self, directory: Path) -> None:
        from safetensors.torch import load_file

        super()._load(directory)
        self.device, self.networks = "cpu", []
        if not (directory / WEIGHTS).exists():
            return
        tensors = load_file(directory / WEIGHTS)
        for number in range(self.parameters.networks):
            own = f"{number}/"
            state = {name.removeprefix(own): value for name, value in tensors.items() if name.startswith(own)}
            self.networks.append(self._network(state))


def _trained(of: Distillation, steps: int, seed: int) -> resnet.Trained:
    """A network that has learned from the train images, on one thread."""
    return resnet.train(
        of.pixels,
        of.labels,
        len(of.classes),
        seed=seed,
        threads=1,
        device=of.device,
        steps=steps,
        redraw=Redraw(flip=of.flip),
    )


def _right(of: Distillation, steps: int, pixels: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """How surely a network of `of`'s images finds the labels of others: mean log chance, classes weighed alike."""
    said = _trained(of, steps, derive(seed, "tried")).probabilities(pixels)
    own = np.log(np.clip(said[np.arange(len(labels)), labels], 1e-6, None))
    return float(np.mean([own[labels == label].mean() for label in np.unique(labels)]))


def _planned(folder: Path | None) -> int | None:
    """The steps that a fit which was killed had planned."""
    if folder is None or not (folder / PLAN).is_file():
        return None
    return int(json.loads((folder / PLAN).read_text())["steps"])


def _states(folder: Path | None, count: int) -> dict[int, State]:
    """The weights of networks that were trained before a kill, by number."""
    from safetensors.torch import load_file

    files = {number: folder / f"{number}.safetensors" for number in range(count)} if folder else {}
    return {number: load_file(file) for number, file in files.items() if file.is_file()}


def _write(path: Path, content: bytes) -> None:
    """A file that is never seen half-written."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)
