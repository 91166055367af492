"""Classic arms: balanced, typed, missing values and tiny classes handled, never a crash."""

import numpy as np
import pandas as pd
import pytest

from leaven.generators.rows import to_arrow
from leaven.generators.schema import Schema
from leaven.pipelines.kinds.table.classic import Smote, classic_arms
from leaven.pipelines.task import Task

from .test_features import SCHEMA, TASK, rows


def imbalanced(yes: int, count: int = 80) -> pd.DataFrame:
    return rows(count, y=["yes"] * yes + ["no"] * (count - yes))


def only(*types: str) -> Schema:
    return Schema(columns=tuple(c for c in SCHEMA if c.type in types or c.name == "y"), target="y")


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        only("number", "integer", "date"),
        only("boolean"),
        only("category"),
        only("number", "category"),
    ],
)
@pytest.mark.parametrize("yes", [2, 4, 20])
def test_smote_balances_with_rows_of_the_house_s_types(schema: Schema, yes: int) -> None:
    real = imbalanced(yes)[schema.names]
    made = Smote(schema, TASK)(real, 1)
    assert len(made) == 80 - 2 * yes
    assert (made["y"] == "yes").all()
    for name in made:
        assert made[name].dtype == real[name].dtype, name
    back = made.assign(**dict.fromkeys(real.columns.difference(made.columns)))
    assert to_arrow(back, schema).num_rows == len(made)
    assert made.equals(Smote(schema, TASK)(real, 1))
    if "height" in made:
        own = real.loc[real["y"] == "yes", "height"]
        assert made["height"].dropna().between(own.min() - 20, own.max() + 20).all()


def test_smote_makes_rows_between_its_sources() -> None:
    real = imbalanced(20).dropna()
    made = Smote(SCHEMA, TASK)(real, 1)
    own = real[real["y"] == "yes"]
    assert made["height"].between(own["height"].min(), own["height"].max()).all()
    assert set(made["city"]) <= set(own["city"])
    assert not made["height"].isin(own["height"]).all()


def test_missing_stays_possible() -> None:
    real = imbalanced(30, 200)
    real.loc[real["y"] == "yes", "height"] = np.nan
    made = Smote(SCHEMA, TASK)(real, 1)
    assert made["height"].isna().all()


def test_several_classes_one_of_them_tiny() -> None:
    labels = ["a"] * 40 + ["b"] * 15 + ["c"] * 3 + ["d"]
    real = rows(59, y=labels)
    task = Task(target="y", type="classification", metric="macro_f1", classes=("a", "b", "c", "d"))
    made = Smote(SCHEMA, task)(real, 1)
    assert made["y"].value_counts().to_dict() == {"b": 25, "c": 37}
    assert "smote" not in [arm.name for arm in classic_arms(task, SCHEMA, real, [], 1)]


def test_arms_of_a_classification() -> None:
    real, extra = imbalanced(10), rows(30, 5)
    arms = {arm.name: arm for arm in classic_arms(TASK, SCHEMA, real, [extra], 1)}
    assert list(arms) == ["class_weights", "oversampling", "smote"]
    assert arms["class_weights"].class_weight and arms["class_weights"].resample is None
    assert all(arm.frames[0] is real and arm.frames[1] is extra for arm in arms.values())
    resample = arms["oversampling"].resample
    assert resample is not None
    made = resample(real, 1)
    assert len(made) == 60 and (made["y"] == "yes").all()
    assert set(made["id"]) <= set(real["id"][:10])


def test_balanced_classes_need_no_more_rows() -> None:
    real = imbalanced(40)
    for arm in classic_arms(TASK, SCHEMA, real, [], 1):
        if arm.resample is not None:
            assert len(arm.resample(real, 1)) == 0


def test_regression_oversamples_rare_ranges() -> None:
    task = Task(target="height", type="regression", metric="r2")
    real = rows(500)
    (arm,) = classic_arms(task, SCHEMA, real, [], 1)
    assert arm.name == "oversampling" and arm.resample is not None
    made = arm.resample(real, 1)["height"]
    assert len(made) > 0
    assert made.std() > 1.3 * real["height"].std()
    constant = real.assign(height=1.0)
    assert len(arm.resample(constant, 1)) == 0
