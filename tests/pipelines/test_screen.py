"""Each screen on a tiny table that has one fault, and the stage over shards."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaven.generators.rows import to_arrow
from leaven.generators.schema import Column, Schema
from leaven.pipelines import kinds
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.screen import screen, why
from leaven.pipelines.task import Task

SCHEMA = Schema(
    columns=(
        Column(name="id", type="identifier"),
        Column(name="age", type="integer"),
        Column(name="pay", type="number", nullable=True),
        Column(name="city", type="category"),
        Column(name="since", type="date"),
        Column(name="ill", type="category"),
    ),
    target="ill",
)
TASK = Task(target="ill", type="classification", metric="roc_auc", classes=("no", "yes"), positive="yes")
OFF = dict.fromkeys(("type_and_range", "constraints", "copies", "near_copies", "label_agreement"), False)


def people(count: int, seed: int) -> pd.DataFrame:
    """Whoever earns more than 0 is ill; all columns else are noise."""
    random = np.random.default_rng(seed)
    pay = random.normal(size=count)
    frame = pd.DataFrame(
        {
            "id": [f"{seed}-{i}" for i in range(count)],
            "age": pd.array(random.integers(20, 60, count), dtype="Int64"),
            "pay": np.where(random.random(count) < 0.05, np.nan, pay),
            "city": random.choice(np.array(["Bern", "Genf"], dtype=object), count),
            "since": pd.to_datetime("2020-01-01") + pd.to_timedelta(random.integers(0, 900, count), unit="D"),
            "ill": np.where(pay > 0, "yes", "no").astype(object),
        }
    )
    return frame.astype({"since": "datetime64[us]"})


def recipe(rules: Any = (), **screens: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "people",
            "source": {"kind": "table", "path": "people.csv"},
            "task": {"target": "ill"},
            "constraints": list(rules),
            "screen": {**OFF, **screens},
        }
    )


@pytest.fixture
def train(tmp_path: Path) -> Path:
    path = tmp_path / "train.parquet"
    pq.write_table(to_arrow(people(600, 1), SCHEMA), path)
    return path


def reasons(train: Path, frame: pd.DataFrame, asked: Recipe, task: Task = TASK) -> list[str]:
    screens = kinds.get("table").screens(SCHEMA, task, asked, train=[train], seed=3, threads=1)
    return list(why(screens, frame))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("age", 19),
        ("age", 60),
        ("age", None),
        ("pay", np.inf),
        ("pay", 99.0),
        ("city", "Rom"),
        ("city", None),
        ("since", pd.Timestamp("2019-12-30")),
        ("ill", "perhaps"),
    ],
)
def test_type_and_range_names_the_column(train: Path, column: str, value: Any) -> None:
    rows = people(3, 2)
    rows.loc[1, column] = value
    rows = rows.astype(people(1, 1).dtypes.to_dict())
    assert reasons(train, rows, recipe(type_and_range=True)) == ["", f"type_and_range: {column}", ""]


def test_type_and_range_allows_what_train_has(train: Path) -> None:
    assert set(reasons(train, people(600, 1), recipe(type_and_range=True))) == {""}
    missing = people(1, 2).assign(pay=np.nan)  # train has missing ones there
    assert reasons(train, missing, recipe(type_and_range=True)) == [""]


def test_constraints_name_what_was_broken(train: Path) -> None:
    asked = recipe(
        [
            {"kind": "range", "column": "age", "minimum": 30, "maximum": 50},
            {"kind": "positive", "column": "pay"},
            {"kind": "fixed_combinations", "columns": ["city", "ill"]},
            {"kind": "inequality", "low": "pay", "high": "age"},
        ],
        constraints=True,
    )
    rows = people(5, 2).assign(
        age=pd.array([40, 29, 40, 40, 40], dtype="Int64"),
        pay=[1.0, 1.0, -1.0, 1.0, 41.0],
        city="Bern",
        ill="yes",
    )
    rows.loc[3, "city"] = "Rom"
    assert reasons(train, rows, asked) == [
        "",
        "constraint: 30<=age<=50",
        "constraint: pay>=0",
        "constraint: city+ill seen together",
        "constraint: pay<=age",
    ]


def test_a_broken_formula_is_told_as_it_was_written(train: Path) -> None:
    asked = recipe([{"kind": "formula", "column": "pay", "expression": "age / 40"}], constraints=True)
    rows = people(3, 2).assign(age=pd.array([40, 20, 40], dtype="Int64"), pay=[1.0, 0.5, 1.5])
    assert reasons(train, rows, asked) == ["", "", "constraint: pay=age / 40"]


def test_copies_and_near_copies(train: Path) -> None:
    real = people(600, 1)
    rows = real.iloc[[5, 6, 7, 8]].reset_index(drop=True)
    rows["id"] = "new"
    rows.loc[1, "pay"] = rows.loc[1, "pay"] + 0.004  # within 1 % of the spread
    rows.loc[2, "pay"] = rows.loc[2, "pay"] + 0.5
    rows.loc[3, "city"] = {"Bern": "Genf", "Genf": "Bern"}[rows.loc[3, "city"]]
    assert rows.pay.notna().all()
    assert reasons(train, rows, recipe(copies=True)) == ["copy", "", "", ""]
    assert reasons(train, rows, recipe(near_copies=0.01)) == ["near_copy", "near_copy", "", ""]
    assert reasons(train, rows, recipe(copies=True, near_copies=0.01)) == ["copy", "near_copy", "", ""]


def test_a_row_that_repeats_in_train_may_be_made_again(tmp_path: Path) -> None:
    real = people(50, 1)
    path = tmp_path / "train.parquet"
    pq.write_table(to_arrow(pd.concat([real, real.iloc[:10]]), SCHEMA), path)
    found = reasons(path, real, recipe(copies=True, near_copies=0.01))
    assert found == [""] * 10 + ["copy"] * 40


def test_label_agreement_drops_wrong_labels_and_keeps_real_rows(train: Path) -> None:
    rows = people(400, 2)
    rows = rows[rows.pay.abs() > 0.2].reset_index(drop=True)
    asked = recipe(label_agreement=0.5)
    assert set(reasons(train, rows, asked)) == {""}
    wrong = rows.assign(ill=rows.ill.map({"yes": "no", "no": "yes"}))
    assert set(reasons(train, wrong, asked)) == {"label_agreement"}
    assert set(reasons(train, rows.assign(ill=None), asked)) == {"label_agreement"}


def test_label_agreement_of_a_seldom_class_weighs_it_equally(tmp_path: Path) -> None:
    """Unweighted, 30 in 2,000 rows would never be the likelier class."""
    real = people(4000, 1)
    real = pd.concat([real[real.pay <= 0], real[real.pay > 1].iloc[:30]], ignore_index=True)
    path = tmp_path / "train.parquet"
    pq.write_table(to_arrow(real, SCHEMA), path)
    asked = people(500, 2)
    asked = asked[asked.pay > 1.3].reset_index(drop=True)
    assert set(reasons(path, asked, recipe(label_agreement=0.5))) == {""}


def test_label_agreement_with_a_single_row_of_a_class(tmp_path: Path) -> None:
    real = people(100, 1)
    real["ill"] = "no"
    real.loc[0, "ill"] = "yes"
    path = tmp_path / "train.parquet"
    pq.write_table(to_arrow(real, SCHEMA), path)
    assert len(reasons(path, people(20, 2), recipe(label_agreement=0.1))) == 20


def test_label_agreement_lets_all_pass_where_nothing_can_be_learned(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    pq.write_table(to_arrow(people(8, 1), SCHEMA), path)
    assert set(reasons(path, people(20, 2), recipe(label_agreement=1.0))) == {""}


def test_label_agreement_of_a_regression_is_its_residual(tmp_path: Path) -> None:
    schema = Schema(columns=(Column(name="x", type="number"), Column(name="y", type="number")), target="y")
    task = Task(target="y", type="regression", metric="r2")
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, 800)
    real = pd.DataFrame({"x": x, "y": 3 * x + 0.1 * random.normal(size=800)})
    path = tmp_path / "train.parquet"
    pq.write_table(to_arrow(real, schema), path)
    screens = kinds.get("table").screens(
        schema, task, recipe(label_agreement=0.1), train=[path], seed=3, threads=1
    )
    made = pd.DataFrame({"x": [0.5, 0.5, 0.5], "y": [1.5, 2.5, np.nan]})
    assert list(why(screens, made)) == ["", "label_agreement", "label_agreement"]


def test_the_first_screen_gives_the_reason(train: Path) -> None:
    row = people(600, 1).iloc[[5]].reset_index(drop=True).assign(city="Rom", ill="perhaps")
    everything = recipe(type_and_range=True, copies=True, near_copies=0.01, label_agreement=0.1)
    assert reasons(train, row, everything) == ["type_and_range: city"]


def shards(folder: Path, frames: list[pd.DataFrame]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for number, frame in enumerate(frames):
        table = to_arrow(frame, SCHEMA)
        table = table.append_column("_generator", pa.array(["test"] * len(frame), pa.string()))
        table = table.append_column("_source_row", pa.nulls(len(frame), pa.int64()))
        table = table.append_column("_seed", pa.array([number] * len(frame), pa.int64()))
        pq.write_table(table, folder / f"{number}.parquet")
        paths.append(folder / f"{number}.parquet")
    return paths


def run(train: Path, paths: list[Path], out: Path, asked: Recipe, **options: Any) -> dict[str, Any]:
    return screen(
        kinds.get("table"),
        SCHEMA,
        TASK,
        asked,
        train=[train],
        shards=paths,
        out=out,
        seed=3,
        threads=1,
        **options,
    )


def test_stage_keeps_shards_columns_and_order_and_counts(train: Path, tmp_path: Path) -> None:
    real = people(600, 1)  # within train's ranges for sure
    good, bad = real.iloc[:30], real.iloc[30:50].assign(city="Rom")
    mixed = real.iloc[50:90].reset_index(drop=True)
    mixed.loc[::4, "age"] = 7
    paths = shards(tmp_path / "shards", [good, bad, mixed])
    told: list[float] = []
    out = tmp_path / "out"
    result = run(
        train, paths, out, recipe(type_and_range=True), progress=lambda share, text: told.append(share)
    )
    assert (result["sampled"], result["kept"]) == (90, 60)
    assert result["rejected"] == {"type_and_range: city": 20, "type_and_range: age": 10}
    kept = [pq.read_table(out / "kept" / f"{number:05d}.parquet") for number in range(3)]
    assert [table.num_rows for table in kept] == [30, 0, 30]
    assert kept[0].equals(pq.read_table(paths[0]))
    assert kept[1].schema == pq.read_schema(paths[1])
    both = pa.concat_tables(kept)
    expected = {str(k): int(v) for k, v in both["ill"].to_pandas().value_counts().items()}
    assert result["kept_per_class"] == expected
    rejected = pq.read_table(out / "rejected.parquet")
    assert rejected.num_rows == 30
    assert rejected.column_names == [*kept[0].column_names, "_reason"]
    assert set(rejected["_reason"].to_pylist()) == set(result["rejected"])
    assert told[0] == 0.0
    assert told[-1] == 1.0


def test_a_rare_class_is_not_dropped_because_trees_doubt_every_row_of_it() -> None:
    from leaven.pipelines.kinds.table.agreement import LabelAgreement

    schema = Schema(
        columns=(*(Column(name=f"x{i}", type="number") for i in range(4)), Column(name="y", type="category")),
        target="y",
    )
    task = Task(target="y", type="classification", metric="roc_auc", classes=("no", "yes"), positive="yes")

    def rows(yes: int, no: int, seed: int) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        label = np.repeat(["yes", "no"], [yes, no])
        columns: dict[str, Any] = {
            f"x{i}": random.normal(size=yes + no) + 0.7 * (label == "yes") for i in range(4)
        }
        return pd.DataFrame({**columns, "y": label.astype(object)})

    screen = LabelAgreement(schema, task, rows(15, 500, 1), threshold=0.1, seed=0, threads=1)
    fresh = rows(400, 400, 2)
    passed = screen.reasons(fresh) == ""
    assert passed[:400].mean() > 0.5, "fresh real rows of the rare class"
    assert passed[400:].mean() > 0.8
    strict = LabelAgreement(schema, task, rows(500, 500, 1), threshold=0.5, seed=0, threads=1)
    turned = fresh.assign(y=np.where(fresh["y"] == "yes", "no", "yes").astype(object))
    assert (strict.reasons(turned) == "").mean() < (strict.reasons(fresh) == "").mean() - 0.2


def test_stage_gives_equal_bytes_again(train: Path, tmp_path: Path) -> None:
    paths = shards(tmp_path / "shards", [people(200, 2), people(200, 3)])
    asked = Recipe.model_validate({**recipe().model_dump(exclude_none=True, exclude={"screen"})})
    results = [run(train, paths, tmp_path / name, asked) for name in ("a", "b")]
    assert results[0] == results[1]
    for file in ("kept/00000.parquet", "kept/00001.parquet", "rejected.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_shards_fate_does_not_hang_on_the_others(train: Path, tmp_path: Path) -> None:
    first, second = shards(tmp_path / "shards", [people(200, 2), people(200, 3)])
    asked = Recipe.model_validate({**recipe().model_dump(exclude_none=True, exclude={"screen"})})
    run(train, [first, second], tmp_path / "both", asked)
    run(train, [second], tmp_path / "one", asked)
    assert (tmp_path / "both/kept/00001.parquet").read_bytes() == (
        tmp_path / "one/kept/00000.parquet"
    ).read_bytes()


def test_stage_without_shards(train: Path, tmp_path: Path) -> None:
    result = run(train, [], tmp_path / "out", recipe(type_and_range=True))
    assert result == {"sampled": 0, "kept": 0, "rejected": {}, "kept_per_class": {"no": 0, "yes": 0}}
    assert pq.read_table(tmp_path / "out" / "rejected.parquet").num_rows == 0


def test_memory_does_not_grow_with_shards(train: Path, tmp_path: Path) -> None:
    paths = shards(tmp_path / "shards", [people(5000, seed) for seed in range(2, 10)])
    held: list[int] = []
    run(
        train,
        paths,
        tmp_path / "out",
        recipe(type_and_range=True),
        progress=lambda share, text: held.append(pa.total_allocated_bytes()),
    )
    assert max(held[4:]) <= 1.2 * max(held[1:4])


def test_marked_rows_are_dropped_and_counted(train: Path, tmp_path: Path) -> None:
    shard, bad = people(100, 5), tmp_path / "bad.csv"
    pq.write_table(to_arrow(shard, SCHEMA), tmp_path / "shard.parquet")
    shard.iloc[[4, 9]].to_csv(bad, index=False)
    counts = screen(
        kinds.get("table"),
        SCHEMA,
        TASK,
        recipe(reject_file=str(bad)),
        train=[train],
        shards=[tmp_path / "shard.parquet"],
        out=tmp_path,
        seed=1,
        threads=1,
    )
    assert counts["rejected"] == {"marked": 2} and counts["kept"] == 98
    assert pq.read_table(tmp_path / "rejected.parquet").column("id").to_pylist() == ["5-4", "5-9"]
