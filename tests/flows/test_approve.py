"""A version that waits for a person: readers do not see it until it is approved, by command or in Prefect's form."""

import contextlib
import json
import shutil
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaven.flows.cli import app
from leaven.flows.ending import run
from leaven.generators.errors import InputError
from leaven.pipelines import gates
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.recipe_file import load_recipe
from leaven.pipelines.release import release
from leaven.pipelines.store import Store

from .conftest import RECIPE, SCHEMA, points, report
from .serving import Served

WAITING = RECIPE | {"gates": {"approval": True}}


def publish(store: Store, folder: Path) -> str:
    """A new version that waits, of the same rows as the newest one. Returns its id."""
    before = store.find("points", released_only=False)
    seen = report("withheld", 0.04 + len(store.versions("points")) / 1000)
    seen |= {"pending": True, "gates": [*seen["gates"], gates.approval()], "recipe": WAITING}
    seen["gates"][0]["passed"] = True
    folder.mkdir(exist_ok=True)
    return release(
        Recipe.model_validate(WAITING | {"split": {"seed": len(store.versions("points"))}}),
        store=store,
        report=seen,
        schema=SCHEMA,
        real={part: before.paths(part) for part in ("train", "validation", "test")},
        synthetic=before.paths("synthetic"),
        rejected=[],
        generator=before.path / "generator",
        seeds={"split": 7},
        stages=[],
        parents=[],
    ).version


@pytest.fixture
def waiting(store: Store, tmp_path: Path) -> Store:
    """A store of its own, whose newest version waits."""
    shutil.copytree(store.root, tmp_path / "work" / "store")
    own = Store(tmp_path / "work" / "store")
    publish(own, tmp_path)
    return own


