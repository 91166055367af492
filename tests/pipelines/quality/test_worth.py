"""Worth in real rows: planted truths, from nothing to beyond the curve, and a curve too noisy to read."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.pipelines import kinds
from leaven.pipelines.quality import worth as module
from leaven.pipelines.quality.worth import worth

from .planted_scores import BINARY, SCHEMA, table

KIND = kinds.get("table")
FULL, HELD_OUT = table(240, 11), table(6000, 12)
HALF = FULL.iloc[::2]


def measured(synthetic: pd.DataFrame, **changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "half": HALF,
        "full": FULL,
        "half_synthetic": synthetic,
        "score": HELD_OUT,
        "learners": KIND.learners(BINARY, ["logistic_regression"]),
        "repeats": 1,
        "seed": 1,
        "max_rows": 100_000,
        "draws": 200,
        "threads": 1,
    }
    return worth(KIND, SCHEMA, BINARY, **(settings | changes))


def test_fresh_real_rows_are_worth_about_their_number() -> None:
    found = [measured(table(60, seed))["worth_real_rows"] for seed in range(20, 26)]
    values = [120.0 if isinstance(one["value"], str) else one["value"] for one in found]
    assert 30 < np.median(values) < 100
    for one in found:
        low, high = (120 if isinstance(one[end], str) else one[end] for end in ("low", "high"))
        assert low <= high


def test_the_curve_starts_at_the_half_and_ends_at_all() -> None:
    found = measured(table(60, 20))
    assert [point["rows"] for point in found["curve"]] == [120, 144, 168, 192, 216, 240]
    assert found["curve"][0]["value"] == found["half"]["real"]["value"]
    assert all(point["low"] <= point["value"] <= point["high"] for point in found["curve"])
    assert found["curve"][-1]["value"] > found["curve"][0]["value"]
    assert found["half"]["rows"] == 120


def test_rows_that_harm_are_worth_nothing() -> None:
    rows = table(60, 20)
    flipped = rows.assign(y=np.where(rows["y"] == "yes", "no", "yes").astype(object))
    found = measured(flipped)["worth_real_rows"]
    assert found["value"] == 0 and found["low"] == 0


def test_more_than_the_curve_can_tell() -> None:
    found = measured(table(2000, 20))["worth_real_rows"]
    assert found["value"] == "> 120" and found["high"] == "> 120"


def test_a_noisy_curve_is_not_read() -> None:
    found = measured(table(60, 20), score=table(60, 13))["worth_real_rows"]
    assert found["value"] is None
    assert "too noisy" in found["reason"] and "120 more real rows" in found["reason"]


def test_thinned_rows_have_no_curve() -> None:
    found = measured(table(60, 20), max_rows=400)
    assert found["worth_real_rows"]["value"] is None and "240 real rows" in found["worth_real_rows"]["reason"]
    assert found["curve"] == []


def test_random_learners() -> None:
    found = measured(
        table(40, 20), learners=KIND.learners(BINARY, ["random_forest"]), repeats=2, score=HELD_OUT.head(500)
    )
    assert found["half"]["augmented"]["se"] > 0


def test_decision_metrics() -> None:
    task = BINARY.model_copy(update={"metric": "macro_f1"})
    found = worth(
        KIND, SCHEMA, task, half=HALF, full=FULL, half_synthetic=table(40, 20), score=HELD_OUT.head(500),
        learners=KIND.learners(task, ["logistic_regression"]), repeats=1, seed=1, max_rows=1000, draws=100,
        threads=1,
    )  # fmt: skip
    assert set(found) == {"worth_real_rows", "curve", "half"}


def test_rows_of_the_half_are_found_among_all() -> None:
    doubled = pd.concat([FULL, FULL.head(10)], ignore_index=True)
    rest = module._without(doubled, HALF)
    assert len(rest) == 130
    assert sorted(pd.concat([rest, HALF])["x0"]) == sorted(doubled["x0"])


@pytest.mark.parametrize(
    ("curve", "reached", "expected"),
    [
        ([0.5, 0.6, 0.7], 0.65, 75),
        ([0.5, 0.6, 0.7], 0.5, 0),
        ([0.5, 0.6, 0.7], 0.4, 0),
        ([0.5, 0.6, 0.7], 0.71, np.inf),
        ([0.5, 0.7, 0.6], 0.575, 25),  # a dip is smoothed away
    ],
)
def test_reading_off(curve: list[float], reached: float, expected: float) -> None:
    assert module._place(np.array([0, 50, 100]), np.array(curve), reached) == pytest.approx(expected)
