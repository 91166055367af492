"""The autoregressive generator against planted distributions: joint, conditional, completed, constrained."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.generators.conditions import parse
from leaven.generators.contract import Budget
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema
from leaven.generators.table import autoregressive as module
from leaven.generators.table.autoregressive import Autoregressive

SCHEMA = Schema(
    columns=(
        Column(name="a", type="category"),
        Column(name="b", type="category"),
        Column(name="n", type="integer", nullable=True),
        Column(name="x", type="number"),
        Column(name="y", type="category"),
    ),
    target="y",
)
# P(a, b): dependent; y is a noisy XOR of them, so that no pair of columns shows it.
JOINT = np.array([[0.30, 0.05, 0.05], [0.05, 0.20, 0.05], [0.05, 0.05, 0.20]])


def planted(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    cell = rng.choice(9, count, p=JOINT.ravel())
    a, b = cell // 3, cell % 3
    flip = rng.random(count) < 0.1
    y = ((a == 0) ^ (b == 0)) ^ flip
    n = rng.poisson(3 + 4 * y)
    x = np.where(rng.random(count) < 0.3, 0.0, np.round(rng.normal(a * 2.0, 1.0), 2))  # an atom at 0
    return pd.DataFrame(
        {
            "a": np.array(["p", "q", "r"], dtype=object)[a],
            "b": np.array(["u", "v", "w"], dtype=object)[b],
            "n": pd.array(np.where(rng.random(count) < 0.1, -1, n), dtype="Int64"),
            "x": x,
            "y": np.where(y, "yes", "no").astype(object),
        }
    ).assign(n=lambda f: f["n"].mask(f["n"] == -1))


def write(folder: Path, frame: pd.DataFrame, schema: Schema = SCHEMA) -> Rows:
    import pyarrow.parquet as pq

    pq.write_table(to_arrow(frame, schema), folder / "train.parquet")
    return Rows(folder / "train.parquet", schema)


def fitted(
    folder: Path, frame: pd.DataFrame, schema: Schema = SCHEMA, constraints: Any = (), **own: Any
) -> Autoregressive:
    made = Autoregressive({"hidden": 64, **own}, constraints)
    made.report = made.fit(write(folder, frame, schema), seed=3, threads=1)  # type: ignore[attr-defined]
    return made


def apart(one: pd.DataFrame, other: pd.DataFrame, columns: list[str]) -> float:
    """Total variation distance of two samples' joint tables."""
    left = one.groupby(columns, dropna=False).size() / len(one)
    right = other.groupby(columns, dropna=False).size() / len(other)
    return float(left.sub(right, fill_value=0).abs().sum() / 2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Autoregressive:
    return fitted(tmp_path_factory.mktemp("planted"), planted(6000, 1), epochs=60, patience=8)


def test_the_planted_joint_distribution_comes_out(model: Autoregressive) -> None:
    made, real = model.sample(10_000, seed=1), planted(10_000, 2)
    for columns in (["a", "b", "y"], ["a", "n"], ["n", "y"], ["b", "y"]):
        floor = apart(planted(6000, 1), real, columns)  # what 6,000 rows tell of it
        assert apart(made, real, columns) < 1.6 * floor + 0.01, columns
    assert abs((made["x"] == 0).mean() - (real["x"] == 0).mean()) < 0.02
    for label in "pqr":
        ours, theirs = (f["x"][(f["a"] == label) & (f["x"] != 0)] for f in (made, real))
        assert abs(ours.mean() - theirs.mean()) < 0.12 and abs(ours.std() - theirs.std()) < 0.12
    assert abs(made["n"].isna().mean() - 0.1) < 0.015


@pytest.mark.parametrize(
    "asked",
    [
        ["y=yes"],
        ["a=q|r", "b=u|v"],
        ["n>=5", "a=p"],
        ["n>2", "n<=6", "b!=u"],
        ["x>1", "y=no", "a=r|q"],
        ["x=0"],
    ],
)
def test_conditions_give_the_conditional_distribution(model: Autoregressive, asked: list[str]) -> None:
    conditions = parse(asked, SCHEMA)
    real = planted(150_000, 4)
    from leaven.generators.conditions import met

    real = real[met(conditions, real)]
    made = model.sample(4000, seed=2, conditions=conditions)
    assert met(conditions, made).all()
    for columns in (["a", "b"], ["a", "y"], ["b", "y"]):
        assert apart(made, real, columns) < 0.06, columns
    assert abs(made["n"].astype(float).mean() - real["n"].astype(float).mean()) < 0.35


def test_hardly_any_row_is_drawn_in_vain(model: Autoregressive) -> None:
    from leaven.generators.conditions import met

    conditions = parse(["a=r", "b=u", "y=no", "n>=9"], SCHEMA)  # about one row in 20,000
    assert met(conditions, model._make(500, seed=1, conditions=conditions)).mean() > 0.97


def test_missing_cells_are_completed_given_the_others(model: Autoregressive) -> None:
    given = planted(4000, 6)
    holes = given.drop(columns=["y"])
    holes.loc[::2, "x"] = np.nan
    made = model.complete(holes, seed=5)
    assert list(made.columns) == SCHEMA.names and len(made) == len(given)
    pd.testing.assert_series_equal(made["a"], given["a"])
    pd.testing.assert_series_equal(made["x"][1::2], given["x"][1::2])
    assert made["x"].notna().all() and made["y"].notna().all() and made["n"].notna().all()
    known = given["n"].notna()
    pd.testing.assert_series_equal(made["n"][known], given["n"][known])
    # y depends on a and b, and shows in n: the filled-in ones must depend alike.
    assert apart(made, given, ["a", "b", "y"]) < 0.05
    assert apart(model.complete(holes, seed=6), made, ["a", "b", "y"]) > 0  # a draw, not the likeliest value


def test_values_stay_what_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    limits = rng.choice(np.arange(1, 82) * 500.0, 3000)  # 81 distinct limits
    amount = np.round(rng.lognormal(5, 1.5, 3000), 1)
    amount[rng.random(3000) < 0.2] = 99999.0
    frame = pd.DataFrame(
        {"limit": limits, "amount": amount, "y": np.where(limits > 2e4, "1", "0").astype(object)}
    )
    schema = Schema(
        columns=(
            Column(name="limit", type="number"),
            Column(name="amount", type="number"),
            Column(name="y", type="category"),
        ),
        target="y",
    )
    made = fitted(tmp_path, frame, schema, epochs=20).sample(3000, seed=1)
    assert set(made["limit"]) <= set(limits)
    assert abs((made["amount"] == 99999.0).mean() - 0.2) < 0.03
    assert np.allclose(made["amount"], np.round(made["amount"], 1))
    assert made["amount"].nunique() > 1000 and made["amount"].between(amount.min(), amount.max()).all()
    assert ((made["limit"] > 2e4) == (made["y"] == "1")).mean() > 0.97


def test_rare_categories_are_never_drawn_and_reported(tmp_path: Path) -> None:
    frame = planted(2000, 1)
    frame.loc[:2, "a"] = "only-here"
    frame["b"] = [f"person {i}" for i in range(len(frame))]
    made = fitted(tmp_path, frame, epochs=5)
    rows = made.sample(5000, seed=1)
    assert set(rows["a"]) == {"p", "q", "r"}
    notes = " ".join(made.report.notes)  # type: ignore[attr-defined]
    assert "column 'a': 1 values in fewer than 5 train rows" in notes
    assert "column 'b': no value stands in 5 train rows" in notes


def test_constraints_hold_without_drawing_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    count = 3000
    low = rng.integers(0, 300, count)
    middle = low + rng.integers(0, 200, count)
    high = middle + rng.integers(1, 90, count)
    city = rng.integers(0, 40, count)
    frame = pd.DataFrame(
        {
            "low": pd.array(low, dtype="Int64"),
            "high": pd.array(high, dtype="Int64"),
            "middle": pd.array(middle, dtype="Int64"),
            "city": np.char.add("city ", city.astype(str)).astype(object),
            "zip": np.char.add("z", (city * 7 + rng.integers(0, 3, count)).astype(str)).astype(object),
            "y": np.where(low > 150, "1", "0").astype(object),
        }
    )
    schema = Schema(
        columns=(
            Column(name="low", type="integer"),
            Column(name="high", type="integer"),
            Column(name="middle", type="integer"),
            Column(name="city", type="category"),
            Column(name="zip", type="category"),
            Column(name="y", type="category"),
        ),
        target="y",
    )
    constraints = [
        {"kind": "inequality", "low": "low", "high": "middle"},
        {"kind": "inequality", "low": "middle", "high": "high", "strict": True},
        {"kind": "fixed_combinations", "columns": ["city", "zip"]},
    ]
    made = fitted(tmp_path, frame, schema, constraints, epochs=15)
    rows = made._make(3000, seed=1, conditions=())
    holds = [c.holds(rows, learned).mean() for c, learned in zip(made.constraints, made.learned, strict=True)]
    assert min(holds) > 0.98, holds
    assert abs(rows["low"].astype(float).mean() - low.mean()) < 12
    asked = made.sample(500, seed=1, conditions=parse(["city=city 3|city 5", "high>=200"], schema))
    assert set(asked["city"]) == {"city 3", "city 5"} and asked["zip"].nunique() > 3


def test_a_budget_is_kept_and_replayed(tmp_path: Path) -> None:
    rows = write(tmp_path, planted(3000, 1))
    first = Autoregressive({"hidden": 64, "epochs": 5000, "patience": 1000})
    report = first.fit(rows, seed=1, threads=1, budget=Budget(seconds=3))
    assert report.stopped_by == "budget" and any("budget" in note for note in report.notes)
    again = Autoregressive({"hidden": 64, "epochs": 5000, "patience": 1000})
    assert again.fit(rows, seed=1, threads=1, budget=Budget(steps=report.steps)).steps == report.steps
    pd.testing.assert_frame_equal(first.sample(200, seed=4), again.sample(200, seed=4))


def test_a_long_table_is_read_as_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = planted(3000, 1)
    frame.loc[:9, "x"] = -50.0  # breaks the constraint
    rows = write(tmp_path, frame)
    monkeypatch.setattr(module, "LOOKED_AT", 1000)
    monkeypatch.setattr("leaven.generators.table.token_rows.IN_MEMORY", 100)
    made = Autoregressive({"hidden": 32, "epochs": 10}, [{"kind": "range", "column": "x", "minimum": -20}])
    report = made.fit(rows, seed=1, threads=1)
    assert report.rows == 2990
    assert abs((made.sample(2000, seed=1)["y"] == "yes").mean() - (frame["y"] == "yes").mean()) < 0.06


def test_a_wide_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=400)
    values = hidden[:, None] * rng.choice([-2, 2], 120) + rng.normal(size=(400, 120))
    frame = pd.DataFrame(values, columns=[f"c{i}" for i in range(120)]).assign(
        y=np.where(hidden > 0, "1", "0").astype(object)
    )
    columns = (*(Column(name=f"c{i}", type="number") for i in range(120)), Column(name="y", type="category"))
    made = fitted(tmp_path, frame, Schema(columns=columns, target="y"), epochs=30, hidden=32)
    rows = made.sample(1000, seed=1)
    real, ours = (np.abs(np.corrcoef(f.drop(columns="y").to_numpy().T)).mean() for f in (frame, rows))
    assert ours > 0.6 * real


