"""The contract that every generator for tables keeps, whatever its method."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from leaven.generators import catalog
from leaven.generators.conditions import met, parse
from leaven.generators.contract import Budget, Fit
from leaven.generators.errors import ConditionError, FitError
from leaven.generators.rows import Rows, to_arrow

from .planted import COLOUR, MISSING, SCHEMA, TARGET, YES, frame, write

# Small enough to be quick, long enough for the planted dependence to be learned.
SMALL_GAN = {
    "epochs": 120,
    "batch_size": 100,
    "pac": 1,
    "embedding_dim": 32,
    "generator_dim": (64, 64),
    "discriminator_dim": (64, 64),
    "generator_lr": 1e-3,
    "discriminator_lr": 1e-3,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "ctgan": SMALL_GAN,
    "copula_gan": {**SMALL_GAN, "default_distribution": "norm"},
    "tvae": {"epochs": 50, "batch_size": 50},
}
SHORT = {name: {**SETTINGS[name], "epochs": 100_000} for name in SETTINGS}
NETWORKS = sorted(SETTINGS)


class Fitted(NamedTuple):
    name: str
    generator: Any
    report: Fit
    rows: Rows
    real: pd.DataFrame
    said: list[tuple[float, str]]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return write(tmp_path_factory.mktemp("planted") / "train.parquet", frame())


@pytest.fixture(scope="module", params=catalog.names("table"))
def fitted(request: pytest.FixtureRequest, rows: Rows) -> Fitted:
    name, said = request.param, []
    generator = catalog.get(name)(SETTINGS.get(name))
    report = generator.fit(rows, seed=5, threads=1, progress=lambda share, text: said.append((share, text)))
    return Fitted(name, generator, report, rows, rows.frame(), said)


def test_same_schema_comes_out(fitted: Fitted) -> None:
    made = fitted.generator.sample(400, seed=1)
    assert list(made.columns) == SCHEMA.names
    assert list(made.dtypes) == list(fitted.real.dtypes)
    assert made.index.equals(pd.RangeIndex(400))
    assert to_arrow(made, SCHEMA).schema == SCHEMA.arrow()
    assert made["remark"].isna().all() and made["void"].isna().all()
    assert set(made["only"]) == {"same"}
    assert set(made[COLOUR].dropna()) <= {"red", "blue"}
    for name in ("age", "day", "size"):
        assert made[name].min() >= fitted.real[name].min() and made[name].max() <= fitted.real[name].max()
    assert (made["size"].dropna().round(2) == made["size"].dropna()).all()
    assert (made["day"].dt.normalize() == made["day"]).all()
    for name in ("age", "day", "only", TARGET):
        assert made[name].notna().all()


def test_count_zero_and_one(fitted: Fitted) -> None:
    assert len(fitted.generator.sample(1, seed=1)) == 1
    none = fitted.generator.sample(0, seed=1)
    assert len(none) == 0 and list(none.dtypes) == list(fitted.real.dtypes)


def test_identifiers_are_new_and_unique_over_shards(fitted: Fitted) -> None:
    first = fitted.generator.sample(50, seed=1, offset=0)
    second = fitted.generator.sample(50, seed=2, offset=50)
    for name in ("id", "key"):
        made = pd.concat([first[name], second[name]])
        assert made.is_unique and made.notna().all()
        assert not set(made) & set(fitted.real[name])
    assert first["key"].str.match(r"^C-\d{5,}$").all()


def test_equal_seeds_give_equal_rows_and_shards_differ(fitted: Fitted) -> None:
    one = fitted.generator.sample(120, seed=11)
    fitted.generator.sample(70, seed=99, conditions=parse([f"{TARGET}=1"], SCHEMA))
    np.random.rand(7)
    pd.testing.assert_frame_equal(one, fitted.generator.sample(120, seed=11))
    other = fitted.generator.sample(120, seed=12, offset=120)
    learned = [column.name for column in SCHEMA if column.learnable]
    assert not one[learned].equals(other[learned])


@pytest.mark.parametrize(
    "asked",
    [
        [f"{TARGET}=1"],
        [f"{COLOUR}=red|blue"],
        [f"{COLOUR}!=red"],
        ["size>=20"],
        ["age>=30", "age<60"],
        ["age=40"],
        ["ok=true", f"{COLOUR}=blue"],
        ["day<2020-07-01"],
        [f"{TARGET}=0", "day>=2021-01-01"],
    ],
    ids=" ".join,
)
def test_conditions_are_met(fitted: Fitted, asked: list[str]) -> None:
    conditions = parse(asked, SCHEMA)
    made = fitted.generator.sample(60, seed=3, conditions=conditions)
    assert len(made) == 60 and met(conditions, made).all()
    assert list(made.dtypes) == list(fitted.real.dtypes)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (f"{COLOUR}=redd", "did you mean 'red'"),
        ("age>=200", "runs from 18 to 89"),
        ("size<-1000", "size<-1000.0"),
        ("day=1999-01-01", "runs from 2020-01-0"),
        ("only!=same", "only!=same"),
        ("void=1", "empty"),
    ],
)
def test_impossible_conditions_are_named(fitted: Fitted, asked: str, said: str) -> None:
    with pytest.raises(ConditionError, match=asked.split("=")[0].split("<")[0].split(">")[0]) as caught:
        fitted.generator.sample(10, seed=1, conditions=parse([asked], SCHEMA))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_saved_and_loaded_gives_the_same_rows(fitted: Fitted, tmp_path: Path) -> None:
    before = fitted.generator.sample(80, seed=21)
    fitted.generator.save(tmp_path)
    loaded = catalog.get(fitted.name).load(tmp_path)
    pd.testing.assert_frame_equal(before, loaded.sample(80, seed=21))
    asked = parse([f"{TARGET}=1", "size>=12"], SCHEMA)
    pd.testing.assert_frame_equal(
        fitted.generator.sample(40, seed=4, conditions=asked), loaded.sample(40, seed=4, conditions=asked)
    )
    assert loaded.parameters == fitted.generator.parameters


def test_missing_shares_come_out(fitted: Fitted) -> None:
    made = fitted.generator.sample(2000, seed=8)
    # Networks of a few seconds are rough; the others are near.
    tolerance = 0.17 if fitted.name in NETWORKS else 0.05
    for name, share in MISSING.items():
        assert abs(made[name].isna().mean() - share) < tolerance, name


def test_planted_dependence_comes_out(fitted: Fitted) -> None:
    made = fitted.generator.sample(2000, seed=9)
    yes = {colour: (made[TARGET][made[COLOUR] == colour] == "1").mean() for colour in YES}
    size = {colour: made["size"][made[COLOUR] == colour].mean() for colour in YES}
    if fitted.name == "independent_columns":
        assert abs(yes["red"] - yes["blue"]) < 0.1 and abs(size["red"] - size["blue"]) < 2
    else:
        assert yes["red"] - yes["blue"] > 0.35
        assert size["blue"] - size["red"] > 5


def test_progress_is_told(fitted: Fitted) -> None:
    assert fitted.said[0][0] == 0.0 and fitted.said[-1][0] == 1.0
    assert all(text.startswith(fitted.name) for _, text in fitted.said)
    if fitted.name in NETWORKS:
        assert any("column" in text for _, text in fitted.said)
        assert any("epoch" in text for _, text in fitted.said)
        assert fitted.report.steps > 0 and fitted.report.losses


def test_fit_is_equal_in_a_fresh_process(fitted: Fitted, tmp_path: Path) -> None:
    if fitted.name not in ("independent_columns", "smote", "gaussian_copula", "tvae"):
        pytest.skip("shares its code with one that is tried")
    code = (
        "import sys, json; from leaven.generators import catalog; from leaven.generators.rows import Rows, to_arrow\n"
        "from leaven.generators.schema import Schema; import pyarrow.parquet as pq\n"
        "path, schema, name, settings, out = sys.argv[1:]\n"
        "rows = Rows(path, Schema.model_validate_json(schema))\n"
        "g = catalog.get(name)(json.loads(settings)); g.fit(rows, seed=5, threads=1)\n"
        "pq.write_table(to_arrow(g.sample(100, seed=31), rows.schema), out)\n"
    )
    out = tmp_path / "made.parquet"
    arguments = [str(fitted.rows.paths[0]), SCHEMA.model_dump_json(), fitted.name]
    arguments += [json.dumps(SETTINGS.get(fitted.name, {})), str(out)]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, timeout=120)
    there = Rows(out, SCHEMA).frame()
    here = fitted.generator.sample(100, seed=31)
    assert to_arrow(there, SCHEMA).equals(to_arrow(here, SCHEMA))


def test_fit_stops_within_its_budget(fitted: Fitted) -> None:
    generator = catalog.get(fitted.name)(SHORT.get(fitted.name))
    start = time.monotonic()
    report = generator.fit(fitted.rows, seed=5, threads=1, budget=Budget(seconds=0.05))
    assert time.monotonic() - start < 15
    if fitted.name not in NETWORKS:
        return
    assert report.stopped_by == "budget" and report.steps >= 1
    assert any("budget" in note for note in report.notes)
    again = catalog.get(fitted.name)(SHORT[fitted.name])
    replayed = again.fit(fitted.rows, seed=5, threads=1, budget=Budget(steps=report.steps))
    assert replayed.steps == report.steps
    pd.testing.assert_frame_equal(generator.sample(30, seed=1), again.sample(30, seed=1))


def test_not_fitted_is_said(fitted: Fitted) -> None:
    with pytest.raises(FitError, match="not fitted"):
        catalog.get(fitted.name)().sample(1, seed=1)
