"""Classification accuracy score of every generator: a classifier trained on its images alone, asked about real ones.

    python benchmarks/image_targets.py --data FOLDER [--generators gan vae diffusion autoregressive] [--fit 15m]
                                       [--device auto] [--threads 2] [--images 10000] [--seed 0] [--out DIR]

FOLDER holds fashion_mnist.npz (x_train, y_train, x_test, y_test). Controls: `real`, as many real images, and `pca`, for
each class a normal distribution in the space of its principal components. One file for each generator under
DIR/image_targets, with a sheet of its images; what is there under the same settings is not made again. Prints accuracy,
Fréchet distance in the features of a classifier of real images, images per second and seconds of fit.
"""

import argparse
import functools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from leaven.generators import catalog
from leaven.generators.contract import Budget
from leaven.generators.image import resnet
from leaven.generators.image.pixels import to_array, to_column
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema
from leaven.pipelines.quality.points.distances import frechet
from leaven.pipelines.recipe import seconds
from leaven.pipelines.run import resolve_device

GENERATORS = ("gan", "vae", "diffusion", "autoregressive")
CONTROLS = ("real", "pca")
STEPS = 1_000  # of the classifier
SHOWN = 12  # images of a class on a sheet


def pca(x: np.ndarray, y: np.ndarray, labels: np.ndarray, seed: int, components: int = 64) -> np.ndarray:
    """For each label an image from a normal distribution over its class's principal components."""
    from sklearn.decomposition import PCA

    rng, made = np.random.default_rng(seed), np.empty((len(labels), *x.shape[1:]), np.uint8)
    for label in np.unique(labels):
        own = x[y == label].reshape((y == label).sum(), -1).astype(np.float32)
        fitted = PCA(min(components, len(own) - 1), random_state=0).fit(own)
        wanted = labels == label
        codes = rng.normal(size=(wanted.sum(), fitted.n_components_)) * np.sqrt(fitted.explained_variance_)
        flat = fitted.inverse_transform(codes)
        made[wanted] = np.clip(np.round(flat), 0, 255).astype(np.uint8).reshape(-1, *x.shape[1:])
    return made


def sheet(x: np.ndarray, y: np.ndarray, path: Path) -> None:
    """A line of images for each class."""
    from PIL import Image

    lines = [np.concatenate(list(x[y == label][:SHOWN]), axis=1) for label in np.unique(y)]
    whole = np.concatenate([line for line in lines if line.shape[1] == lines[0].shape[1]])
    image = Image.fromarray(whole[..., 0] if whole.shape[2] == 1 else whole)
    image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST).save(path)


def rows_of(x: np.ndarray, y: np.ndarray, folder: Path) -> Rows:
    """Images and labels as train rows, written into the folder."""
    schema = Schema(
        columns=(
            Column(name="image", type="image", shape=x.shape[1:]),
            Column(name="label", type="category"),
        ),
        target="label",
    )
    frame = pd.DataFrame({"image": to_column(x), "label": y.astype(str).astype(object)})
    pq.write_table(to_arrow(frame, schema), folder / "train.parquet")
    return Rows(folder / "train.parquet", schema)


def generated(name: str, data: dict[str, np.ndarray], options: argparse.Namespace) -> dict[str, Any]:
    """Images of a generator (or a control) for labels as in train: pixels, labels, and how long it took."""
    x, y = data["x_train"], data["y_train"].astype(np.int64)
    labels = np.resize(np.arange(y.max() + 1), options.images)
    if name == "real":
        picked = np.random.default_rng(options.seed).permutation(len(y))[: options.images]
        return {"x": x[picked], "y": y[picked]}
    if name == "pca":
        return {"x": pca(x, y, labels, options.seed), "y": labels}
    device = resolve_device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(x, y, Path(folder))
        generator = catalog.get(name, "image")(options.parameters)
        begun = time.monotonic()
        report = generator.fit(
            rows,
            seed=options.seed,
            budget=Budget(options.fit),
            device=device,
            threads=options.threads,
            progress=lambda share, text: (
                print(f"  {time.monotonic() - begun:.0f} s {text}", flush=True) if options.verbose else None
            ),
        )
        fitted = time.monotonic()
        frame = generator.sample(options.images, seed=options.seed + 1)
        drawn = time.monotonic()
    return {
        "x": to_array(frame["image"], x.shape[1:]),
        "y": frame["label"].astype(int).to_numpy(),
        "told": {
            "fit_seconds": fitted - begun,
            "images_per_second": options.images / (drawn - fitted),
            "steps": report.steps,
            "stopped_by": report.stopped_by,
            "notes": report.notes,
        },
    }


