"""Changed train images: the seed of a row decides alone, and only classes that are asked for come out."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators.conditions import parse
from leaven.generators.errors import ConditionError, FitError
from leaven.generators.image.pixels import to_array, to_column
from leaven.generators.image.policy import Policy, pipeline
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema

SHAPE = (12, 10, 3)
SCHEMA = Schema(
    columns=(Column(name="image", type="image", shape=SHAPE), Column(name="label", type="category")),
    target="label",
)
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (30, *SHAPE), dtype=np.uint8)
LABELS = np.array(["dark"] * 20 + ["light"] * 10, dtype=object)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    path = tmp_path_factory.mktemp("images") / "train.parquet"
    pq.write_table(to_arrow(pd.DataFrame({"image": to_column(PIXELS), "label": LABELS}), SCHEMA), path)
    return Rows(path, SCHEMA)


def fitted(rows: Rows, **parameters: Any) -> Policy:
    made = Policy(parameters)
    made.fit(rows, seed=1)
    return made


def test_pixels_go_there_and_back(rows: Rows) -> None:
    column = rows.frame()["image"]
    assert (to_array(column, SHAPE) == PIXELS).all()
    assert (to_array(column.iloc[[7, 3]], SHAPE) == PIXELS[[7, 3]]).all()
    assert (to_array(column.iloc[5:9], SHAPE) == PIXELS[5:9]).all()
    assert (to_array(pd.concat([column, column]), SHAPE)[30:] == PIXELS).all()
    assert len(to_array(column.iloc[:0], SHAPE)) == 0


def test_rows_are_changed_train_rows(rows: Rows) -> None:
    made = fitted(rows).sample(300, seed=2)
    assert list(made.columns) == ["image", "label", "_source_row"]
    sources = made["_source_row"].to_numpy()
    assert (LABELS[sources] == made["label"]).all()
    same = (to_array(made["image"], SHAPE) == PIXELS[sources]).all(axis=(1, 2, 3))
    assert 0.02 < same.mean() < 0.3  # one operation in thirteen does nothing, and some do little
    assert 0.5 < (made["label"] == "dark").mean() < 0.8


def test_a_row_depends_on_its_seed_alone(rows: Rows, tmp_path: Path) -> None:
    policy = fitted(rows)
    first = policy.sample(40, seed=3)
    policy.sample(11, seed=9)
    pd.testing.assert_frame_equal(first, policy.sample(40, seed=3))
    policy.save(tmp_path)
    pd.testing.assert_frame_equal(first, Policy.load(tmp_path).sample(40, seed=3))
    assert not first.equals(policy.sample(40, seed=4))


def test_classes_that_are_asked_for(rows: Rows) -> None:
    policy = fitted(rows)
    assert set(policy.sample(9, seed=1, conditions=parse(["label=light"], SCHEMA))["label"]) == {"light"}
    with pytest.raises(ConditionError, match="no class meets 'label=grey'; there are dark, light"):
        policy.sample(9, seed=1, conditions=parse(["label=grey"], SCHEMA))
    assert len(policy.sample(0, seed=1)) == 0


def test_a_pipeline_of_ones_own(rows: Rows) -> None:
    import albumentations as A

    made = fitted(rows, pipeline=A.to_dict(A.Compose([A.HorizontalFlip(p=1)]))).sample(20, seed=5)
    mirrored = PIXELS[made["_source_row"]][:, :, ::-1]
    assert (to_array(made["image"], SHAPE) == mirrored).all()


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"transform": {"__class_fullname__": "NoSuch"}}, "the pipeline cannot be built"),
        ("Resize", r"makes uint8 images of the shape \(4, 4, 3\)"),
    ],
)
def test_a_pipeline_that_cannot_be_used(rows: Rows, own: Any, told: str) -> None:
    import albumentations as A

    if own == "Resize":
        own = A.to_dict(A.Compose([A.Resize(4, 4)]))
    with pytest.raises(FitError, match=told):
        fitted(rows, pipeline=own)
    with pytest.raises(ValueError, match="no serialised pipeline"):
        Policy({"pipeline": {}})


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (33, 20, 3)], ids=str)
def test_every_operation_takes_every_shape(shape: tuple[int, int, int]) -> None:
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    transform = pipeline(flip=True)
    transform.set_random_seed(1)
    for _ in range(60):
        assert transform(image=image)["image"].shape == shape
