"""The contract that every generator for images keeps, whatever its method."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators import catalog, checkpoint
from leaven.generators.conditions import parse
from leaven.generators.contract import Budget, Fit
from leaven.generators.errors import ConditionError, FitError
from leaven.generators.image import network
from leaven.generators.image.pixels import to_array, to_column
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema

# Small enough to be quick, long enough for the planted quadrants to be learned.
SETTINGS: dict[str, dict[str, Any]] = {
    "diffusion": {"width": 16, "blocks": 1, "batch": 16, "steps": 300, "rate": 3e-3, "augment": 0.0},
    "gan": {"width": 16, "latent": 8, "batch": 16, "steps": 300, "rate": 1e-3, "ramp": 50, "every": 100},
    "autoregressive": {
        "width": 32,
        "depth": 2,
        "numbers": 4,
        "coder_width": 16,
        "coder_steps": 150,
        "batch": 16,
        "steps": 400,
        "rate": 3e-3,
        "augment": 0.0,
        "dropout": 0.0,
    },
    "vae": {"width": 16, "latent": 8, "batch": 16, "steps": 300, "rate": 3e-3, "augment": 0.0},
    "distillation": {"steps": 20},
}
ELSEWHERE = {"pretrained"}  # needs a model that its own test builds
NAMES = [name for name in catalog.names("image") if name not in ELSEWHERE]
ENSEMBLES = {"distillation"}  # several small networks one after another, with tests of their own
NETWORKS = [name for name in NAMES if name in SETTINGS and name not in ENSEMBLES]

CLASSES = ("above left", "above right", "below left", "below right")
SHAPE = (12, 12, 1)


def planted(shape: tuple[int, int, int], counts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Dark noise with one bright quadrant, which is the class."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    pixels = rng.integers(0, 50, (len(labels), *shape))
    for image, label in zip(pixels, labels, strict=True):
        half(image, label)[:] += rng.integers(130, 200)
    return pixels.astype(np.uint8), labels


def half(image: np.ndarray, label: int) -> np.ndarray:
    """A view of the quadrant."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    rows, columns = divmod(int(label), 2)
    return image[rows * height : (rows + 1) * height, columns * width : (columns + 1) * width]


def write(
    path: Path, shape: tuple[int, int, int] = SHAPE, counts: tuple[int, ...] = (40, 30, 20, 10)
) -> Rows:
    schema = Schema(
        columns=(Column(name="image", type="image", shape=shape), Column(name="label", type="category")),
        target="label",
    )
    pixels, labels = planted(shape, counts)
    frame = pd.DataFrame({"image": to_column(pixels), "label": np.array(CLASSES, dtype=object)[labels]})
    pq.write_table(to_arrow(frame, schema), path)
    return Rows(path, schema)


def right(made: pd.DataFrame, shape: tuple[int, int, int] = SHAPE) -> float:
    """The share of the images whose brightest quadrant is their class."""
    pixels = to_array(made["image"], shape)
    brightest = [max(range(4), key=lambda label: half(image, label).mean()) for image in pixels]
    return float((np.array(CLASSES, dtype=object)[brightest] == made["label"]).mean())


class Fitted(NamedTuple):
    name: str
    generator: Any
    report: Fit
    rows: Rows
    said: list[tuple[float, str]]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return write(tmp_path_factory.mktemp("planted") / "train.parquet")


@pytest.fixture(scope="module", params=NAMES)
def fitted(request: pytest.FixtureRequest, rows: Rows) -> Fitted:
    name, said = request.param, []
    generator = catalog.get(name, "image")(SETTINGS.get(name))
    report = generator.fit(rows, seed=5, threads=1, progress=lambda share, text: said.append((share, text)))
    return Fitted(name, generator, report, rows, said)


def test_the_class_that_was_asked_for_is_drawn(fitted: Fitted) -> None:
    made = fitted.generator.sample(160, seed=1)
    assert right(made) > (0.6 if fitted.name == "policy" else 0.8)
    shares = made["label"].value_counts(normalize=True)
    assert abs(shares["above left"] - 0.4) < 0.15 and shares["below right"] < 0.25
    for label in CLASSES:
        own = fitted.generator.sample(20, seed=2, conditions=parse([f"label={label}"], fitted.rows.schema))
        assert set(own["label"]) == {label}
        assert right(own) > (0.4 if fitted.name == "policy" else 0.6)


def test_same_schema_comes_out_and_images_differ(fitted: Fitted) -> None:
    made, real = fitted.generator.sample(40, seed=1), fitted.rows.frame()
    assert list(made.columns)[:2] == ["image", "label"]
    assert list(made.dtypes)[:2] == list(real.dtypes)
    assert made.index.equals(pd.RangeIndex(40))
    pixels = to_array(made["image"], SHAPE)
    assert len({image.tobytes() for image in pixels}) > 30
    assert len(fitted.generator.sample(0, seed=1)) == 0 and len(fitted.generator.sample(1, seed=1)) == 1


def test_equal_seeds_give_equal_images_and_shards_differ(fitted: Fitted) -> None:
    one = fitted.generator.sample(40, seed=11)
    fitted.generator.sample(7, seed=99)
    np.random.rand(7)
    pd.testing.assert_frame_equal(one, fitted.generator.sample(40, seed=11))
    assert not one["image"].equals(fitted.generator.sample(40, seed=12, offset=40)["image"])


def test_what_cannot_be_asked_for_is_named(fitted: Fitted) -> None:
    with pytest.raises(ConditionError, match="no class meets 'label=beside'"):
        fitted.generator.sample(3, seed=1, conditions=parse(["label=beside"], fitted.rows.schema))
    with pytest.raises(FitError, match="not fitted"):
        catalog.get(fitted.name, "image")().sample(1, seed=1)


