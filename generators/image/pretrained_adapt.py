"""Teaching a pretrained diffusion model the train images: low-rank adapters, or one word for each class.

LoRA (Hu et al., ICLR 2022) on the attention of the UNet, as `peft` has it; textual inversion (Gal et al., ICLR 2023)
with one learned embedding for each class, as in DA-Fusion (Trabucco et al., ICLR 2024). Both lower the model's own
loss, the mean squared error of what it predicts from a noised latent, and leave its weights as they are.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import InputError
from leaven.generators.image.pretrained_lesson import Lesson, Method, Training, chosen
from leaven.generators.image.pretrained_model import first_line, quiet
from leaven.generators.training import Plan, train

if TYPE_CHECKING:
    import torch

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
TOKENS = "tokens"  # the name of textual inversion's only tensor
LOOKS = 25  # at the held-out loss, over the planned steps


def token(place: int) -> str:
    """The word learned for the class at a place."""
    return f"<leaven-{place}>"


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
    rows = chosen(labels, seed)
    trained = _adapters(pipeline, how.rank) if how.method == "lora" else _words(pipeline, words)
    lesson = Lesson(pipeline, how, pixels[rows], labels[rows], prompts, seed)
    plan = Plan(steps=how.steps, rate=how.rate, every=max(1, how.steps // LOOKS), patience=max(1, LOOKS // 3))
    report = train(
        trained,
        lesson.loss,
        lesson.score if len(lesson.held) else None,
        plan,
        budget=budget,
        progress=progress,
        name=f"pretrained ({how.method})",
    )
    report.rows = len(rows)
    if len(rows) < len(pixels):
        report.notes.append(f"{how.method} learned from {len(rows):,} of the {len(pixels):,} train images")
    return _state(pipeline, how.method, trained), report


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


def _state(pipeline: Any, method: Method, trained: "torch.nn.Module") -> dict[str, "torch.Tensor"]:
    if method == "textual_inversion":
        (vectors,) = trained.parameters()
        return {TOKENS: vectors.detach().float().cpu().contiguous()}
    import peft

    return {
        name: weight.detach().float().cpu().contiguous()
        for name, weight in peft.get_peft_model_state_dict(pipeline.unet).items()
    }
