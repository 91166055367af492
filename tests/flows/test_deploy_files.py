"""The files of `deploy/`: they parse, pin, keep secrets out and ports closed; what can be run without Docker runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
from ruamel.yaml import YAML

from leaven.pipelines.recipe_file import load_recipe
from leaven.pipelines.store import Store

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"


def parsed(name: str) -> Any:
    return YAML(typ="safe").load(DEPLOY / name)


def test_every_pool_has_a_deployment_of_a_flow_that_exists() -> None:
    from leaven.flows.augment_file import augment_file

    found = {one["work_pool"]["name"]: one for one in parsed("prefect.yaml")["deployments"]}
    assert set(found) == {"leaven-process", "leaven-docker", "leaven-kubernetes"}
    for one in found.values():
        assert one["entrypoint"] == f"{augment_file.fn.__module__}.{augment_file.fn.__name__}"
        assert one["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
        assert set(one["parameters"]) <= {"path", "store"}
        assert one["schedules"] == [{"cron": "0 3 * * *", "timezone": "UTC"}]
        assert load_recipe(ROOT / "data" / Path(one["parameters"]["path"]).name)


def test_kubernetes_gives_a_gpu_by_a_variable_of_the_pool() -> None:
    template = json.loads((DEPLOY / "kubernetes_pool.json").read_text())
    (container,) = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "{{ gpus }}"
    assert container["name"] == "prefect-job"  # Prefect's worker takes no other
    assert container["envFrom"] == [{"secretRef": {"name": "leaven", "optional": True}}]
    known = set(template["variables"]["properties"])
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert used <= known
    (one,) = (d for d in parsed("prefect.yaml")["deployments"] if d["name"] == "churn-kubernetes")
    assert set(one["work_pool"]["job_variables"]) <= known and one["work_pool"]["job_variables"]["gpus"] == 1


def test_compose_pins_images_closes_ports_and_holds_no_secret() -> None:
    compose = parsed("compose.yaml")
    services = compose["services"]
    assert set(services) == {"database", "server", "store", "bucket", "deploy", "worker"}
    for name, service in services.items():
        assert re.search(r":[\w.-]*\d", service["image"]), f"{name}: the image's tag names no version"
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name}: {port} is open to others"
        for other in service.get("depends_on", {}):
            assert other in services
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|AUTH|ACCESS_KEY", key):
                assert str(value).startswith("${"), f"{name}: {key} stands in the file"
    assert services["server"]["image"].startswith(f"prefecthq/prefect:{prefect_version()}-")
    asked = set(re.findall(r"\${(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert asked == set(re.findall(r"^(\w+)=", (DEPLOY / "env.example").read_text(), re.M))
    assert "deploy/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_image_has_the_versions_of_the_constraints() -> None:
    lines = (DEPLOY / "Dockerfile").read_text()
    assert "pip install -c constraints.txt" in lines
    for source in re.findall(r"^COPY (.+) \S+$", lines, re.M):
        for pattern in source.split():
            assert list(ROOT.glob(pattern)), f"{pattern} is not there to be copied"
    assert "USER leaven" in lines


def prefect_version() -> str:
    (found,) = re.findall(r"^prefect==(.+)$", (ROOT / "constraints.txt").read_text(), re.M)
    return str(found)


@pytest.mark.prefect
@pytest.mark.slow
def test_a_worker_of_a_process_pool_runs_the_deployment(prefect_server: None, tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL

    recipe = tiny.write("table", tmp_path)
    recipe.rename(tmp_path / "churn.yaml")
    environment = tiny.environment(
        PREFECT_API_URL=str(PREFECT_API_URL.value()), LEAVEN_RECIPES=str(tmp_path), PREFECT_CLI_PROMPT="false"
    )
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(ROOT)])

    def prefect(*arguments: str) -> str:
        said = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert said.returncode == 0, said.stdout + said.stderr
        return said.stdout + said.stderr

    prefect("work-pool", "create", "leaven-process", "--type", "process", "--overwrite")
    prefect("--no-prompt", "deploy", "--prefect-file", str(DEPLOY / "prefect.yaml"), "-n", "churn-process")
    prefect("deployment", "run", "augment/churn-process", "--param", f'store="{tmp_path / "store"}"')
    said = prefect("worker", "start", "--pool", "leaven-process", "--limit", "1", "--run-once")
    assert "Traceback" not in said
    assert Store(tmp_path / "store").latest("table"), said