def test_a_hidden_value_is_filled_around_and_written_nowhere(tmp_path: Path) -> None:
    frame = planted(1500, 1)
    frame.loc[:1, "a"] = "SECRETVILLE"
    asked = [{"kind": "fixed_combinations", "columns": ["a", "b"]}]
    made = fitted(tmp_path, frame, SCHEMA, asked, epochs=5)
    out = tmp_path / "model"
    out.mkdir()
    made.save(out)
    for file in out.iterdir():
        assert b"SECRETVILLE" not in file.read_bytes(), file.name
    given = pd.DataFrame({"a": ["q", "q"], "y": ["yes", None]})
    assert list(made.complete(given, seed=1)["a"]) == ["q", "q"]
    plain = fitted(tmp_path, frame, epochs=5)
    filled = plain.complete(pd.DataFrame({"a": ["SECRETVILLE", "q"]}), seed=1)
    assert list(filled["a"]) == ["SECRETVILLE", "q"] and filled["b"].notna().all()


def test_strict_bounds_between_values_lose_none(model: Autoregressive) -> None:
    real = planted(100_000, 4)["n"].dropna()
    made = model.sample(3000, seed=3, conditions=parse(["n>2", "n<5"], SCHEMA))["n"]
    assert set(made) == {3, 4}
    wanted = (real == 3).sum() / real.isin([3, 4]).sum()
    assert abs((made == 3).mean() - wanted) < 0.06


