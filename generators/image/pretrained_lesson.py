"""What a diffusion model's adapter learns from: the train images as latents, and the model's loss on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from leaven.generators.image.pretrained_model import precision, upright
from leaven.generators.seeds import derive

if TYPE_CHECKING:
    import torch

Method = Literal["lora", "textual_inversion"]

IMAGES = 4  # a step, as in DA-Fusion
HELD_OUT = 0.1  # of the images tell when to stop; none of fewer than `FEW`
FEW = 20
MOST_HELD_OUT = 16
NOISES = 2  # for each held-out image
MOST = 5000  # images learned from: what is learned is small, and their latents stay in memory


@dataclass(frozen=True)
class Training:
    """How to train an adapter: on `images` a step; `batch` go through the autoencoder at once."""

    method: Method
    side: int
    steps: int
    rate: float
    rank: int
    images: int
    batch: int


def chosen(labels: np.ndarray, seed: int) -> np.ndarray:
    """The train images to learn from, at random; those at the front are one of each class."""
    rows = np.random.default_rng(derive(seed, "images")).permutation(len(labels))
    _, firsts = np.unique(labels[rows], return_index=True)
    return np.concatenate([rows[firsts], np.delete(rows, firsts)])[:MOST]


class Lesson:
    """The model's loss on the train images, of which those at the end, `held`, only tell when to stop."""

    def __init__(
        self,
        pipeline: Any,
        how: Training,
        pixels: np.ndarray,
        labels: np.ndarray,
        prompts: Sequence[str],
        seed: int,
    ):
        import torch
        from diffusers import DDPMScheduler

        self.pipeline, self.seed = pipeline, seed
        self.schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.times = int(self.schedule.config.num_train_timesteps)
        self.pixels, self.how = pixels, how
        self.latents: dict[int, torch.Tensor] = {}
        self.classes = torch.from_numpy(labels)
        spare = len(pixels) - len(np.unique(labels))
        count = min(int(HELD_OUT * len(pixels)), MOST_HELD_OUT, spare) if len(pixels) >= FEW else 0
        self.held = torch.arange(len(pixels) - count, len(pixels))
        taught = labels[: len(pixels) - count]
        self.of_class = [np.flatnonzero(taught == label) for label in np.unique(taught)]
        self.ids = _ids(pipeline, prompts)
        self.told: torch.Tensor | None = None
        if how.method == "lora":  # the words stay as they are
            with torch.no_grad():
                self.told = _encoded(pipeline, self.ids)

    def loss(self, step: int) -> "torch.Tensor":
        """Of a batch in which classes are as frequent as one another: images of the rare ones are wanted most."""
        import torch

        draw, count = np.random.default_rng(derive(self.seed, "step", step)), self.how.images
        places = [draw.choice(self.of_class[draw.integers(len(self.of_class))]) for _ in range(count)]
        return self._error(torch.tensor(places), torch.from_numpy(draw.integers(0, self.times, count)), draw)

    def score(self) -> float:
        """Of the held-out images, at the same noises each time and at evenly spread levels."""
        import torch

        draw, total = np.random.default_rng(derive(self.seed, "held out")), 0.0
        count = NOISES * len(self.held)
        levels = ((torch.arange(count) + 0.5) / count * self.times).long()
        with torch.no_grad():
            places = self.held.repeat(NOISES).split(self.how.images)
            for some, times in zip(places, levels.split(self.how.images), strict=True):
                total += float(self._error(some, times, draw)) * len(some)
        return total / len(levels)

    def _latent(self, places: list[int]) -> "torch.Tensor":
        """Mean and spread of images' latents, float32 (2, rows, channels, height, width), made when first asked for."""
        import torch

        new = [place for place in dict.fromkeys(places) if place not in self.latents]
        for start in range(0, len(new), self.how.batch):
            some = new[start : start + self.how.batch]
            for place, latent in zip(
                some, _latents(self.pipeline, self.pixels[some], self.how.side), strict=True
            ):
                self.latents[place] = latent
        return torch.stack([self.latents[place] for place in places], dim=1)

    def _error(
        self, places: "torch.Tensor", times: "torch.Tensor", draw: np.random.Generator
    ) -> "torch.Tensor":
        """Mean squared error of what the network predicts from the noised latents of images."""
        import torch

        device, network = self.pipeline.device, self.pipeline.unet
        mean, spread = self._latent(places.tolist()).to(device)
        shape = (2, *mean.shape)
        noise, within = torch.from_numpy(draw.standard_normal(shape, dtype=np.float32)).to(device)
        clean = mean + spread * within
        times, asked = times.to(device), self.classes[places]
        told = self.told[asked] if self.told is not None else _encoded(self.pipeline, self.ids[asked])
        noised = self.schedule.add_noise(clean, noise, times)
        kind = precision(str(device), training=True)
        with torch.autocast(device.type, kind, enabled=kind != torch.float32):
            predicted = network(noised.to(kind), times, told, return_dict=False)[0]
        aims = {
            "epsilon": lambda: noise,
            "v_prediction": lambda: self.schedule.get_velocity(clean, noise, times),
            "sample": lambda: clean,
        }
        return torch.nn.functional.mse_loss(predicted.float(), aims[self.schedule.config.prediction_type]())


def _latents(pipeline: Any, pixels: np.ndarray, side: int) -> "torch.Tensor":
    """Mean and spread of each image's latent, float32 (rows, 2, channels, height, width), on the CPU."""
    import torch

    images = [upright(image, side) for image in pixels]
    ready = pipeline.image_processor.preprocess(images).to(pipeline.device, pipeline.vae.dtype)
    with torch.no_grad():
        latent = pipeline.vae.encode(ready).latent_dist
    both = torch.stack([latent.mean, latent.std], dim=1).float().cpu()
    scaled: torch.Tensor = both * pipeline.vae.config.scaling_factor
    return scaled


def _ids(pipeline: Any, prompts: Sequence[str]) -> "torch.Tensor":
    """The tokens of each prompt, int64 (prompts, length)."""
    made = pipeline.tokenizer(
        list(prompts),
        padding="max_length",
        max_length=pipeline.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    return made.input_ids


def _encoded(pipeline: Any, ids: "torch.Tensor") -> "torch.Tensor":
    """What the network is told of each prompt, (prompts, length, width)."""
    return pipeline.text_encoder(ids.to(pipeline.device))[0]
