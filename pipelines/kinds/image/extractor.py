"""What distances between images are measured in: features of a network that every number names.

The default, `resnet9`, is trained on train rows. A user may name another: `torchvision:NAME`, a TorchScript file, as
exported from Inception or DINOv2, or `module:factory` of their own.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.errors import InputError
from leaven.generators.schema import Schema
from leaven.pipelines.kinds.image.crossfit import Learned, learned
from leaven.pipelines.kinds.image.remembered import Remembered, keys
from leaven.pipelines.task import Task

DEFAULT = "resnet9"
FILES = (".pt", ".pth", ".ts", ".torchscript")
BATCH = 128  # images in a batch
FIELD = "quality.extractor"

Features = Callable[[np.ndarray], np.ndarray]
"""uint8 (rows, height, width, channels) -> (rows, dimensions)."""


class Extractor:
    """Pixels -> features, float64 (rows, dimensions); the name stands in every number that is measured in them."""

    def __init__(self, name: str, features: Features):
        self.name = name
        self._features = features if isinstance(features, Remembered) else Remembered(self._checked(features))

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (rows, height, width, channels) -> float64 (rows, dimensions).

        Raises:
            InputError: what comes out is no matrix of finite numbers with a row for each image.
        """
        return self._features(pixels).astype(np.float64)

    def _checked(self, features: Features) -> Features:
        def checked(pixels: np.ndarray) -> np.ndarray:
            made = np.asarray(features(pixels))
            if made.ndim != 2 or len(made) != len(pixels) or not np.isfinite(made).all():
                raise InputError(
                    f"{FIELD}: '{self.name}' gives {made.dtype} of the shape {made.shape} for {len(pixels):,} images; "
                    "expected finite numbers, one row for each image"
                )
            return made

        return checked

    def spaces(self, pixels: np.ndarray) -> list[tuple[Features, np.ndarray]]:
        """Spaces in which these train images can stand beside images that nobody learned from.

        Each is a function from pixels to features, and says which of the train images it has not learned from, bool
        (rows,). An extractor that learned from none of them is the one space.
        """
        return [(self, np.ones(len(pixels), dtype=bool))]


class TrainedExtractor(Extractor):
    """ResNet-9, trained on train images. The spaces are those of networks that have not seen a third of them."""

    def __init__(self, source: Learned):
        super().__init__(DEFAULT, lambda pixels: source.whole.features(pixels))
        self._source = source
        self._spaces: list[Extractor] = []

    def spaces(self, pixels: np.ndarray) -> list[tuple[Features, np.ndarray]]:
        source = self._source
        if not self._spaces:
            self._spaces = [Extractor(self.name, features) for features in source.features]
        seen, asked = keys(source.pixels), keys(pixels)
        return [
            (space, ~np.isin(asked, seen[source.folds != fold])) for fold, space in enumerate(self._spaces)
        ]


def make(
    name: str, schema: Schema, task: Task, train: pd.DataFrame, *, threads: int, device: str = "cpu"
) -> Extractor:
    """The extractor that the recipe names; `resnet9` learns from `train`, when it is first used.

    Made once in a process for the same train rows: fidelity, diversity, privacy and screens share it.

    Raises:
        InputError: as `named`.
    """
    if name != DEFAULT:
        return named(name)
    source = learned(schema, task, train, threads=threads, device=device)
    found: Extractor = source.shared.setdefault("extractor", TrainedExtractor(source))
    return found


def named(text: str) -> Extractor:
    """An extractor that a user names.

    - `torchvision:NAME`: a model with its published weights, what enters its last linear layer.
    - `FILE` or `FILE@SIDE`: TorchScript; takes float (rows, 3, height, width) in 0 to 1, resized to SIDE when given.
    - `module:factory`: `factory()` gives a callable from uint8 (rows, height, width, channels) to (rows, dimensions).

    Raises:
        InputError: it cannot be had, or the text is none of these.
    """
    if text.startswith("torchvision:"):
        return Extractor(text, _torchvision(text))
    path, _, side = text.partition("@")
    if path.endswith(FILES):
        if side and not (side.isdecimal() and 8 <= int(side) <= 1024):
            raise InputError(
                f"{FIELD}: the side in '{text}' is '{side}'; expected a whole number from 8 to 1024"
            )
        return Extractor(Path(path).name, _script(text, Path(path), int(side) if side else None))
    if ":" in text:
        return Extractor(text, _own(text))
    raise InputError(
        f"{FIELD}: unknown extractor '{text}'; expected {DEFAULT}, torchvision:NAME, a TorchScript file "
        f"({', '.join(FILES)}) or module:factory"
    )


def _own(text: str) -> Features:
    module, _, attribute = text.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InputError(f"{FIELD}: '{text}' cannot be imported ({error}); expected module:factory") from None
    if not callable(made):
        raise InputError(
            f"{FIELD}: '{text}' gives a {type(made).__name__}; expected a callable that takes pixels"
        )
    found: Features = made
    return found


def _script(text: str, path: Path, side: int | None) -> Features:
    import torch

    if not path.is_file():
        raise InputError(f"{FIELD}: there is no file at {path}")
    try:
        network = torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:  # torch raises whatever its reader does
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{FIELD}: {path.name} is no TorchScript file that can be read: {reason}") from None

    def features(pixels: np.ndarray) -> np.ndarray:
        return _in_batches(pixels, side, network, text)

    return features


def _torchvision(text: str) -> Features:
    import torch

    name = text.partition(":")[2]
    try:
        from torchvision import models
    except ImportError:
        raise InputError(f"{FIELD}: '{text}' needs torchvision, which is not installed") from None
    except RuntimeError as error:  # one that was built for another torch
        raise InputError(f"{FIELD}: '{text}' needs torchvision, which fails to load: {error}") from None
    try:
        weights = models.get_model_weights(name).DEFAULT
        network = models.get_model(name, weights=weights).eval()
    except Exception as error:  # unknown names, and whatever a download raises
        raise InputError(f"{FIELD}: '{text}' cannot be had: {str(error).splitlines()[0]}") from None
    linear = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    if not linear:
        raise InputError(f"{FIELD}: '{text}' ends in no linear layer; expected a classifier")
    prepare = weights.transforms(antialias=True)

    def features(pixels: np.ndarray) -> np.ndarray:
        caught: list[Any] = []
        hook = linear[-1].register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))

        def run(images: "torch.Tensor") -> "torch.Tensor":
            caught.clear()
            network(prepare(images))
            return caught[0].flatten(1)  # type: ignore[no-any-return]

        try:
            return _in_batches(pixels, None, run, text)
        finally:
            hook.remove()

    return features


def _in_batches(pixels: np.ndarray, side: int | None, network: Any, text: str) -> np.ndarray:
    """Pixels -> features of a network that takes float (rows, 3, height, width) in 0 to 1."""
    import torch
    from torch.nn.functional import interpolate

    found = []
    with torch.inference_mode():
        for start in range(0, len(pixels), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(pixels[start : start + BATCH]))
            images = batch.permute(0, 3, 1, 2).float() / 255
            images = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images[:, :3]
            if side is not None:
                images = interpolate(images, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
            try:
                made = network(images.contiguous())
            except RuntimeError as error:
                reason = str(error).strip().splitlines()[-1]
                raise InputError(
                    f"{FIELD}: '{text}' fails on images of the shape {tuple(images.shape)}: {reason}"
                ) from None
            found.append(made.float().numpy())
    return np.concatenate(found)
