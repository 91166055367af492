"""Every generator of images against minutes of fit on one GPU: accuracy score, distance, images per second, use of it.

    python benchmarks/image_gpu.py --data FOLDER [--minutes 10] [--shares 0.1 0.3 1] [--batch 256] [--generators …]
                                   [--device cuda] [--images 10000] [--out DIR]

FOLDER holds fashion_mnist.npz. Each share of the minutes is a fit of its own, so that every line is what a user gets
with that budget. `peak`: what a fit's multiplications come to by the clock, as a share of what large bfloat16 matrices
reach on the device, measured here. Takes up what is there under the same settings; writes DIR/image_gpu.txt.
On a CPU, with small numbers, the command runs too: --device cpu --minutes 0.2 --rows 2000 --images 500 --batch 32.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from image_targets import CONTROLS, Judge, arguments, load, measure, rows_of
from torch.utils.flop_counter import FlopCounterMode

from leaven.generators import catalog
from leaven.generators.contract import Budget
from leaven.pipelines.run import resolve_device

SIDE = {"cuda": 8192, "cpu": 1024}  # of the matrices that the peak is measured with
FEW_STEPS, MORE_STEPS = 4, 12  # of the two fits whose difference is eight steps
COUNTED_ROWS = 2_000
UNASKED = (
    "out",
    "shares",
    "minutes",
    "generators",
    "fit",
)  # change no record: a fit's minutes are in its name
TARGET = 0.025  # of accuracy below real images


def peak(device: str) -> float:
    """Operations per second of a large bfloat16 product, the best of five."""
    side = SIDE[device]
    one, other = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(6):
        _wait(device)
        begun = time.perf_counter()
        one @ other
        _wait(device)
        best = max(best, 2 * side**3 / (time.perf_counter() - begun))
    return best


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def operations(name: str, data: dict[str, np.ndarray], options: argparse.Namespace) -> float:
    """Operations of a step: a longer fit's less a shorter one's, so that what is done once is not counted."""
    x, y = data["x_train"][:COUNTED_ROWS], data["y_train"][:COUNTED_ROWS]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(x, y, Path(folder))
        for steps in (FEW_STEPS, MORE_STEPS):
            generator = catalog.get(name, "image")(options.parameters)
            with FlopCounterMode(display=False) as counter:
                generator.fit(
                    rows,
                    seed=options.seed,
                    budget=Budget(steps=steps),
                    device=resolve_device(options.device),
                    threads=options.threads,
                )
            found.append(counter.get_total_flops())
    return (found[1] - found[0]) / (MORE_STEPS - FEW_STEPS)


def line(record: dict[str, Any]) -> str:
    """A line of the table."""
    text = f"{record['name']:<16}{record['minutes']:>9.2f}"
    text += f"{record['accuracy']:>10.4f}{record['fd_resnet9']:>13.2f}"
    if "steps" in record:
        text += (
            f"{record['images_per_second']:>10.0f}{record['images_seen']:>13,}{record['share_of_peak']:>8.1%}"
        )
    return text


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure what is missing."""
    for folder in ("image_targets", "image_gpu"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    data, records, top, counted = load(options), [], 0.0, {}
    judge = Judge(data, options)
    fits: list[tuple[str, float]] = [(name, 0.0) for name in CONTROLS]
    fits += [
        (name, options.minutes * share) for share in sorted(options.shares) for name in options.generators
    ]
    for name, minutes in fits:
        path = options.out / "image_gpu" / f"{name}-{minutes:g}.json"
        asked = {key: str(value) for key, value in sorted(vars(options).items()) if key not in UNASKED}
        record = json.loads(path.read_text()) if path.exists() else {}
        if record.get("asked") != asked:
            top = top or peak(resolve_device(options.device).partition(":")[0])
            options.fit = 60 * minutes
            record = {**measure(name, data, options, judge), "minutes": minutes, "asked": asked}
            if "steps" in record:
                if name not in counted:
                    counted[name] = operations(name, data, options)
                done = counted[name] * record["steps"]
                record["share_of_peak"] = done / record["fit_seconds"] / top
                record["images_seen"] = options.batch * record["steps"]
            path.write_text(json.dumps(record, indent=1))
        records.append(record)
        print(line(record), flush=True)
    return records


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.set_defaults(device="cuda", fit=0.0)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the longest fit")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.3, 1.0], help="of the minutes")
    parser.add_argument("--batch", type=int, default=256)
    options = parser.parse_args()
    options.parameters = {"batch": options.batch, **options.parameters}
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: there is no CUDA device; --device cpu runs it at toy size")
    records = run(options)
    real = next(record["accuracy"] for record in records if record["name"] == "real")
    head = f"{'':<16}{'minutes':>9}{'accuracy':>10}{'FD(resnet9)':>13}{'images/s':>10}{'images seen':>13}{'peak':>8}"
    best = max((r for r in records if "steps" in r), key=lambda r: r["accuracy"], default=None)
    text = "\n".join([head, *map(line, records)]) + "\n"
    if best is not None:
        gap = real - best["accuracy"]
        said = "met" if gap <= TARGET else "missed"
        text += f"best: {best['name']}, {100 * gap:+.2f} points below real images ({100 * TARGET:g} asked): {said}\n"
    print("\n" + text)
    (options.out / "image_gpu.txt").write_text(text)


if __name__ == "__main__":
    main()
