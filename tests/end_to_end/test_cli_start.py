"""The installed command: how fast it answers, what it refuses, and that it refuses before it imports much."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = ("prefect", "torch", "sdv", "sklearn", "matplotlib", "pandas", "pydantic")
DATA = Path(__file__).parent.parent.parent / "data"

# Runs the command line, then says which heavy modules it imported.
WATCHED = """
import sys
from leaven.flows import ending, cli
code = ending.run(cli.app, sys.argv[1:])
print("imported:", *[name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


def leaven(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "leaven.flows.cli", *arguments], cwd=cwd, capture_output=True, text=True
    )


def imported(*arguments: str, cwd: Path) -> tuple[int, set[str]]:
    code = WATCHED.format(heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True)
    return done.returncode, set(done.stderr.splitlines()[-1].removeprefix("imported:").split())


@pytest.fixture
def churn(tmp_path: Path) -> Path:
    """A folder with the sample recipe and its data."""
    for name in ("churn.csv", "churn.yaml"):
        shutil.copy(DATA / name, tmp_path)
    return tmp_path


def test_help_is_quick(tmp_path: Path) -> None:
    times = []
    for _ in range(3):
        start = time.monotonic()
        done = leaven("--help", cwd=tmp_path)
        times.append(time.monotonic() - start)
        assert done.returncode == 0 and "serve" in done.stdout
    assert min(times) < 0.7
    assert imported("--help", cwd=tmp_path) == (0, set())


def test_no_command_shows_the_help(tmp_path: Path) -> None:
    done = leaven(cwd=tmp_path)
    assert done.returncode == 0 and "Commands:" in done.stdout
    assert leaven("--version", cwd=tmp_path).stdout.startswith("leaven ")


def test_check_imports_neither_prefect_nor_torch(churn: Path) -> None:
    code, modules = imported("check", "churn.yaml", cwd=churn)
    assert code == 0 and not modules & {"prefect", "torch", "sdv", "matplotlib"}
    out = leaven("check", "churn.yaml", cwd=churn).stdout
    for word in ("900 rows", "540 train", "customer_id", "identifier", "gaussian_copula", "ROC AUC"):
        assert word in out


def test_init_then_check(churn: Path) -> None:
    done = leaven("init", "churn.csv", "--target", "churn", "--out", "mine.yaml", cwd=churn)
    assert done.returncode == 0 and "mine.yaml" in done.stdout
    assert leaven("check", "mine.yaml", cwd=churn).returncode == 0
    again = leaven("init", "churn.csv", "--out", "mine.yaml", cwd=churn)
    assert again.returncode == 2 and "mine.yaml: exists" in again.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("task.target=chrun", ["chrun", "churn"]),
        ("source.path=nothing.csv", ["nothing.csv"]),
        ("amount.ratio=-1", ["amount.ratio", "-1"]),
        ("splitt.seed=1", ["splitt", "split"]),
        ("candidates=[{generator: smot}]", ["smot", "smote"]),
        ("gates={lft: {min: 0}}", ["lft", "lift"]),
        ("split.seed=1180591620717411303424", ["split.seed"]),
        ("amount={where: [plan=gold]}", ["plan", "gold"]),
        ("device=cuda", ["cuda"]),
    ],
)
def test_run_refuses_before_prefect_and_writes_nothing(churn: Path, change: str, words: list[str]) -> None:
    if change == "device=cuda" and Path("/dev/nvidiactl").exists():
        pytest.skip("there is a GPU here")
    before = sorted(churn.rglob("*"))
    done = leaven("run", "churn.yaml", "--set", change, cwd=churn)
    assert done.returncode == 2 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("leaven: ")
    for word in words:
        assert word in lines[0]
    assert sorted(churn.rglob("*")) == before


def test_refusing_a_run_imports_neither_prefect_nor_torch(churn: Path) -> None:
    code, modules = imported("run", "churn.yaml", "--set", "amount.ratio=0", cwd=churn)
    assert code == 2 and not modules & {"prefect", "torch", "sdv"}


def test_a_second_run_of_one_name_is_told_at_once(churn: Path) -> None:
    from leaven.pipelines.store import Store

    with Store(churn / "data" / "store").lock("churn"):
        code, modules = imported("run", "churn.yaml", cwd=churn)
        done = leaven("run", "churn.yaml", cwd=churn)
    assert code == 2 and "prefect" not in modules
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if "another run of" in line]
