"""Train images, each changed a little by albumentations: the classic augmentation, as a generator of rows.

The default is TrivialAugment (Mueller and Hutter, ICCV 2021): one operation at one random strength for each image.
This is the one file that knows albumentations: 2.0.8 is its last release under the MIT licence.
"""

import functools
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from leaven.generators.contract import Budget, Fit, Parameters, Progress
from leaven.generators.errors import FitError
from leaven.generators.image.kept import KeepsImages
from leaven.generators.seeds import derive


class PolicyParameters(Parameters):
    """Parameters of policy."""

    pipeline: dict[str, Any] | None = Field(
        None,
        description="an albumentations pipeline, as A.to_dict gives it; left out: one random operation an image",
    )
    flip: bool = Field(
        False, description="also mirror half of the images, where left and right mean the same"
    )

    @field_validator("pipeline")
    @classmethod
    def _serialised(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and "transform" not in value:
            raise ValueError(
                "is no serialised pipeline: it has no 'transform' (write it with albumentations.to_dict)"
            )
        return value


class Policy(KeepsImages):
    """Changed train images. Each depends on its own seed alone, so that workers and shards do not matter."""

    name = "policy"
    arrays = "policy.npz"
    role: ClassVar[Literal["sampler", "editor"]] = "editor"
    Parameters = PolicyParameters

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
        self.__dict__.pop("transform", None)
        changed(
            self.transform, self.pixels[0], seed
        )  # a pipeline that cannot be used is known before any row
        return Fit()

    @functools.cached_property
    def transform(self) -> Any:
        """The pipeline."""
        return pipeline(self.parameters.pipeline, self.parameters.flip)

    def _make(self, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        sources = self._sources(labels, seed)
        made = np.empty((len(labels), *self.shape), dtype=np.uint8)
        for place, source in enumerate(sources):
            made[place] = changed(self.transform, self.pixels[source], derive(seed, place))
        return made, sources


def pipeline(serialised: dict[str, Any] | None = None, flip: bool = False) -> Any:
    """An albumentations pipeline: the serialised one, or TrivialAugment's operations.

    Raises:
        FitError: it cannot be built.
    """
    import albumentations as A

    if serialised is not None:
        try:
            made = A.from_dict(serialised)
        except Exception as error:  # albumentations raises whatever its transforms do
            raise FitError(f"policy: the pipeline cannot be built: {error}") from None
        return made if isinstance(made, A.Compose) else A.Compose([made])
    third = 0.32  # of the side, as far as TrivialAugment's wide space moves
    one = A.OneOf(
        [
            A.NoOp(p=1),
            A.RandomBrightnessContrast(brightness_limit=0.8, contrast_limit=0, p=1),
            A.RandomBrightnessContrast(brightness_limit=0, contrast_limit=0.8, p=1),
            A.Sharpen(alpha=(0.1, 0.9), p=1),
            A.Posterize(num_bits=(2, 7), p=1),
            A.Solarize(threshold_range=(0.2, 1.0), p=1),
            A.Equalize(p=1),
            A.AutoContrast(p=1),
            A.Affine(rotate=(-45, 45), p=1),
            A.Affine(shear={"x": (-30, 30), "y": (0, 0)}, p=1),
            A.Affine(shear={"x": (0, 0), "y": (-30, 30)}, p=1),
            A.Affine(translate_percent={"x": (-third, third), "y": (0, 0)}, p=1),
            A.Affine(translate_percent={"x": (0, 0), "y": (-third, third)}, p=1),
        ],
        p=1,
    )
    return A.Compose([*([A.HorizontalFlip(p=0.5)] if flip else []), one])


class Redraw:
    """Changes a batch of images for a classifier that is being trained: one seed for the whole batch, which is several
    times quicker than one for each image."""

    def __init__(self, serialised: dict[str, Any] | None = None, flip: bool = False):
        self.serialised, self.flip = serialised, flip

    @functools.cached_property
    def transform(self) -> Any:
        """The pipeline."""
        return pipeline(self.serialised, self.flip)

    def __getstate__(self) -> dict[str, Any]:
        """What goes into another process: how to build the pipeline, not the pipeline."""
        return {"serialised": self.serialised, "flip": self.flip}

    def __call__(self, pixels: np.ndarray, seed: int) -> np.ndarray:
        """uint8 (n, height, width, channels) -> the same shape."""
        self.transform.set_random_seed(seed % 2**32)
        return np.stack([_applied(self.transform, image) for image in pixels])


def changed(transform: Any, pixels: np.ndarray, seed: int) -> np.ndarray:
    """An image changed under a seed of its own, uint8 of the same shape.

    Raises:
        FitError: the pipeline fails, or changes the image's shape.
    """

    transform.set_random_seed(seed % 2**32)
    return _applied(transform, pixels)


def _applied(transform: Any, pixels: np.ndarray) -> np.ndarray:
    try:
        made = transform(image=pixels)["image"]
    except Exception as error:
        raise FitError(
            f"policy: the pipeline fails on an image of the shape {pixels.shape}: {error}"
        ) from None
    if made.shape != pixels.shape or made.dtype != np.uint8:
        raise FitError(
            f"policy: the pipeline makes {made.dtype} images of the shape {made.shape}; expected uint8 {pixels.shape}"
        )
    return made
