"""A diffusion model that somebody else trained: where it lies, which one it is, images through it.

This is the one file that finds and loads `diffusers` pipelines. Nothing is fetched unless that was allowed, and
pickled weights are not read unless that was allowed: loading a pickle can run any code.
"""

import contextlib
import hashlib
import importlib.util
import inspect
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from leaven.generators.errors import FitError, InputError

INDEX = "model_index.json"
PICKLED = (".bin", ".ckpt", ".pt", ".pth")
SPOTS, SPOT = 64, 1 << 16  # of a file of weights: this many places, so many bytes at each


@dataclass(frozen=True)
class Model:
    """Which model it is. Of one on the Hugging Face hub the commit, of a folder a digest; the other one is None."""

    name: str
    commit: str | None
    digest: str | None
    folder: Path

    def saved(self) -> dict[str, str | None]:
        """What tells the model from others, for JSON."""
        return {key: value for key, value in asdict(self).items() if key != "folder"}

    @classmethod
    def found(cls, name: str, revision: str | None, allow_download: bool, unsafe: bool) -> Self:
        """The model of this name: a folder, or one on the hub, by default only where it is in the hub's cache.

        Raises:
            InputError: there is none, or it has pickled weights only.
        """
        folder = Path(name).expanduser()
        local = folder.exists() or name.startswith((".", "/", "~"))
        if not local:
            folder = _of_hub(name, revision, allow_download, unsafe)
        if not (folder / INDEX).is_file():
            what = "a file" if folder.is_file() else "a folder without it" if folder.is_dir() else "not there"
            raise InputError(
                f"pretrained: model: expected a folder with {INDEX}, as diffusers saves a pipeline; {folder} is {what}"
            )
        pickled = [] if unsafe else [part.name for part in _parts(folder) if _pickled(part)]
        if pickled:
            raise InputError(
                f"pretrained: model: {name} has pickled weights only for {', '.join(pickled)}, and a pickle can run "
                "any code; use a copy in safetensors, or set unsafe: true if you trust it"
            )
        return cls(name, None if local else folder.name, digest(folder) if local else None, folder)


def _of_hub(name: str, revision: str | None, allow_download: bool, unsafe: bool) -> Path:
    """The folder in the hub's cache; fetched first where that is allowed."""
    from huggingface_hub import constants

    with quiet():
        from diffusers import DiffusionPipeline

        try:
            return Path(
                DiffusionPipeline.download(
                    name,
                    revision=revision,
                    local_files_only=not allow_download,
                    use_safetensors=None if unsafe else True,
                )
            )
        except Exception as error:  # the hub's client raises a dozen kinds of its own
            at = f"{name} at {revision}" if revision else name
            if not allow_download:
                raise InputError(
                    f"pretrained: model: {at} is neither a folder here nor in the Hugging Face cache "
                    f"({constants.HF_HUB_CACHE}); set allow_download: true to fetch it"
                ) from None
            raise InputError(f"pretrained: model: {at} could not be fetched: {first_line(error)}") from None


def digest(folder: Path) -> str:
    """SHA-256 over a pipeline's files: small ones whole, weights at `SPOTS` places: a fine-tuned copy has another."""
    total = hashlib.sha256()
    files = [folder / INDEX, *(path for part in _parts(folder) for path in part.rglob("*"))]
    for path in sorted(path for path in files if path.is_file()):
        size = path.stat().st_size
        total.update(f"{path.relative_to(folder).as_posix()} {size}\n".encode())
        with path.open("rb") as file:
            if size <= SPOTS * SPOT:
                total.update(file.read())
                continue
            for place in np.linspace(0, size - SPOT, SPOTS, dtype=np.int64):
                file.seek(int(place))
                total.update(file.read(SPOT))
    return total.hexdigest()


def _parts(folder: Path) -> list[Path]:
    """The folders of the pipeline's parts."""
    try:
        named = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"pretrained: model: {folder / INDEX} is no JSON") from None
    plain = [name for name in named if name.isidentifier()]
    return sorted(folder / name for name in plain if (folder / name).is_dir())


