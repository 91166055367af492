"""`leaven sample --like`: the rows of a file, with what they miss filled in."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.flows.cli import app
from leaven.flows.ending import run
from leaven.generators.table.controls import IndependentColumns

HOLES = 'colour,low,high,id\nred,0.5,,a1\n,,2.25,\n"blue",NA,,\n'


@pytest.fixture
def leaven(place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Calls the command line on a store whose generator fills a cell with any train value."""
    monkeypatch.setenv("LEAVEN_STORE", place)
    monkeypatch.setattr(
        IndependentColumns,
        "_complete",
        lambda self, frame, *, seed: self._make(len(frame), seed=seed, conditions=()),
    )

    def call(*arguments: Any) -> tuple[int, str, str]:
        code = run(app, [str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_fills_in_what_is_missing_and_keeps_the_rest(leaven: Any, tmp_path: Path, suffix: str) -> None:
    like, out = tmp_path / f"holes.{suffix}", tmp_path / "whole.parquet"
    if suffix == "csv":
        like.write_text(HOLES)
    else:
        pd.DataFrame(
            {
                "colour": ["red", None, "blue"],
                "low": [0.5, None, None],
                "high": [None, 2.25, None],
                "id": ["a1", None, None],
            }
        ).to_parquet(like)
    code, said, _ = leaven("sample", "points", "--like", like, "--out", out, "--json")
    assert code == 0 and json.loads(said)["filled"] == {"id": 2, "low": 2, "high": 2, "colour": 1, "y": 3}
    rows = pq.read_table(out).to_pandas()
    assert list(rows.columns) == ["id", "low", "high", "colour", "y"] and rows.notna().all().all()
    assert rows.loc[0, ["id", "low", "colour"]].tolist() == ["a1", 0.5, "red"]
    assert rows.loc[1, "high"] == 2.25 and rows.loc[2, "colour"] == "blue" and rows["id"].is_unique


def test_copies_are_other_draws_of_the_same_rows(leaven: Any, tmp_path: Path) -> None:
    like = tmp_path / "holes.csv"
    like.write_text(HOLES)

    def made(name: str, *options: Any) -> pd.DataFrame:
        out = tmp_path / name
        code, said, err = leaven("sample", "points", "--like", like, "--out", out, *options)
        assert code == 0, err
        assert "6 rows like those of" in said and "y 6" in said
        return pd.read_csv(out, keep_default_na=False)

    rows = made("a.csv", "--copies", 2)
    assert rows["high"][1] == rows["high"][4] == 2.25
    drawn = rows[
        ["low", "high", "y"]
    ]  # one cell alone may be drawn alike: the version's name, a time, is in the seed
    assert not drawn[:3].equals(drawn[3:].reset_index(drop=True)) and rows["id"][1:].nunique() == 5
    assert rows.equals(made("b.csv", "--copies", 2))
    assert not rows.equals(made("c.csv", "--copies", 2, "--seed", 1))


WRONG: dict[str, tuple[str, list[str], list[str]]] = {
    "category": ("colour\nred\nblu\n", [], ["holes.csv line 3", "'colour'", "'blu'", "did you mean 'blue'"]),
    "text for a number": ("low\n1\nmuch\n", [], ["holes.csv line 3", "'low'", "'much'", "number"]),
    "column": ("colur\nred\n", [], ["holes.csv", "'colur'", "did you mean 'colour'"]),
    "infinite": ("low\ninf\n", [], ["holes.csv line 2", "'low'", "inf"]),
    "no rows": ("low\n", [], ["no rows"]),
    "ragged": ("low,high\n1,2,3\n", [], ["line 2"]),
    "no file": ("", ["--like", "nowhere.csv"], ["nowhere.csv"]),
    "rows beside": (HOLES, ["--rows", "5"], ["--rows and --like exclude each other"]),
    "where beside": (HOLES, ["--where", "colour=red"], ["--where and --like exclude each other"]),
    "no copies": (HOLES, ["--copies", "0"], ["--copies 0"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line(leaven: Any, tmp_path: Path, case: str) -> None:
    content, options, words = WRONG[case]
    (tmp_path / "holes.csv").write_text(content)
    out = tmp_path / "whole.csv"
    code, said, err = leaven("sample", "points", "--like", tmp_path / "holes.csv", "--out", out, *options)
    lines = [line for line in err.splitlines() if line.strip()]
    print(err)
    assert code == 2 and said == "" and not out.exists()
    assert all(word in lines[-1] for word in words)


def test_rows_or_like_must_be_given(leaven: Any, tmp_path: Path) -> None:
    code, _, err = leaven("sample", "points", "--out", tmp_path / "a.csv")
    assert code == 2 and "--rows N, or --like FILE" in err
    code, _, err = leaven("sample", "points", "--rows", 5, "--copies", 2, "--out", tmp_path / "a.csv")
    assert code == 2 and "--copies goes with --like" in err


def test_a_generator_that_cannot_fill_in_says_so(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "holes.csv").write_text(HOLES)
    paths = ["--like", str(tmp_path / "holes.csv"), "--out", str(tmp_path / "a.csv"), "--store", place]
    assert run(app, ["sample", "points", *paths]) == 2
    assert "independent_columns cannot fill in missing cells" in capsys.readouterr().err