@pytest.fixture
def leaven(
    waiting: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Any:
    monkeypatch.setenv("LEAVEN_STORE", str(waiting.root))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "nothing"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(app, list(arguments))
        return code, *capsys.readouterr()

    return call


def test_approved_by_command(leaven: Any, waiting: Store) -> None:
    before, (*_, newest) = waiting.latest("points"), waiting.versions("points")
    files = sorted(path.stat().st_mtime_ns for path in waiting.get("points", newest).path.rglob("*"))
    assert before != newest and "pending" in leaven("list")[1].splitlines()[-1]
    assert f"waits for approval: leaven approve points@{newest}" in leaven("show", "points")[1]
    assert "a person has to approve it" in leaven("show", f"points@{newest}")[1]
    code, out, _ = leaven("approve", f"points@{newest}", "--why", "looks right")
    assert code == 0 and out == f"points@{newest}: released\n" and waiting.latest("points") == newest
    assert leaven("approve", "points")[0] == 0  # again: nothing changes
    assert "released" in leaven("list")[1].splitlines()[-1]
    shown = json.loads(leaven("show", "points", "--json")[1])
    assert shown["verdict"] == "released" and shown["approval"]["why"] == "looks right"
    code, _, err = leaven("approve", "points", "--reject")
    assert code == 2 and "was approved already" in err
    now = sorted(path.stat().st_mtime_ns for path in waiting.get("points", newest).path.rglob("*"))
    assert now == files  # a version's files never change


def test_rejected_by_command(leaven: Any, waiting: Store) -> None:
    before, (*_, newest) = waiting.latest("points"), waiting.versions("points")
    assert leaven("approve", "points", "--reject", "--why", "too many reds")[1].endswith("withheld\n")
    assert waiting.latest("points") == before
    assert "a person rejected it: too many reds" in leaven("show", f"points@{newest}")[1]
    assert "was rejected already" in leaven("approve", "points")[2]


def test_what_cannot_be_approved_is_refused(leaven: Any, waiting: Store, tmp_path: Path) -> None:
    _, second, third = waiting.versions("points")
    assert "does not wait for approval" in leaven("approve", f"points@{second}")[2]
    fourth = publish(waiting, tmp_path)
    assert leaven("approve", "points")[1].startswith(f"points@{fourth}")
    code, _, err = leaven("approve", f"points@{third}")
    assert code == 2 and f"a newer version is released already: points@{fourth}" in err


def test_a_version_that_was_altered_is_not_approved(leaven: Any, waiting: Store) -> None:
    newest = waiting.find("points", released_only=False)
    page = newest.path / "report.html"
    page.chmod(0o644)
    page.write_text("another one")
    code, _, err = leaven("approve", "points")
    assert code == 1 and "report.html is not the file" in err and waiting.latest("points") != newest.id


@pytest.mark.parametrize("gate", [{"approval": {"min": 1}}, {"lift": True}])
def test_a_gate_that_makes_no_sense_is_refused(gate: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(RECIPE | {"gates": gate}))
    with pytest.raises(InputError, match=f"gates.{next(iter(gate))}"):
        load_recipe(path, [])


FLOW = '''
from prefect import flow
from leaven.flows.approve import ask
from leaven.pipelines.recipe import Recipe

@flow(name="augment", persist_result=False)
def augment(recipe: Recipe, folder: str = ".", store: str | None = None) -> None:
    """Stands in for the long one: its version stands in the store already."""
    ask("points", "VERSION", STORE)
    ask("points", "VERSION", STORE)
'''


@pytest.fixture
def served(waiting: Store, tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path / "work"
    flow = FLOW.replace("VERSION", waiting.versions("points")[-1]).replace("STORE", repr(str(waiting.root)))
    (folder / "stub_flow.py").write_text(flow)
    points(200, 1).to_csv(folder / "points.csv", index=False)
    (folder / "recipe.yaml").write_text(json.dumps({**WAITING, "store": "store"}))
    one = Served(folder, tmp_path / "prefect", 'entrypoint="stub_flow.augment"')
    yield one
    one.stop()


def events(served: Served, prefix: str) -> list[dict[str, Any]]:
    asked = {"filter": {"event": {"prefix": [prefix]}}}
    return list(served.call("POST", "/events/filter", asked)["events"])


@pytest.mark.prefect
@pytest.mark.slow
def test_approved_in_the_form_of_prefect(served: Served, waiting: Store) -> None:
    newest = waiting.versions("points")[-1]
    augment = served.call("GET", "/deployments/name/augment/points")["id"]
    assert (
        served.ended(served.call("POST", f"/deployments/{augment}/create_flow_run")["id"])["type"]
        == "COMPLETED"
    )
    [asking] = served.wait_for(lambda: served.runs("PAUSED"), 60)  # asked once
    assert asking["name"] == f"points@{newest}" and waiting.latest("points") != newest
    keys = asking["state"]["state_details"]["run_input_keyset"]

    def described() -> str | None:  # Prefect keeps it just after the state
        with contextlib.suppress(urllib.error.HTTPError):
            return str(served.call("GET", f"/flow_runs/{asking['id']}/input/{keys['description']}"))
        return None

    form = served.wait_for(described, 30)
    assert "a person has to approve it" in form and "report.html" in form
    answer = {"run_input": {"approve": True, "why": "read it", "by": "Ada"}}
    assert served.call("POST", f"/flow_runs/{asking['id']}/resume", answer)["status"] == "ACCEPT"
    assert served.ended(asking["id"])["message"] == f"points@{newest}: released"
    assert waiting.latest("points") == newest
    released = served.wait_for(lambda: events(served, "leaven.version."), 30)
    assert [(one["event"], one["payload"]["version"]) for one in released] == [
        ("leaven.version.released", newest)
    ]
    # A suspended run has no heartbeat: the automation for silent runs knows it by this event.
    assert len(served.wait_for(lambda: events(served, "prefect.flow-run.Suspended"), 30)) == 1
    # The heartbeat's automation stands there once.
    names = [one["name"] for one in served.call("POST", "/automations/filter", {})]
    assert len(names) == len(set(names)) == 1
