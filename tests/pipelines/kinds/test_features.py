"""Features are fitted on real train rows alone and take whatever synthetic rows bring."""

import numpy as np
import pandas as pd
import pytest

from leaven.generators.rows import to_arrow, to_frame
from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.table import features as module
from leaven.pipelines.kinds.table.features import Features
from leaven.pipelines.task import Task

TASK = Task(target="y", type="classification", metric="roc_auc", classes=("no", "yes"), positive="yes")
SCHEMA = Schema(
    columns=(
        Column(name="height", type="number", nullable=True),
        Column(name="visits", type="integer", nullable=True),
        Column(name="smoker", type="boolean", nullable=True),
        Column(name="city", type="category", nullable=True),
        Column(name="seen", type="date", nullable=True),
        Column(name="note", type="text"),
        Column(name="id", type="identifier"),
        Column(name="y", type="category"),
    ),
    target="y",
)


def rows(count: int = 60, seed: int = 1, **changes: object) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "height": rng.normal(170, 10, count),
            "visits": pd.array(rng.integers(0, 9, count), dtype="Int64"),
            "smoker": pd.array(rng.random(count) < 0.5, dtype="boolean"),
            "city": rng.choice(["Bern", "Genf", "Chur"], count).astype(object),
            "seen": np.datetime64("2024-01-01") + rng.integers(0, 300, count).astype("timedelta64[D]"),
            "note": [f"note {n}" for n in range(count)],
            "id": [f"id {n}" for n in range(count)],
            "y": rng.choice(["no", "yes"], count).astype(object),
        }
    )
    for name in ("height", "visits", "smoker", "city", "seen"):
        frame.loc[rng.random(count) < 0.1, name] = None
    return to_frame(to_arrow(frame.assign(**changes), SCHEMA), SCHEMA)


@pytest.fixture(scope="module")
def fitted() -> Features:
    return Features(SCHEMA, TASK).fit(rows())


def test_matrices(fitted: Features) -> None:
    linear, tree = fitted.linear(rows(seed=2)), fitted.tree(rows(seed=2))
    assert np.isfinite(linear).all()
    assert np.isnan(tree).any()  # trees see what is missing
    assert tree.shape == (60, 8)  # height, visits, four of the date, smoker, city
    own = fitted.linear(rows())
    assert own[:, 0].mean() == pytest.approx(0, abs=1e-9)


def test_target_identifier_and_text_are_no_features(fitted: Features) -> None:
    turned = rows(y="no", note="other", id="other")
    assert (fitted.linear(turned) == fitted.linear(rows())).all()
    assert np.array_equal(fitted.tree(turned), fitted.tree(rows()), equal_nan=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"city": "never seen"},
        {"city": None},
        {"height": None, "visits": None, "seen": pd.NaT, "smoker": None},
        {"height": np.inf},
        {"height": -1e300},
        {"seen": pd.Timestamp("2199-01-01")},
    ],
)
def test_odd_rows_are_taken(fitted: Features, changes: dict[str, object]) -> None:
    odd = rows(seed=3, **changes)
    assert np.isfinite(fitted.linear(odd)).all()
    assert fitted.tree(odd).shape == (60, 8)
    assert abs(fitted.linear(odd)).max() < 100


def test_columns_that_are_all_missing_or_constant_in_train() -> None:
    train = rows(height=None, seen=pd.NaT, city=None, visits=3)
    fitted = Features(SCHEMA, TASK).fit(train)
    assert np.isfinite(fitted.linear(rows(seed=2))).all()


def test_labels(fitted: Features) -> None:
    frame = rows(4, y=["yes", "no", "maybe", None])
    assert fitted.labels(frame).tolist() == [1, 0, -1, -1]


@pytest.mark.parametrize(
    ("kind", "values", "classes"),
    [("integer", [1, 0, 2], ("0", "1")), ("boolean", [True, False, None], ("False", "True"))],
)
def test_labels_that_are_no_texts(kind: str, values: list[object], classes: tuple[str, ...]) -> None:
    columns = (Column(name="x", type="number"), Column(name="y", type=kind))  # type: ignore[arg-type]
    schema = Schema(columns=columns, target="y")
    task = Task(target="y", type="classification", metric="roc_auc", classes=classes, positive=classes[1])
    frame = to_frame(to_arrow(pd.DataFrame({"x": [1.0, 2, 3], "y": values}), schema), schema)
    assert Features(schema, task).fit(frame).labels(frame).tolist() == [1, 0, -1]


def test_regression_labels() -> None:
    schema = Schema(columns=(Column(name="x", type="number"), Column(name="y", type="integer")), target="y")
    task = Task(target="y", type="regression", metric="r2")
    frame = to_frame(to_arrow(pd.DataFrame({"x": [1.0, 2], "y": [5, None]}), schema), schema)
    found = Features(schema, task).fit(frame).labels(frame)
    assert found[0] == 5 and np.isnan(found[1])


def test_high_cardinality_stays_bounded() -> None:
    import tracemalloc

    count = 300_000
    schema = Schema(
        columns=(Column(name="c", type="category"), Column(name="y", type="category")), target="y"
    )
    names = np.array([f"category {n}" for n in range(count)], dtype=object)
    names[:3000] = "often"
    frame = pd.DataFrame({"c": names, "y": np.where(np.arange(count) % 2, "yes", "no").astype(object)})
    tracemalloc.start()
    fitted = Features(schema, TASK).fit(frame)
    linear = fitted.linear(frame)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert linear.shape[1] <= module.MOST_COLUMNS
    assert peak < 300e6
    assert len(fitted.categories["c"]) == 1


def test_frequent_categories_keep_their_own_code_and_the_rest_shares_one() -> None:
    schema = Schema(
        columns=(Column(name="c", type="category"), Column(name="y", type="category")), target="y"
    )
    names = np.array([f"c{n:03}" for n in range(400)] * 3, dtype=object)
    frame = pd.DataFrame({"c": names, "y": np.array(["yes", "no"] * 600, dtype=object)})
    fitted = Features(schema, TASK).fit(frame)
    assert len(np.unique(fitted.tree(frame))) == module.MOST_CODES + 1
    assert fitted.linear(frame).shape[1] == module.MOST_COLUMNS - 1  # no value is missing


def test_keys_are_equal_for_equal_rows_only(fitted: Features) -> None:
    keys = fitted.keys(rows())
    assert len(np.unique(keys)) == 60
    assert (keys == fitted.keys(rows(id="other", note="other"))).all()
    assert (keys != fitted.keys(rows(y=["no" if y == "yes" else "yes" for y in rows()["y"]]))).all()
