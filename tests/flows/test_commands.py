"""Commands that read the store, in this process: what they print, and their exit status."""

import json
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from leaven.flows import ending
from leaven.flows.cli import app
from leaven.flows.ending import run
from leaven.generators.errors import LeavenError
from leaven.pipelines.store import Store


@pytest.fixture
def leaven(capsys: pytest.CaptureFixture[str]) -> Any:
    """Calls the command line; returns exit status, standard output and standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(app, list(arguments))
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_list(leaven: Any, place: str) -> None:
    code, out, _ = leaven("list", "--store", place)
    heading, first, second = out.strip("\n").splitlines()
    assert code == 0 and heading.split() == ["name", "version", "verdict", "lift", "rows", "date"]
    assert first.startswith("* ") and "released" in first and "+0.030" in first
    assert "withheld" in second and "−0.002" in second and "*" not in second
    found = json.loads(leaven("list", "points", "--store", place, "--json")[1])
    assert [one["latest"] for one in found] == [True, False]


def test_an_empty_store_says_so(leaven: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_STORE", str(tmp_path))
    code, out, _ = leaven("list")
    assert code == 0 and str(tmp_path) in out and "no versions" in out


def test_show_is_the_released_version_and_names_the_newer_one(leaven: Any, store: Store, place: str) -> None:
    code, out, _ = leaven("show", "points", "--store", place)
    released, withheld = store.versions("points")
    assert code == 0
    assert out.splitlines()[0] == f"points@{released}  released"
    assert f"leaven show points@{withheld}" in out
    for word in ("real rows alone", "0.930", "pair trends", "report.html", "learning curve is too noisy"):
        assert word in out
    code, out, _ = leaven("show", f"points@{withheld}", "--store", place)
    assert code == 0 and "FAILED" in out and "Not released" in out
    assert json.loads(leaven("show", "points", "--store", place, "--json")[1])["version"] == released


def test_path_and_a_withheld_version_that_must_be_named(leaven: Any, store: Store, place: str) -> None:
    released, withheld = store.versions("points")
    code, out, _ = leaven("path", "points", "--store", place)
    assert code == 0 and Path(out.strip(), "manifest.json").is_file() and released in out
    assert withheld in leaven("path", f"points@{withheld}", "--store", place)[1]


def test_path_of_a_version_that_is_newer(leaven: Any, store: Store, place: str) -> None:
    released, _ = store.versions("points")
    code, _, err = leaven("path", "points", "--newer-than", released, "--wait", "1s", "--store", place)
    assert code == 2 and f"points@{released}: is not newer" in err
    assert leaven("path", "points", "--newer-than", "2020", "--store", place)[0] == 0
    assert "--wait: found 'soon'" in leaven("path", "points", "--wait", "soon", "--store", place)[2]


def test_compare(leaven: Any, store: Store, place: str) -> None:
    released, withheld = store.versions("points")
    code, out, _ = leaven("compare", "points", f"points@{withheld}", "--store", place)
    lines = {line.split("  ")[0]: line for line in out.splitlines()}
    assert code == 0 and lines["A"].endswith(released)
    assert lines["lift"].split() == ["lift", "+0.030", "−0.002", "−0.032"]
    assert lines["verdict"].split() == ["verdict", "released", "withheld"]
    assert "pair trends" in lines


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_sample_writes_as_many_rows_as_asked(leaven: Any, place: str, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"more.{suffix}"
    code, said, _ = leaven(
        "sample", "points", "--rows", "300", "--where", "colour=red", "--out", str(out), "--store", place
    )
    assert code == 0 and "300 rows" in said and "did not pass" in said
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    if suffix == "csv":
        assert len(out.read_text().splitlines()) == 301
        return
    rows = pq.read_table(out).to_pandas()
    assert len(rows) == 300 and set(rows["colour"]) == {"red"} and rows["id"].is_unique
    assert (rows["low"] <= rows["high"]).all()  # independent columns break this often: the screen was applied


def test_sample_meets_ranges_and_sets(leaven: Any, place: str, tmp_path: Path) -> None:
    out = tmp_path / "some.parquet"
    asked = ["colour=red|blue", "low>=-0.5", "low<0.5", "y!=yes"]
    where = [word for one in asked for word in ("--where", one)]
    assert leaven("sample", "points", "--rows", "50", *where, "--out", str(out), "--store", place)[0] == 0
    rows = pq.read_table(out).to_pandas()
    assert len(rows) == 50 and rows["low"].between(-0.5, 0.5, inclusive="left").all()
    assert set(rows["y"]) == {"no"} and set(rows["colour"]) == {"red", "blue"}


def test_sample_is_seeded_and_raw_is_not_screened(leaven: Any, place: str, tmp_path: Path) -> None:
    def rows(name: str, *options: str) -> Any:
        out = tmp_path / name
        code, said, _ = leaven(
            "sample", "points", "--rows", "80", "--out", str(out), "--store", place, "--json", *options
        )
        assert code == 0
        return pq.read_table(out).to_pandas(), json.loads(said)

    first, said = rows("a.parquet", "--seed", "3")
    assert first.equals(rows("b.parquet", "--seed", "3")[0])
    assert not first.equals(rows("c.parquet", "--seed", "4")[0])
    assert said["sampled"] == 80 + sum(said["rejected"].values())
    raw, said = rows("d.parquet", "--raw")
    assert said["screened"] is False and not (raw["low"] <= raw["high"]).all()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "pionts"], 2, ["pionts", "did you mean 'points'"]),
        (["path", "points@2026"], 2, ["has no version '2026'"]),
        (["sample", "points", "--rows", "0", "--out", "a.csv"], 2, ["--rows 0"]),
        (["sample", "points", "--rows", "5", "--out", "a.xlsx"], 2, ["a.xlsx", ".parquet"]),
        (["sample", "points", "--rows", "5", "--out", "no/such/a.csv"], 2, ["folder does not exist"]),
        (["sample", "points", "--rows", "5", "--out", "a.csv", "--where", "colour=mauve"], 2, ["mauve"]),
        (["sample", "points", "--rows", "5", "--out", "a.csv", "--where", "hue=red"], 2, ["hue"]),
        (["lst"], 2, ["did you mean 'list'"]),
        (["show", "points", "--verbos"], 2, ["--verbos"]),
        (["show"], 2, ["NAME"]),
        (["train-translator", "no.tsv", "--from", "en", "--to", "fr", "--out", "m"], 2, ["no.tsv"]),
        (["demo", "tables"], 2, ["tables"]),
        (["serve"], 2, ["no recipe"]),
    ],
)
def test_what_is_wrong_is_one_line(
    leaven: Any,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEAVEN_STORE", place)
    found, out, err = leaven(*arguments)
    assert found == code and out == ""
    lines = err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("leaven: ")
    for word in words:
        assert word in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_ours_is_one_line_and_a_file(leaven: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("leaven.pipelines.store.Store.names", broken)
    code, _, err = leaven("list")
    assert code == 1 and len(err.splitlines()) == 1 and "unexpected ZeroDivisionError: by zero" in err
    log = Path(err.strip().rpartition("traceback: ")[2])
    assert "in broken" in log.read_text()
    log.unlink()


def test_ctrl_c_is_130(leaven: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("leaven.pipelines.store.Store.names", interrupted)
    code, _, err = leaven("list")
    assert code == 130 and len(err.splitlines()) == 1 and "rerun resumes" in err


@pytest.mark.parametrize("made", [ImportError("initialization failed"), LeavenError("no rows")])
def test_sigterm_is_told_as_such_whatever_a_library_makes_of_it(
    made: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:
            raise made from error

    before = signal.getsignal(signal.SIGTERM)
    try:
        assert ending.run(stopped) == ending.TERMINATED
        ending.raise_if_ended()  # it ended that command alone
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err == "leaven: interrupted; what was finished is kept, a rerun resumes\n"
