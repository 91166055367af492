"""The rooms and their one-way imports, and that the package does not get in the way of a user's own folders."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "generators": {"generators"},
    "pipelines": {"generators", "pipelines"},
    "flows": {"generators", "pipelines", "flows"},
}


def imported(path: Path) -> set[str]:
    """Every module that a file imports anywhere, as dotted names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            names.add("relative")
    return names


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        names = imported(path)
        rooms = {name.split(".")[1] for name in names if name.startswith("leaven.") and name.count(".") >= 1}
        strangers = rooms & set(MAY_IMPORT) - MAY_IMPORT[room]
        assert not strangers, f"{path} imports {strangers}"
        assert "relative" not in names, f"{path}: import by full name"
        bare = {name.split(".")[0] for name in names} & set(MAY_IMPORT)
        assert not bare, f"{path} imports the room {bare} without `leaven.`"


@pytest.mark.parametrize("room", ["generators", "pipelines"])
def test_only_flows_know_prefect(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        assert not any(name.split(".")[0] == "prefect" for name in imported(path)), path


def test_stages_do_not_ask_which_kind_they_have() -> None:
    for path in (ROOT / "pipelines").glob("*.py"):
        assert "kinds.table" not in path.read_text(), f"{path} names a kind of data"


def test_importable_beside_a_project_with_its_own_pipelines(tmp_path: Path) -> None:
    for room in MAY_IMPORT:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("mine = True\n")
    code = (
        "import pipelines, generators, flows, leaven, leaven.pipelines, leaven.generators.catalog\n"
        "assert pipelines.mine and generators.mine and flows.mine\n"
        "assert not hasattr(leaven.pipelines, 'mine')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
