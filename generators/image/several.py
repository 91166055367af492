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

ASKED, PIXELS, LABELS = "asked.json", "pixels.npy", "labels.npy"
WEIGHTS, FITTED, PICTURE = "network.safetensors", "fit.json", "picture.npy"


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
        np.save(folder / PIXELS, pixels)
        np.save(folder / LABELS, labels)
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
        }
        (folder / ASKED).write_text(json.dumps(asked))
        _run(generator.name, folder, count, progress)
        generator.device = device
        generator.network = generator.built(folder / WEIGHTS)
        return Fit.model_validate(json.loads((folder / FITTED).read_text()))


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
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said = _read(line)
                if "share" in said:
                    progress(said["share"], said["text"])
                elif "picture" in said:
                    images = np.load(folder / PICTURE, allow_pickle=False)
                    progress.picture(images, said["picture"])  # type: ignore[attr-defined]
                elif "memory" in said:
                    raise torch.cuda.OutOfMemoryError(said["memory"])
                error = error or said.get("error", "")  # the others fail because the first one did
        except BaseException:
            process.terminate()
            raise
        if process.wait() and not error:
            errors.seek(0)
            lines = [line for line in errors.read().splitlines() if "Error" in line]
            error = f"{name}: {lines[0].strip() if lines else f'ended with status {process.returncode}'}"
    if error:
        raise FitError(f"{error} (on {count} devices)")


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
    def picture(self, pixels: np.ndarray, columns: int) -> None:
        """Leave a picture beside, and say so."""
        part = self.folder / f"part-{PICTURE}"
        np.save(part, pixels)
        part.replace(self.folder / PICTURE)
        _tell(picture=columns)


def main(folder: Path) -> int:
    """One of the processes; 0 where all went well."""
    import torch

    threading.Thread(target=_end_with_input, daemon=True).start()
    asked = json.loads((folder / ASKED).read_text())
    try:
        _learn(folder, asked)
    except torch.cuda.OutOfMemoryError as error:
        _tell(memory=str(error))
        return 1
    except LeavenError as error:
        _tell(error=str(error))
        return 1
    except Exception as error:  # whatever a library raises: the process that asked has to hear of it
        _tell(error=f"{asked['generator']}: {type(error).__name__}: {' '.join(str(error).split())}")
        return 1
    return 0


def _learn(folder: Path, asked: dict[str, Any]) -> None:
    """This process's part of the training; the first one leaves the weights."""
    from leaven.generators import catalog
    from leaven.generators.contract import silent
    from leaven.generators.together import Together

    generator: Any = catalog.get(asked["generator"], "image")(asked["parameters"])
    generator.classes, generator.counts = asked["classes"], asked["counts"]
    generator.threads = asked["threads"]
    # Mapped, so that the processes share them; writable to none but this one.
    pixels = np.load(folder / PIXELS, allow_pickle=False, mmap_mode="c")
    generator.shape = pixels.shape[1:]
    limits = asked["budget"]
    budget = Budget(limits["seconds"], limits["steps"], limits["checkpoint"] and Path(limits["checkpoint"]))
    budget.before = asked["elapsed"] + time.time() - asked["at"]
    together = Together.join(asked["device"])
    telling = (_Showing if asked["pictures"] else _Telling)(folder)
    report = generator._train(
        pixels,
        np.load(folder / LABELS, allow_pickle=False),
        asked["batch"],
        seed=asked["seed"],
        budget=budget,
        device=together.device,
        progress=telling if together.first else silent,
        together=together,
    )
    if together.first:
        generator.write_weights(folder / WEIGHTS)
        (folder / FITTED).write_text(json.dumps(report.model_dump()))
    together.leave()


def _end_with_input() -> None:
    """End this process once the one that asked is gone, and with it the other end of this one's input."""
    while os.read(0, 1024):  # not through sys.stdin, whose lock would be held when this process ends
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
