"""Train images, each changed by a diffusion model that somebody else trained, as in DA-Fusion.

An image is noised part of the way and denoised under a prompt with its class's words (Trabucco et al., "Effective
Data Augmentation With Diffusion Models", ICLR 2024), by any image-to-image pipeline that `diffusers` opens. The model
can be taught the train images first.
"""

import functools
import json
import logging
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import FitError, InputError
from leaven.generators.image import pretrained_adapt as adapting
from leaven.generators.image import pretrained_model as models
from leaven.generators.image.kept import KeepsImages
from leaven.generators.image.pretrained_lesson import IMAGES, Method, Training
from leaven.generators.image.pretrained_parameters import PretrainedParameters
from leaven.generators.seeds import derive, seeded

LOG = logging.getLogger(__name__)
ADAPTER, MODEL = "adapter.safetensors", "model.json"
TRIES = 5  # at a row that the model's safety checker refuses, each from another train image
RATES = {"lora": 1e-4, "textual_inversion": 5e-4}


class Pretrained(KeepsImages):
    """Train images changed by a pretrained model. Each depends on its own seed alone, whatever the shard."""

    name = "pretrained"
    role: ClassVar[Literal["sampler", "editor"]] = "editor"
    Parameters = PretrainedParameters
    arrays = "pretrained.npz"
    device = "cpu"
    most: int | None = (
        None  # images at once that GPU memory has been seen to hold; None: as many as asked for
    )

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
        asked: PretrainedParameters = self.parameters
        self._needs()
        if unknown := sorted(set(asked.names) - set(self.classes)):
            raise InputError(
                f"pretrained: names: '{unknown[0]}' is no class; there are {', '.join(self.classes[:20])}"
            )
        self._keep(pixels, labels)
        self.device = device
        self.state: dict[str, Any] = {}
        self.most = None
        progress(0.01, f"pretrained: opening {asked.model}")
        self.model = models.Model.found(asked.model, asked.revision, asked.allow_download, asked.unsafe)
        wanted, report = self.batch, Fit()
        if asked.adapt != "none":
            report = self._adapt(asked.adapt, seed, budget, progress)
        self._forget()
        self._try(derive(seed, "trial"))
        if self.batch < wanted:
            report.notes.append(
                f"GPU memory holds {self.batch} images of this model at once, not {wanted}: the batch was halved"
            )
        return report

    def _try(self, seed: int) -> None:
        """One step with a whole batch: what cannot be used, or does not fit, is known before any row is asked for."""
        import torch

        while True:
            try:
                sources = np.arange(self.batch) % len(self.pixels)
                self._drawn(sources, 1, [derive(seed, int(place)) for place in sources])
                return
            except torch.OutOfMemoryError:
                self._halve()

    def _needs(self) -> None:
        models.needed("diffusers", "transformers", *(["peft"] if self.parameters.adapt == "lora" else []))

    @property
    def batch(self) -> int:
        """Images that go through the model at once."""
        on_gpu = self.device.startswith("cuda")
        asked: int = self.parameters.batch or (8 if on_gpu else 1)
        return min(asked, self.most) if on_gpu and self.most else asked

    def _adapt(self, method: Method, seed: int, budget: Budget, progress: Progress) -> Fit:
        """Teach the model the train images; with half the batch where GPU memory is too small."""
        import torch

        asked: PretrainedParameters = self.parameters
        while True:
            pipeline = models.opened(self.model, self.device, asked.unsafe, training=True)
            how = Training(
                method=method,
                side=models.side_of(pipeline, asked.side),
                steps=asked.adapt_steps,
                rate=asked.adapt_rate or RATES[method],
                rank=asked.rank,
                images=min(IMAGES, self.most or IMAGES),
                batch=self.batch,
            )
            try:
                with models.quiet(), seeded(derive(seed, "adapt"), self.threads):
                    self.state, report = adapting.learned(
                        pipeline,
                        how,
                        self.pixels,
                        self.labels,
                        self._prompts(learned=method == "textual_inversion"),
                        [asked.names.get(label, label) for label in self.classes],
                        seed=seed,
                        budget=budget,
                        progress=progress,
                    )
                return report
            except torch.OutOfMemoryError:
                del pipeline
                self._halve()

    def _prompts(self, learned: bool) -> list[str]:
        """What the model is told of each class."""
        asked: PretrainedParameters = self.parameters
        words = [asked.names.get(label, label) for label in self.classes]
        if learned:
            words = [adapting.token(place) for place in range(len(words))]
        return [asked.prompt.format(label=word) for word in words]

    @functools.cached_property
    def pipeline(self) -> Any:
        """The model with what it was taught."""
        asked: PretrainedParameters = self.parameters
        made = models.opened(self.model, self.device, asked.unsafe)
        if self.state:
            assert asked.adapt != "none"
            adapting.applied(made, asked.adapt, self.state, asked.rank)
        return made

    def _forget(self) -> None:
        """Drop the pipeline; it is opened again when it is needed."""
        self.__dict__.pop("pipeline", None)

    def _halve(self) -> None:
        """Go on with half the batch.

        Raises:
            FitError: one image is already too much.
        """
        import torch

        torch.cuda.empty_cache()
        if self.batch == 1:
            raise FitError(
                f"pretrained: {self.parameters.model} needs more GPU memory than there is, even for one image; "
                "a smaller side may fit"
            )
        self.most = self.batch // 2
        LOG.warning("pretrained: out of GPU memory; going on with %d images at once", self.batch)

    def to(self, device: str) -> Self:
        if device != self.device:
            self.device = device
            self._forget()
        return self

    def _make(self, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        import torch

        sources = self._sources(labels, seed)
        steps = np.array([self._steps(derive(seed, place)) for place in range(len(labels))])
        made = np.empty((len(labels), *self.shape), dtype=np.uint8)
        tries = np.zeros(len(labels), dtype=np.int64)
        waiting = np.lexsort((np.arange(len(labels)), steps))  # those of a batch take equally many steps
        while len(waiting):
            batch = waiting[: self.batch]
            batch = batch[steps[batch] == steps[batch[0]]]
            seeds = [derive(seed, int(place), int(tries[place])) for place in batch]
            try:
                images, refused = self._drawn(sources[batch], int(steps[batch[0]]), seeds)
            except torch.OutOfMemoryError:
                self._halve()
                continue
            made[batch] = images
            tries[batch] += 1
            for place in batch[refused]:
                if tries[place] == TRIES:
                    raise FitError(
                        f"pretrained: the model's safety checker refused {TRIES} images in a row of the class "
                        f"'{self.classes[labels[place]]}'; another model or prompt is needed"
                    )
                known = np.flatnonzero(self.labels == labels[place])
                sources[place] = known[derive(seed, int(place), "source", int(tries[place])) % len(known)]
            waiting = np.concatenate([batch[refused], waiting[len(batch) :]])
        return made, sources

    def _steps(self, seed: int) -> int:
        """How many of the steps an image takes, by a strength drawn under its seed."""
        asked: PretrainedParameters = self.parameters
        rng, strength = np.random.default_rng(derive(seed, "strength")), asked.strength
        if isinstance(strength, list):
            low, high = strength[0], strength[-1]
            strength = float(rng.uniform(low, high) if len(strength) == 2 else rng.choice(strength))
        return max(1, round(strength * asked.steps))

    def _drawn(self, sources: np.ndarray, taken: int, seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
        asked: PretrainedParameters = self.parameters
        prompts = self._prompts(learned=asked.adapt == "textual_inversion")
        pipeline = self.pipeline
        with seeded(derive("batch", seeds), self.threads):  # some schedulers draw from the global generator
            return models.drawn(
                pipeline,
                self.pixels[sources],
                [prompts[label] for label in self.labels[sources]],
                seeds,
                side=models.side_of(pipeline, asked.side),
                taken=taken,
                steps=asked.steps,
                guidance=asked.guidance,
            )

    def _save(self, directory: Path) -> None:
        from safetensors.torch import save_file

        super()._save(directory)
        told = {**self.model.saved(), "most": self.most}
        (directory / MODEL).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        if self.state:
            save_file(self.state, directory / ADAPTER)

    def _load(self, directory: Path) -> None:
        from safetensors.torch import load_file

        self._needs()
        asked: PretrainedParameters = self.parameters
        told = json.loads((directory / MODEL).read_text(encoding="utf-8"))
        self.most = told["most"]
        self.model = models.Model.found(
            asked.model, told["commit"] or asked.revision, asked.allow_download, asked.unsafe
        )
        if {**self.model.saved(), "most": self.most} != told:
            raise InputError(
                f"pretrained: the model {asked.model} is another one than the generator was fitted with"
            )
        super()._load(directory)
        self.state = load_file(directory / ADAPTER) if (directory / ADAPTER).exists() else {}