def test_saved_and_loaded_gives_the_same_images(fitted: Fitted, tmp_path: Path) -> None:
    before = fitted.generator.sample(30, seed=21)
    fitted.generator.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".safetensors", ".npz"}
    loaded = catalog.get(fitted.name, "image").load(tmp_path)
    pd.testing.assert_frame_equal(before, loaded.sample(30, seed=21))
    assert loaded.parameters == fitted.generator.parameters


def test_progress_is_told(fitted: Fitted) -> None:
    assert fitted.said[0][0] == 0.0 and fitted.said[-1][0] == 1.0
    assert all(text.startswith(fitted.name) for _, text in fitted.said)
    if fitted.name in NETWORKS:
        assert fitted.report.losses and fitted.report.steps > 0


class Watching:
    """Progress that shows pictures."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def __call__(self, share: float, text: str) -> None:
        pass

    def picture(self, pixels: np.ndarray, columns: int) -> None:
        assert columns == len(CLASSES)
        self.seen.append(pixels)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "vae"] + ["interpolating vae"])
def test_who_watches_sees_images_and_changes_nothing(
    name: str, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "GLIMPSE_SECONDS", 0.0)
    monkeypatch.setattr(network, "GLIMPSE_SHARE", 1e6)
    generator = name.split()[-1]
    settings = SETTINGS[generator] | {"steps": 200} | ({"interpolate": True} if name != generator else {})
    watched, alone = (catalog.get(generator, "image")(settings) for _ in range(2))
    watching = Watching()
    watched.fit(rows, seed=5, threads=1, progress=watching)
    alone.fit(rows, seed=5, threads=1)
    assert len(watching.seen) >= 2
    assert all(seen.shape == (16, *SHAPE) and seen.dtype == np.uint8 for seen in watching.seen)
    assert not np.array_equal(watching.seen[0], watching.seen[-1])
    pd.testing.assert_frame_equal(watched.sample(20, seed=1), alone.sample(20, seed=1))


@pytest.mark.parametrize("name", NETWORKS)
def test_fit_stops_within_its_budget_and_is_replayed_by_its_steps(name: str, rows: Rows) -> None:
    short = {**SETTINGS[name], "steps": 1_000_000}
    generator, start = catalog.get(name, "image")(short), time.monotonic()
    report = generator.fit(rows, seed=5, threads=1, budget=Budget(seconds=0.2))
    assert time.monotonic() - start < 20
    assert report.stopped_by == "budget" and report.steps >= 1
    again = catalog.get(name, "image")(short)
    assert again.fit(rows, seed=5, threads=1, budget=Budget(steps=report.steps)).steps == report.steps
    pd.testing.assert_frame_equal(generator.sample(20, seed=1), again.sample(20, seed=1))


class Killed(Exception):
    """Stands for a process that ends in the middle of a fit."""


@pytest.mark.parametrize("name", NETWORKS)
def test_a_killed_fit_goes_on_to_the_same_images(
    name: str, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS[name], "steps": 330}
    whole = catalog.get(name, "image")(settings)
    whole.fit(rows, seed=3, threads=1)
    monkeypatch.setattr(checkpoint, "EVERY", 0.2)
    kept = tmp_path / "state"

    def kill(share: float, text: str) -> None:
        if "step 200" in text:
            raise Killed

    with pytest.raises(Killed):
        catalog.get(name, "image")(settings).fit(
            rows, seed=3, threads=1, budget=Budget(checkpoint=kept), progress=kill
        )
    monkeypatch.setattr(checkpoint, "EVERY", 1e9)
    told: list[str] = []
    resumed = catalog.get(name, "image")(settings)
    resumed.fit(
        rows,
        seed=3,
        threads=1,
        budget=Budget(checkpoint=kept),
        progress=lambda share, text: told.append(text),
    )
    assert not any("step 100" in text for text in told)
    pd.testing.assert_frame_equal(whole.sample(30, seed=1), resumed.sample(30, seed=1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("shape", "counts"),
    [((8, 8, 1), (5, 5, 1, 1)), ((28, 28, 3), (11, 1)), ((33, 33, 1), (8, 4)), ((21, 34, 3), (1, 1))],
    ids=str,
)
def test_any_shape_and_few_images(
    name: str, shape: tuple[int, int, int], counts: tuple[int, ...], tmp_path: Path
) -> None:
    rows = write(tmp_path / "train.parquet", shape, counts)
    generator = catalog.get(name, "image")(
        {**SETTINGS.get(name, {}), **({"steps": 4} if name in NETWORKS else {})}
    )
    generator.fit(rows, seed=1, threads=1)
    made = generator.sample(5, seed=1, conditions=parse([f"label={CLASSES[1]}"], rows.schema))
    assert to_array(made["image"], shape).shape == (5, *shape)
    assert set(made["label"]) == {CLASSES[1]}


@pytest.mark.parametrize("name", [name for name in NETWORKS if hasattr(catalog.get(name, "image"), "walk")])
def test_a_walk_goes_from_one_image_to_another(name: str, rows: Rows) -> None:
    generator = catalog.get(name, "image")(SETTINGS[name])
    generator.fit(rows, seed=5, threads=1, budget=Budget(steps=30))
    made = generator.walk(5, seed=1)
    assert made.shape == (5, 4, *SHAPE) and made.dtype == np.uint8
    assert (made == generator.walk(5, seed=1)).all()
    assert not (made[0] == made[-1]).all()