def _pickled(part: Path) -> bool:
    """Whether a part has pickled weights and no others."""
    suffixes = {path.suffix for path in part.iterdir()}
    return ".safetensors" not in suffixes and not suffixes.isdisjoint(PICKLED)


def opened(model: Model, device: str, unsafe: bool, training: bool = False) -> Any:
    """The image-to-image pipeline on a device.

    Raises:
        InputError: it cannot be used for this; says why.
    """
    import torch

    with quiet():
        from diffusers import AutoPipelineForImage2Image

        try:
            pipeline = AutoPipelineForImage2Image.from_pretrained(
                model.folder,
                dtype=precision(device, training),
                use_safetensors=None if unsafe else True,
                local_files_only=True,
            )
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever the libraries of a pipeline's parts raise
            raise InputError(
                f"pretrained: model: {model.name} cannot be used for image-to-image: {first_line(error)}"
            ) from None
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(device)


def precision(device: str, training: bool = False) -> Any:
    """The type in which a model computes on a device; float16, in which small gradients vanish, only draws."""
    import torch

    if not device.startswith("cuda"):
        return torch.float32
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32 if training else torch.float16


def side_of(pipeline: Any, asked: int | None) -> int:
    """Height and width at which the pipeline works: the one asked for, or the one that it was made for.

    Raises:
        InputError: the pipeline cannot work at this side.
    """
    unit = int(pipeline.vae_scale_factor)
    if asked is None:
        network = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
        size = getattr(getattr(network, "config", None), "sample_size", None)
        return int(size) * unit if isinstance(size, int) else 512
    if asked % unit:
        raise InputError(f"pretrained: side: this model takes multiples of {unit}; found {asked}")
    return asked


def drawn(
    pipeline: Any,
    pixels: np.ndarray,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    side: int,
    taken: int,
    steps: int,
    guidance: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Images noised as far as `taken` of the `steps` go, and denoised under prompts, each by its own seed.

    Args:
        pixels: uint8 (rows, height, width, 1 or 3).

    Returns:
        uint8 of the same shape, and bool (rows,): which ones the model's safety checker refused.
    """
    import torch

    options = {
        "prompt": list(prompts),
        "image": [upright(image, side) for image in pixels],
        "strength": min(1.0, (taken + 1e-3) / steps),  # a little more: pipelines round down
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "generator": [torch.Generator().manual_seed(seed) for seed in seeds],
        "height": side,
        "width": side,
        "output_type": "pil",
    }
    taking = inspect.signature(pipeline.__call__).parameters
    with quiet(), torch.no_grad():
        made = pipeline(**{key: value for key, value in options.items() if key in taking})
    refused = getattr(made, "nsfw_content_detected", None)
    back = np.stack([_back(image, pixels.shape[1:]) for image in made.images])
    return back, np.zeros(len(back), dtype=bool) if refused is None else np.array(refused, dtype=bool)


def upright(pixels: np.ndarray, side: int) -> Image.Image:
    """uint8 (height, width, 1 or 3) -> a colour image of a side, antialiased."""
    image = Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))
    return image.resize((side, side), Image.Resampling.LANCZOS)


def _back(image: Image.Image, shape: tuple[int, ...]) -> np.ndarray:
    height, width, channels = shape
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=np.uint8).reshape(shape)


def needed(*packages: str) -> None:
    """Refuse at once where the libraries are not installed.

    Raises:
        FitError: says how to install them.
    """
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise FitError(f"pretrained needs {' and '.join(missing)}: pip install 'leaven[pretrained]'")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' bars and their advice, which a person who named a model cannot follow."""
    from transformers.utils import logging as of_transformers

    kept = of_transformers.get_verbosity()
    of_transformers.set_verbosity_error()
    from diffusers.utils import logging as of_diffusers

    both = (of_transformers, of_diffusers)
    kept_diffusers, bars = of_diffusers.get_verbosity(), [one.is_progress_bar_enabled() for one in both]
    of_diffusers.set_verbosity_error()
    for one in both:
        one.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        of_transformers.set_verbosity(kept)
        of_diffusers.set_verbosity(kept_diffusers)
        for one, shown in zip(both, bars, strict=True):
            if shown:
                one.enable_progress_bar()


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its kind."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
