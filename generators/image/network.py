"""What the generators that train a network share: parameters, held-out images, batches, memory, files."""

import dataclasses
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from leaven.generators import training
from leaven.generators.contract import Budget, Fit, Parameters, Progress
from leaven.generators.errors import FitError, StoreError
from leaven.generators.image import several
from leaven.generators.image.base import ImageGenerator
from leaven.generators.image.parameters import LEAST_BATCH, NetworkParameters
from leaven.generators.precision import half_precision
from leaven.generators.seeds import derive, seeded, torch_threads
from leaven.generators.together import Together

WEIGHTS = "network.safetensors"
HELD_OUT = 0.1  # share of the images that training is watched with
LEAST_HELD_OUT, MOST_HELD_OUT = 4, 500  # with fewer, none are
BLIND = 500  # steps at most where none are: more would learn the images by heart unseen
GLIMPSE_SECONDS, GLIMPSE_SHARE = (
    30.0,
    0.01,
)  # between two pictures of a fit; and most of its time that they take
GLIMPSE_CLASSES, GLIMPSE_EACH = 8, 4  # images in such a picture
LOOK = 256  # images with noise of their own that a look takes at least; few are looked at again


class NetworkGenerator(ImageGenerator):
    """A generator that is a network. A subclass builds it, and says its loss and how it draws.

    Pixels are -1 to 1 in float tensors (n, channels, height, width). A batch of the fit depends on the seed and the
    step alone, a batch of the sample on the seed and its number alone.
    """

    Parameters: ClassVar[type[Parameters]] = NetworkParameters
    draw_batch: ClassVar[int] = 128  # images that are drawn at once, always as many

    def __init__(self, parameters: Any = None, constraints: Any = ()):
        super().__init__(parameters, constraints)
        self.network: nn.Module | None = None
        self.device = "cpu"

    def to(self, device: str) -> Self:
        self.device = device
        if self.network is not None:
            self.network.to(device)
        return self

    @abstractmethod
    def _build(self) -> nn.Module:
        """The network for `self.shape` and `self.classes`, with random weights."""

    @abstractmethod
    def _loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a batch: images (n, c, h, w), labels int64 (n,); `generator` is all that is random in it."""

    @abstractmethod
    def _draw(self, network: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        """An image for each label, (n, c, h, w), values beyond -1 to 1 are cut off."""

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
        batch, devices, notes = self.parameters.batch, self.parameters.devices, []
        train = self._train if devices == 1 else partial(several.train, self)
        while True:
            try:
                report = train(
                    pixels, labels, batch, seed=seed, budget=budget, device=device, progress=progress
                )
                break
            except torch.cuda.OutOfMemoryError:
                if batch // 2 < LEAST_BATCH or batch // 2 % devices:
                    raise
            batch //= 2
            torch.cuda.empty_cache()  # not above: there the error still holds the old tensors
            notes.append(f"{2 * batch} images at once did not fit into the GPU's memory; {batch} do")
        report.notes = [*notes, *report.notes]
        return report

    def _train(
        self,
        pixels: np.ndarray,
        labels: np.ndarray,
        batch: int,
        *,
        seed: int,
        budget: Budget,
        device: str,
        progress: Progress,
        together: Together | None = None,
    ) -> Fit:
        """Build the network and train it by the house's loop; `together` with other processes, each of which has its
        part of every batch."""
        with self.computing(device):
            network = self._fresh(seed)
            data = Data(pixels, labels, batch, seed, self.device, together)

            plan = self._plan(len(data))
            if data.held_out is None:
                plan = dataclasses.replace(plan, steps=min(plan.steps, BLIND))

            def loss(step: int) -> Tensor:
                network.train()
                images, wanted, generator = data.batch(step)
                with self.cast():
                    return self._loss(network, images, wanted, generator)

            report = training.train(
                network,
                loss,
                (lambda: self._held_out(network, data)) if data.held_out is not None else None,
                plan,
                budget=budget,
                progress=Glimpses(self, network, progress),
                name=self.name,
                resumes=True,
                together=together,
            )
            self.network = network.eval()
        return report

    def _glimpse(self, network: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        """What a network that is still learning draws, as `_draw`."""
        return self._draw(network, labels, generator)

    def _plan(self, images: int) -> training.Plan:
        """How to train on so many images."""
        return training.Plan(
            self.parameters.steps, self.parameters.rate, every=100, patience=12, average=0.999
        )

    def _fresh(self, seed: int) -> nn.Module:
        """The network with weights of its seed, on its device."""
        with seeded(derive(seed, "weights")):
            network = self._build()
        return network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _held_out(self, network: nn.Module, data: "Data") -> float:
        """The loss on held-out images, with the same noise each time."""
        assert data.held_out is not None
        network.eval()
        total, count = 0.0, 0
        with torch.no_grad(), self.cast():
            for number, (images, labels) in enumerate(data.held_batches()):
                generator = data.generator("held out", number)
                total += float(self._loss(network, images, labels, generator)) * len(labels)
                count += len(labels)
        return total / count

    def _make(self, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        assert self.network is not None
        made = np.empty((len(labels), *self.shape), dtype=np.uint8)
        size = self.draw_batch
        with self.computing(self.device), torch.inference_mode():
            for number, start in enumerate(range(0, len(labels), size)):
                wanted = labels[start : start + size]
                # Always a whole batch: so no row depends on how many are asked for after it.
                whole = torch.from_numpy(np.resize(wanted, size)).to(self.device)
                generator = torch.Generator(self.device).manual_seed(derive(seed, number))
                with self.cast():
                    images = self._draw(self.network, whole, generator)
                made[start : start + size] = to_pixels(images[: len(wanted)])
        return made, None

    @contextmanager
    def computing(self, device: str) -> Iterator[None]:
        """On this device, with the fit's threads."""
        self.device = device
        with torch_threads(self.threads):
            yield

    def cast(self) -> torch.autocast:
        """Computing in half the bits, where asked for and where it pays."""
        half = half_precision(self.parameters.precision, self.device)
        return torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=half)

    def _fitted(self) -> nn.Module:
        """The network, once there is one."""
        if self.network is None:
            raise FitError(f"{self.name} is not fitted yet")
        return self.network

    def _save(self, directory: Path) -> None:
        self.write_weights(directory / WEIGHTS)

    def _load(self, directory: Path) -> None:
        self.network = self.built(directory / WEIGHTS)

    def write_weights(self, path: Path) -> None:
        """The network's weights as a safetensors file."""
        from safetensors.torch import save_file

        save_file(weights_of(self._fitted()), path)

    def built(self, path: Path) -> nn.Module:
        """The network with weights of a file, on the device."""
        from safetensors.torch import load_file

        network = self._build()
        take(network, load_file(path), self.name)
        return network.to(device=self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """A network's weights by name, as files keep them."""
    return {name: value.cpu().contiguous() for name, value in network.state_dict().items()}


def take(network: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    """Give a network its weights.

    Raises:
        StoreError: they are another network's: of a generator that an earlier version made.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        why = str(error).partition(":")[0]
        raise StoreError(
            f"{name}: its weights are of another version of Leaven ({why}); run the recipe again"
        ) from None


class Glimpses:
    """Progress that now and then shows what the network draws, where pictures are shown; the fit stays the same."""

    def __init__(self, owner: NetworkGenerator, network: nn.Module, progress: Progress):
        self.owner, self.network, self.progress = owner, network, progress
        self.show = getattr(progress, "picture", None)
        self._next = time.monotonic() + GLIMPSE_SECONDS

    def __call__(self, share: float, text: str) -> None:
        self.progress(share, text)
        begun = time.monotonic()
        if self.show is None or begun < self._next:
            return
        self.show(to_pixels(self._drawn()), self._columns)
        ended = time.monotonic()
        self._next = ended + max(GLIMPSE_SECONDS, (ended - begun) / GLIMPSE_SHARE)

    @property
    def _columns(self) -> int:
        """Classes that are drawn, side by side."""
        return min(GLIMPSE_CLASSES, len(self.owner.classes))

    def _drawn(self) -> Tensor:
        """A few images of the first classes, always out of the same noise."""
        owner = self.owner
        labels = torch.arange(self._columns, device=owner.device).repeat(GLIMPSE_EACH)
        generator = torch.Generator(owner.device).manual_seed(derive("glimpse"))
        self.network.eval()
        with torch.no_grad(), owner.cast():
            return owner._glimpse(self.network, labels, generator)


class Data:
    """Train images, in batches of which each depends on the seed and its number alone.

    Where there are enough, a tenth is held out to watch the training with, evenly over the classes that have three.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        labels: np.ndarray,
        batch: int,
        seed: int,
        device: str,
        together: Together | None = None,
    ):
        self.seed, self.device, self.size, self.together = seed, device, batch, together
        held = np.zeros(len(labels), dtype=bool)
        held[_held_out(labels, np.random.default_rng(derive(seed, "held out")))] = True
        # A GPU has them all where they fit; else, and in memory, they are not copied.
        self._there = _room(pixels.nbytes, device)
        self._pixels = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._there)
        self._labels = torch.from_numpy(labels).to(self._there)
        self._rows = np.flatnonzero(~held)
        self.held_out = self.images(np.flatnonzero(held)) if held.any() else None
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def images(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """uint8 (n, h, w, c) and labels (n,) of some rows, on the device."""
        picked = torch.from_numpy(rows).to(self._there)
        return self._pixels[picked].to(self.device), self._labels[picked].to(self.device)

    def learned(self, places: np.ndarray) -> tuple[Tensor, Tensor]:
        """As `images`, by places among those that are not held out."""
        return self.images(self._rows[places])

    def generator(self, *parts: Any) -> torch.Generator:
        """Randomness of one purpose."""
        return torch.Generator(self.device).manual_seed(derive(self.seed, *parts))

    def batch(self, step: int) -> tuple[Tensor, Tensor, torch.Generator]:
        """Images -1 to 1, labels and randomness of a step: every image once before any comes again."""
        places, parts = self._at(np.arange(step * self.size, (step + 1) * self.size)), ["step", step]
        if self.together is not None:
            places, parts = self.together.part(places), [*parts, self.together.rank]
        images, labels = self.learned(places)
        return scaled(images), labels, self.generator(*parts)

    def _at(self, places: np.ndarray) -> np.ndarray:
        """The images at these places of the endless row of epochs, each in an order of its own."""
        epochs, within = np.divmod(places, len(self))
        found = np.empty_like(places)
        for epoch in np.unique(epochs):
            if epoch != self._epoch:
                rng = np.random.default_rng(derive(self.seed, "epoch", int(epoch)))
                self._epoch, self._order = int(epoch), rng.permutation(len(self))
            found[epochs == epoch] = self._order[within[epochs == epoch]]
        return found

    def held_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The held-out images, batch by batch, few of them several times."""
        assert self.held_out is not None
        pixels, labels = self.held_out
        for _ in range(-(-LOOK // len(labels))):
            for start in range(0, len(labels), self.size):
                yield scaled(pixels[start : start + self.size]), labels[start : start + self.size]


def _room(size: int, device: str) -> str:
    """Where so many bytes of images lie: on the GPU where they leave half of its memory, else in this machine's."""
    if not device.startswith("cuda"):
        return device
    free, _ = torch.cuda.mem_get_info(device)
    return device if size < free / 2 else "cpu"


def _held_out(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which images are held out, evenly over the classes; none where they are few."""
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    order = order[np.bincount(labels)[labels[order]] >= 3]
    count = min(round(HELD_OUT * len(order)), MOST_HELD_OUT)
    if count < LEAST_HELD_OUT:
        return np.empty(0, dtype=np.int64)
    chosen: np.ndarray = order[((np.arange(count) + 0.5) * len(order) / count).astype(np.int64)]
    return chosen


def scaled(pixels: Tensor) -> Tensor:
    """uint8 (n, h, w, c) -> float32 (n, c, h, w) in -1 to 1."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pixels(images: Tensor) -> np.ndarray:
    """float (n, c, h, w) in -1 to 1 -> uint8 (n, h, w, c)."""
    rounded = (images.float().clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    return np.asarray(rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy())
