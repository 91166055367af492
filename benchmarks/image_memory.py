"""Peak memory against the number of train images: reading a source, fitting, sampling.

    python benchmarks/image_memory.py [--images 10000 100000] [--side 64] [--generator diffusion] [--steps 20]

Colour images of noise, written as Parquet in Hugging Face's layout, are ingested; a generator is fitted for a few steps
and 2,000 images are drawn, each in a process of its own. `anonymous` is memory of the process's own, the most at any
time; `resident` counts mapped files too, which the system takes back when it needs to.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

SHARD = 5_000  # images that are written at once
DRAWN = 2_000


def write(path: Path, count: int, side: int) -> None:
    """Images of noise of two classes."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    from leaven.generators.image.png import STORED

    rng = np.random.default_rng(0)
    schema = pa.schema([("image", STORED), ("label", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, count, SHARD):
            files = []
            for _ in range(min(SHARD, count - start)):
                out = io.BytesIO()
                # Few levels: noise of 256 would take gigabytes on the disk.
                levels = rng.integers(0, 4, (side, side, 3), dtype=np.uint8) * 60
                Image.fromarray(levels).save(out, "PNG", compress_level=1)
                files.append({"bytes": out.getvalue(), "path": None})
            labels = [("a", "b")[number % 2] for number in range(len(files))]
            writer.write_table(pa.table([pa.array(files, STORED), pa.array(labels)], schema=schema))


class Peak:
    """The most memory that this process had in the block, bytes by kind."""

    def __enter__(self) -> "Peak":
        self.found = {"RssAnon": 0, "VmRSS": 0}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            lines = Path("/proc/self/status").read_text().splitlines()
            for name, value in (line.split(":", 1) for line in lines):
                if name in self.found:
                    self.found[name] = max(self.found[name], 1024 * int(value.split()[0]))
            if self._over.wait(0.05):
                return


def stage(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One stage in this process: its seconds and its peak."""
    from leaven.pipelines.fit import fit, load
    from leaven.pipelines.ingest import ingest
    from leaven.pipelines.recipe import Candidate, Recipe
    from leaven.pipelines.run import Run

    recipe = Recipe.model_validate(
        {"name": "memory", "source": {"kind": "image", "path": "images.parquet"}, "device": "cpu"}
    )
    candidate = Candidate.model_validate({"generator": options.generator, "steps": options.steps})
    begun = time.monotonic()
    with Peak() as peak:
        source = ingest(recipe, folder, folder / "work")
        if name != "ingest":
            run = Run.start(recipe, folder / "work", source, time.time())
            model = fit(run, candidate, [source.path("rows.parquet")], part="memory", seconds=600)
            if name == "sample":
                load(candidate, model, "image").sample(DRAWN, seed=1)
    return {"seconds": time.monotonic() - begun, **peak.found}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--generator", default="diffusion")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(stage(options.stage, options.folder, options)))
        return
    print(f"{'images':>9}{'pixels':>10}{'stage':>9}{'seconds':>9}{'anonymous':>11}{'resident':>10}   (MiB)")
    for count in options.images:
        with tempfile.TemporaryDirectory(prefix="image-memory-") as place:
            folder = Path(place)
            write(folder / "images.parquet", count, options.side)
            for name in ("ingest", "fit", "sample"):
                own = [
                    *("--stage", name, "--folder", str(folder), "--generator", options.generator),
                    *("--steps", str(options.steps)),
                ]
                done = subprocess.run(
                    [sys.executable, __file__, *own], check=True, capture_output=True, text=True
                )
                found = json.loads(done.stdout.splitlines()[-1])
                sizes = [value / 2**20 for value in (found["RssAnon"], found["VmRSS"])]
                print(
                    f"{count:>9,}{count * options.side**2 * 3 / 2**20:>10,.0f}{name:>9}{found['seconds']:>9.1f}"
                    f"{sizes[0]:>11,.0f}{sizes[1]:>10,.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
