"""A Marian model in a quarter of its size: matrices of 8-bit numbers, each row with a scale, as CTranslate2 has them.

So that what is shipped is safetensors and JSON; the model is unpacked into the user's cache folder once.
"""

import shutil
from pathlib import Path

import numpy as np

from leaven.generators.caches import cache_folder, made_once
from leaven.generators.errors import ModelError
from leaven.generators.text.translation.marian import PACKED, WHOLE, checked, folder_digest

_SCALE = ".scale"


def pack(folder: Path, out: Path) -> None:
    """Write the model of `folder` into the existing folder `out`, packed."""
    from safetensors.numpy import load_file, save_file

    made: dict[str, np.ndarray] = {}
    for name, value in load_file(folder / "model.safetensors").items():
        if value.ndim != 2 or "embed_positions" in name:
            made[name] = value.astype(np.float32)
            continue
        scale = np.maximum(np.abs(value).max(axis=1, keepdims=True), 1e-12) / 127
        made[name] = np.rint(value / scale).astype(np.int8)
        made[name + _SCALE] = scale.astype(np.float32)[:, 0]
    save_file(made, out / PACKED)
    for file in folder.iterdir():
        if file.name != "model.safetensors" and file.is_file():
            shutil.copyfile(file, out / file.name)


def usable(folder: Path) -> Path:
    """The folder of a model as the engines read it: unpacked, where it is packed.

    Raises:
        ModelError: there is no Marian model in it.
    """
    checked(folder)
    return folder if any((folder / name).is_file() for name in WHOLE) else unpacked(folder)


def unpacked(packed: Path) -> Path:
    """The model of a packed folder as transformers keep it: made once, and kept in the user's cache folder.

    Raises:
        ModelError: it cannot be read, or not be kept.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file, save_file

    digest = folder_digest(packed)
    kept = cache_folder() / "marian" / f"{packed.name}-{digest}"
    if kept.is_dir():
        return kept
    try:
        with made_once(kept) as making:
            values = load_file(packed / PACKED)
            plain = {
                name: value.astype(np.float32) * values[name + _SCALE][:, None]
                if name + _SCALE in values
                else value
                for name, value in values.items()
                if not name.endswith(_SCALE)
            }
            save_file(plain, making / "model.safetensors", metadata={"format": "pt"})
            for file in packed.iterdir():
                if file.name != PACKED and file.is_file():
                    shutil.copyfile(file, making / file.name)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        told = " ".join(str(error).split())[:200]
        raise ModelError(
            f"translator: {packed / PACKED} cannot be unpacked: {told}; expected packed weights"
        ) from None
    return kept