def test_several_numbers_keep_their_odds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random(6000) < 0.5, 5000.0, rng.integers(0, 3000, 6000))
    frame = pd.DataFrame({"v": values, "y": np.where(rng.random(6000) < 0.5, "1", "0").astype(object)})
    schema = Schema(columns=(Column(name="v", type="number"), Column(name="y", type="category")), target="y")
    made = fitted(tmp_path, frame, schema, epochs=10)
    drawn = made.sample(2000, seed=1, conditions=parse(["v=7|11|5000"], schema))["v"]
    assert set(drawn) <= {7.0, 11.0, 5000.0}
    assert (drawn == 5000.0).mean() > 0.97  # 3,000 rows against about one each


def test_too_many_values_are_refused(tmp_path: Path) -> None:
    from leaven.generators.errors import FitError

    frame = pd.DataFrame({"a": np.arange(66_000) % 7, "y": [f"c{i}" for i in range(66_000)]})
    frame["a"] = frame["a"].astype("Int64")
    schema = Schema(columns=(Column(name="a", type="integer"), Column(name="y", type="category")), target="y")
    with pytest.raises(FitError, match="column 'y' has 66,000 values"):
        Autoregressive().fit(write(tmp_path, frame, schema), seed=1)


def test_frequent_values_of_a_long_table_are_not_taken_for_rare_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "c": np.char.add("c", rng.integers(0, 400, 8000).astype(str)).astype(object),  # 20 rows each
            "y": np.where(rng.random(8000) < 0.5, "1", "0").astype(object),
        }
    )
    schema = Schema(
        columns=(Column(name="c", type="category"), Column(name="y", type="category")), target="y"
    )
    monkeypatch.setattr(module, "LOOKED_AT", 500)  # where a value stands once or twice
    made = fitted(tmp_path, frame, schema, epochs=3)
    assert made.report.notes == [] or "never drawn" not in " ".join(made.report.notes)  # type: ignore[attr-defined]
    assert made.sample(8000, seed=1)["c"].nunique() > 380