class Judge:
    """Classifiers that say what images are worth; the one of real images is trained once."""

    def __init__(self, data: dict[str, np.ndarray], options: argparse.Namespace):
        self.data, self.seed, self.threads = data, options.seed, options.threads
        self.device = resolve_device(options.device)

    def trained(self, x: np.ndarray, y: np.ndarray) -> resnet.Trained:
        """A classifier of these images."""
        classes = int(self.data["y_train"].max()) + 1
        return resnet.train(
            x,
            y.astype(np.int64),
            classes,
            seed=self.seed,
            threads=self.threads,
            device=self.device,
            steps=STEPS,
        )

    @functools.cached_property
    def of_real(self) -> tuple[resnet.Trained, np.ndarray]:
        """A classifier of real images, and its features of the test images."""
        made = self.trained(self.data["x_train"], self.data["y_train"])
        return made, made.features(self.data["x_test"]).astype(float)

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        """Of a classifier of these images, on the real test images."""
        said = self.trained(x, y).probabilities(self.data["x_test"]).argmax(1)
        return float((said == self.data["y_test"]).mean())

    def distance(self, x: np.ndarray) -> float:
        """Of these images to the real test images."""
        network, real = self.of_real
        return float(frechet(real, network.features(x).astype(float)))


def measure(
    name: str, data: dict[str, np.ndarray], options: argparse.Namespace, judge: Judge
) -> dict[str, Any]:
    """The record of a generator, and its sheet."""
    made = generated(name, data, options)
    sheet(made["x"], made["y"], options.out / "image_targets" / f"{name}.png")
    return {
        "name": name,
        "settings": settings(options),
        "accuracy": judge.accuracy(made["x"], made["y"]),
        "fd_resnet9": judge.distance(made["x"]),
        **made.get("told", {}),
    }


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What a record's numbers depend on."""
    names = ("fit", "threads", "images", "seed", "device", "rows", "parameters")
    return {name: getattr(options, name) for name in names}


def table(records: list[dict[str, Any]]) -> str:
    """A line for each generator."""
    lines = [f"{'':<16}{'accuracy':>10}{'FD(resnet9)':>13}{'images/s':>10}{'fit s':>8}{'steps':>9}"]
    for record in sorted(records, key=lambda record: -record["accuracy"]):
        line = f"{record['name']:<16}{record['accuracy']:>10.4f}{record['fd_resnet9']:>13.2f}"
        if "steps" in record:
            line += f"{record['images_per_second']:>10.0f}{record['fit_seconds']:>8.0f}{record['steps']:>9,}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def arguments(about: str) -> argparse.ArgumentParser:
    """What can be said on the command line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--generators", nargs="*", default=list(GENERATORS))
    parser.add_argument("--fit", type=seconds, default=900.0, help="seconds (or 15m) of one fit")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=10_000, help="synthetic images")
    parser.add_argument("--rows", type=int, help="train images; all when left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parameters", type=json.loads, default={}, help="JSON: of the generators")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--verbose", action="store_true", help="tell how fits go on")
    return parser


def load(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """The images, with channels."""
    with np.load(options.data / "fashion_mnist.npz", allow_pickle=False) as arrays:
        data = {name: arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    for name in ("x_train", "x_test"):
        data[name] = data[name][..., None] if data[name].ndim == 3 else data[name]
    rows = np.random.default_rng(options.seed).permutation(len(data["y_train"]))[: options.rows]
    return {**data, "x_train": data["x_train"][rows], "y_train": data["y_train"][rows]}


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    folder = options.out / "image_targets"
    folder.mkdir(parents=True, exist_ok=True)
    data, records = load(options), []
    judge = Judge(data, options)
    for name in [*CONTROLS, *options.generators]:
        path = folder / f"{name}.json"
        if path.exists() and json.loads(path.read_text())["settings"] == settings(options):
            record = json.loads(path.read_text())
        else:
            record = measure(name, data, options, judge)
            path.write_text(json.dumps(record, indent=1))
        records.append(record)
        print(table([record]), flush=True)
    text = table(records)
    print(text)
    (options.out / "image_targets.txt").write_text(text)


if __name__ == "__main__":
    main()
