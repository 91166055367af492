"""A network trained on several devices: a process for each, started by `torchrun`, which comes with torch.

This process hands over images, settings and budget in a folder, passes on what the first of them tells, and takes the
weights. They end when this process is gone, however it went.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import FitError, LeavenError

if TYPE_CHECKING:
    from leaven.generators.image.network import NetworkGenerator

ASKED, IMAGES, WEIGHTS, FITTED, PICTURE = (
    "asked.json",
    "images.npz",
    "network.safetensors",
    "fit.json",
    "picture.npy",
)
CHECK_SECONDS = 1.0  # between two looks whether the process that asked is still there


def train(
    generator: "NetworkGenerator",
    pixels: np.ndarray,
    labels: np.ndarray,
    batch: int,
    *,
    seed: int,
    budget: Budget,
    device: str,
    progress: Progress,
) -> Fit:
    """As `NetworkGenerator._train`, on `generator.parameters.devices` devices; `batch` images over all of them.

    Raises:
        FitError: there are not as many, or a process failed.
        torch.cuda.OutOfMemoryError: a part of the batch did not fit into a GPU's memory.
    """
    import torch

    count = generator.parameters.devices
    if device == "cuda" and torch.cuda.device_count() < count:
        raise FitError(
            f"{generator.name}: devices: {count} are asked for; this machine has {torch.cuda.device_count()} GPUs"
        )
    with tempfile.TemporaryDirectory(prefix="leaven-devices-") as place:
        folder = Path(place)
        np.savez(folder / IMAGES, pixels=pixels, labels=labels)
        asked = {
            "generator": generator.name,
            "parameters": generator.parameters.model_dump(mode="json"),
            "classes": generator.classes,
            "counts": generator.counts,
            "threads": max(1, generator.threads // count) if device == "cpu" else generator.threads,
            "batch": batch,
            "seed": seed,
            "device": device,
            "budget": {
                "seconds": budget.seconds,
                "steps": budget.steps,
                "checkpoint": budget.checkpoint and str(budget.checkpoint),
            },
            "elapsed": budget.elapsed,
            "at": time.time(),
            "pictures": hasattr(progress, "picture"),
            "parent": os.getpid(),
        }
        (folder / ASKED).write_text(json.dumps(asked))
        _run(generator.name, folder, count, progress)
        generator.device = device
        generator.network = generator.built(folder / WEIGHTS)
        return Fit.model_validate_json((folder / FITTED).read_text())


def _run(name: str, folder: Path, count: int, progress: Progress) -> None:
    """Start the processes and pass on what they tell until they have ended."""
    import torch

    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)),
        *("-m", __name__, str(folder)),
    ]
    error = ""
    with (
        (folder / "errors.txt").open("w+", encoding="utf-8") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said = _read(line)
                if "share" in said:
                    progress(said["share"], said["text"])
                elif "picture" in said:
                    progress.picture(np.load(folder / PICTURE, allow_pickle=False))  # type: ignore[attr-defined]
                elif "memory" in said:
                    raise torch.cuda.OutOfMemoryError(said["memory"])
                error = said.get("error", error)
        except BaseException:
            process.terminate()
            raise
        if process.wait() and not error:
            errors.seek(0)
            lines = [line for line in errors.read().splitlines() if line.strip()] or ["no reason was given"]
            error = f"{name}: training on {count} devices failed: {lines[-1].strip()}"
    if error:
        raise FitError(error)


def _read(line: str) -> dict[str, Any]:
    """A line of ours; nothing for what a library prints."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _tell(**said: Any) -> None:
    print(json.dumps(said), flush=True)


class _Telling:
    """Progress of the first process, for the one that asked."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, share: float, text: str) -> None:
        _tell(share=share, text=text)


class _Showing(_Telling):
    def picture(self, pixels: np.ndarray) -> None:
        """Leave a picture beside, and say so."""
        part = self.folder / f"part-{PICTURE}"
        np.save(part, pixels)
        part.replace(self.folder / PICTURE)
        _tell(picture=True)


def main(folder: Path) -> int:
    """One of the processes."""
    import torch

    from leaven.generators import catalog
    from leaven.generators.contract import silent
    from leaven.generators.together import Together

    asked = json.loads((folder / ASKED).read_text())
    threading.Thread(target=_end_with, args=(asked["parent"],), daemon=True).start()
    generator: Any = catalog.get(asked["generator"], "image")(asked["parameters"])
    generator.classes, generator.counts = asked["classes"], asked["counts"]
    generator.threads = asked["threads"]
    with np.load(folder / IMAGES, allow_pickle=False) as arrays:
        pixels, labels = arrays["pixels"], arrays["labels"]
    generator.shape = pixels.shape[1:]
    limits = asked["budget"]
    budget = Budget(limits["seconds"], limits["steps"], limits["checkpoint"] and Path(limits["checkpoint"]))
    budget.before = asked["elapsed"] + time.time() - asked["at"]
    together = Together.join(asked["device"])
    telling = (_Showing if asked["pictures"] else _Telling)(folder)
    try:
        report = generator._train(
            pixels,
            labels,
            asked["batch"],
            seed=asked["seed"],
            budget=budget,
            device=together.device,
            progress=telling if together.first else silent,
            together=together,
        )
    except torch.cuda.OutOfMemoryError as error:
        _tell(memory=str(error))
        return 1
    except LeavenError as error:
        _tell(error=str(error))
        return 1
    if together.first:
        generator.write_weights(folder / WEIGHTS)
        (folder / FITTED).write_text(report.model_dump_json())
    together.leave()
    return 0


def _end_with(parent: int) -> None:
    """End this process once another is gone."""
    import psutil

    while psutil.pid_exists(parent):
        time.sleep(CHECK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