def test_combinations_of_many_columns_are_told_apart() -> None:
    from leaven.generators.table.combined import Combination

    class Words:  # what a combination asks of a vocabulary
        hidden = ()

        def __init__(self) -> None:
            self.columns = list("pqrst")

        def encode(self, rows: pd.DataFrame, preparation: Any) -> tuple[np.ndarray, np.ndarray]:
            tokens = rows.to_numpy().astype(np.uint16)
            return tokens, np.ones(tokens.shape, bool)

        def size(self, name: str, preparation: Any) -> int:
            return 65_536

    rows = pd.DataFrame([[1, 0, 0, 0, 5], [2, 0, 0, 0, 5]], columns=Words().columns)
    made = Combination(rows, np.array([1, 1]), Words(), None)  # type: ignore[arg-type]
    picked = made.draw(rows.to_numpy().astype(np.int64), np.ones(2, bool), np.random.default_rng(0))
    assert list(picked) == [0, 1]


def test_a_loss_that_is_no_number_is_an_error(tmp_path: Path) -> None:
    from leaven.generators.errors import FitError

    with pytest.raises(FitError, match="no number"):
        Autoregressive({"hidden": 16, "rate": 1e30, "epochs": 5}).fit(
            write(tmp_path, planted(300, 1)), seed=1
        )
