"""Teaching a pretrained diffusion model the train images: low-rank adapters, or one word for each class.

LoRA (Hu et al., ICLR 2022) on the attention of the UNet, as `peft` has it; textual inversion (Gal et al., ICLR 2023)
with one learned embedding for each class, as in DA-Fusion (Trabucco et al., ICLR 2024). Both lower the model's own
loss, the mean squared error of what it predicts from a noised latent, and leave its weights as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import InputError
from leaven.generators.image.pretrained_model import first_line, precision, quiet, upright
from leaven.generators.seeds import derive
from leaven.generators.training import Plan, train

if TYPE_CHECKING:
    import torch

Method = Literal["lora", "textual_inversion"]

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
TOKENS = "tokens"  # the name of textual inversion's only tensor
IMAGES = 4  # a step, as in DA-Fusion
HELD_OUT = 0.1  # of the images tell when to stop; none of fewer than `FEW`
FEW = 20
MOST = 5000  # images learned from: what is learned is small, and each image's latent stays in memory
LOOKS = 25  # at the held-out loss, over the planned steps
NOISES = 4  # for each held-out image
MOST_HELD_OUT = 64


def token(place: int) -> str:
    """The word learned for the class at a place."""
    return f"<leaven-{place}>"


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


def learned(
    pipeline: Any,
    how: Training,
    pixels: np.ndarray,
    labels: np.ndarray,
    prompts: Sequence[str],
    words: Sequence[str],
    *,
    seed: int,
    budget: Budget,
    progress: Progress,
) -> tuple[dict[str, "torch.Tensor"], Fit]:
    """Train an adapter. It stays in the pipeline, which is of no use for anything else after.

    Args:
        pipeline: one of the Stable Diffusion 1 and 2 family.
        pixels: uint8 (rows, height, width, 1 or 3); `labels`: int64 (rows,).
        prompts: one for each class; those of textual inversion have `token(place)` in them.
        words: one for each class, from which its learned word starts.

    Returns:
        Its weights by name, on the CPU, and how the training went.

    Raises:
        InputError: the model is of another family.
        FitError: the loss is no number.
    """
    import torch

    _check(pipeline, how.method)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False)
    rows = np.random.default_rng(derive(seed, "images")).permutation(len(pixels))[:MOST]
    trained = _adapters(pipeline, how.rank) if how.method == "lora" else _words(pipeline, words)
    lesson = _Lesson(pipeline, how, pixels[rows], labels[rows], prompts, seed)
    plan = Plan(steps=how.steps, rate=how.rate, every=max(1, how.steps // LOOKS), patience=max(1, LOOKS // 3))
    report = train(
        trained,
        lesson.loss,
        lesson.score if lesson.held else None,
        plan,
        budget=budget,
        progress=progress,
        name=f"pretrained ({how.method})",
    )
    report.rows = len(rows)
    if len(rows) < len(pixels):
        report.notes.append(f"{how.method} learned from {len(rows):,} of the {len(pixels):,} train images")
    return _state(pipeline, how.method, trained), report


class _Lesson:
    """The train images as latents, and the model's loss on them. The first `held` tell when to stop."""

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

        self.pipeline, self.seed, self.images = pipeline, seed, how.images
        self.schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.times = int(self.schedule.config.num_train_timesteps)
        self.mean, self.spread = _latents(pipeline, pixels, how.side, how.batch)
        self.classes = torch.from_numpy(labels)
        self.held = min(int(HELD_OUT * len(pixels)), MOST_HELD_OUT) if len(pixels) >= FEW else 0
        of_class = [np.flatnonzero(labels[self.held :] == n) + self.held for n in range(len(prompts))]
        self.of_class = [places for places in of_class if len(places)]
        self.ids = _ids(pipeline, prompts)
        self.told: torch.Tensor | None = None
        if how.method == "lora":  # the words stay as they are
            with torch.no_grad():
                self.told = _encoded(pipeline, self.ids)

    def loss(self, step: int) -> "torch.Tensor":
        """Of a batch in which classes are as frequent as one another: images of the rare ones are wanted most."""
        import torch

        draw = np.random.default_rng(derive(self.seed, "step", step))
        places = [draw.choice(self.of_class[draw.integers(len(self.of_class))]) for _ in range(self.images)]
        return self._error(
            torch.tensor(places), torch.from_numpy(draw.integers(0, self.times, self.images)), draw
        )

    def score(self) -> float:
        """Of the held-out images, at the same noises each time and at evenly spread levels."""
        import torch

        draw, total = np.random.default_rng(derive(self.seed, "held out")), 0.0
        with torch.no_grad():
            for one in range(NOISES):
                for start in range(0, self.held, self.images):
                    places = torch.arange(start, min(start + self.images, self.held))
                    share = (one + (places.double() + 0.5) / self.held) / NOISES
                    total += float(self._error(places, (share * self.times).long(), draw)) * len(places)
        return total / (self.held * NOISES)

    def _error(
        self, places: "torch.Tensor", times: "torch.Tensor", draw: np.random.Generator
    ) -> "torch.Tensor":
        """Mean squared error of what the network predicts from the noised latents of images."""
        import torch

        device, network = self.pipeline.device, self.pipeline.unet
        shape = (2, len(places), *self.mean.shape[1:])
        noise, within = torch.from_numpy(draw.standard_normal(shape, dtype=np.float32)).to(device)
        clean = self.mean[places].to(device) + self.spread[places].to(device) * within
        times, asked = times.to(device), self.classes[places]
        told = self.told[asked] if self.told is not None else _encoded(self.pipeline, self.ids[asked])
        noised = self.schedule.add_noise(clean, noise, times)
        kind = precision(str(device))
        with torch.autocast(device.type, kind, enabled=kind != torch.float32):
            predicted = network(noised.to(network.dtype), times, told, return_dict=False)[0]
        aims = {
            "epsilon": lambda: noise,
            "v_prediction": lambda: self.schedule.get_velocity(clean, noise, times),
            "sample": lambda: clean,
        }
        return torch.nn.functional.mse_loss(predicted.float(), aims[self.schedule.config.prediction_type]())


def applied(pipeline: Any, method: Method, state: dict[str, "torch.Tensor"], rank: int) -> None:
    """Give a pipeline what `learned` returned.

    Raises:
        InputError: it was learned on another model.
    """
    if method == "textual_inversion":
        vectors = state[TOKENS]
        with quiet():
            pipeline.load_textual_inversion(list(vectors), token=[token(n) for n in range(len(vectors))])
        return
    import peft

    with quiet():
        pipeline.unet.add_adapter(_lora(rank))
        try:
            loaded: Any = peft.set_peft_model_state_dict(pipeline.unet, state)
        except RuntimeError as error:  # sizes differ
            raise InputError(f"pretrained: the adapter is of another model: {first_line(error)}") from None
        if loaded.unexpected_keys:
            raise InputError(f"pretrained: the adapter is of another model: {loaded.unexpected_keys[0]}")
        pipeline.unet.eval()


def _check(pipeline: Any, method: Method) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline

    if not isinstance(pipeline, StableDiffusionImg2ImgPipeline):
        raise InputError(
            f"pretrained: adapt: {method} is for models of the Stable Diffusion 1 and 2 family; this one is a "
            f"{type(pipeline).__name__}; use adapt: none"
        )


def _latents(
    pipeline: Any, pixels: np.ndarray, side: int, batch: int
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Mean and spread of each image's latent, float32 (rows, channels, height, width), on the CPU."""
    import torch

    means, spreads = [], []
    for start in range(0, len(pixels), batch):
        images = [upright(image, side) for image in pixels[start : start + batch]]
        ready = pipeline.image_processor.preprocess(images).to(pipeline.device, pipeline.vae.dtype)
        with torch.no_grad():
            latent = pipeline.vae.encode(ready).latent_dist
        means.append(latent.mean.float().cpu())
        spreads.append(latent.std.float().cpu())
    scale = pipeline.vae.config.scaling_factor
    return torch.cat(means) * scale, torch.cat(spreads) * scale


def _lora(rank: int) -> Any:
    import peft

    return peft.LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=ATTENTION)


def _adapters(pipeline: Any, rank: int) -> "torch.nn.Module":
    """The UNet with adapters, which alone are trained, in float32."""
    import torch
    from diffusers.training_utils import cast_training_params

    pipeline.unet.add_adapter(_lora(rank))
    cast_training_params(pipeline.unet, dtype=torch.float32)
    network: torch.nn.Module = pipeline.unet
    return network


def _words(pipeline: Any, words: Sequence[str]) -> "torch.nn.Module":
    """One trained embedding for each class, which starts as the mean of its words' and is put where its word stands."""
    import torch

    table = pipeline.text_encoder.get_input_embeddings()
    kept = table.weight.detach().float()
    starts = []
    for word in words:
        known = pipeline.tokenizer(word, add_special_tokens=False).input_ids
        starts.append(kept[known].mean(0) if known else kept.mean(0))
    vectors = torch.nn.Parameter(torch.stack(starts))
    names = [token(place) for place in range(len(words))]
    pipeline.load_textual_inversion(list(vectors.detach()), token=names)
    table = pipeline.text_encoder.get_input_embeddings()
    place = torch.full((table.num_embeddings,), -1, device=table.weight.device)
    place[pipeline.tokenizer.convert_tokens_to_ids(names)] = torch.arange(len(words), device=place.device)
    table.requires_grad_(False)

    def put(module: Any, asked: tuple[Any, ...], found: torch.Tensor) -> torch.Tensor:
        at = place[asked[0]]
        return torch.where((at >= 0)[..., None], vectors[at.clamp(min=0)].to(found.dtype), found)

    table.register_forward_hook(put)
    return torch.nn.ParameterList([vectors])


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


def _state(pipeline: Any, method: Method, trained: "torch.nn.Module") -> dict[str, "torch.Tensor"]:
    if method == "textual_inversion":
        (vectors,) = trained.parameters()
        return {TOKENS: vectors.detach().float().cpu().contiguous()}
    import peft

    return {
        name: weight.detach().float().cpu().contiguous()
        for name, weight in peft.get_peft_model_state_dict(pipeline.unet).items()
    }
