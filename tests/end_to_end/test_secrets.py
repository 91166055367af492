"""No secret is left anywhere: neither in the store nor in Prefect's database, in logs, or on the terminal."""

import base64
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import leaven
from leaven.pipelines.store import Store

from ..generators.text.fake_endpoint import KEY, Fake, serving

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

AUTH = "night:planted-auth-string-of-the-test"
RECIPE = """
name: secretive
source: {{kind: text, path: messages.csv}}
task: {{target: label}}
split: {{validation_path: held_out.csv, test: 0.4}}
candidates:
  - generator: language_model
    endpoint: {{url: "{url}", model: tiny}}
    texts: 10
amount: {{ratio: 0.5, shares: [natural]}}
screen: {{label_agreement: false, language: false, meaning: false, entities: false, length: false}}
utility: {{repeats: 1, draws: 100, folds: 2, learners: [tfidf]}}
device: cpu
"""


def test_a_planted_key_is_found_nowhere(tmp_path: Path) -> None:
    data = Path(leaven.__file__).parent / "data"
    lines = (data / "messages_test.csv").read_text().splitlines(keepends=True)
    (tmp_path / "messages.csv").write_text((data / "messages.csv").read_text())
    (tmp_path / "held_out.csv").write_text("".join(lines[:31]))
    for place in ("tmp", "prefect", "cache"):
        (tmp_path / place).mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= {
        "LEAVEN_API_KEY": KEY,
        "LEAVEN_CACHE": str(tmp_path / "cache"),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_API_AUTH_STRING": AUTH,  # of the server that the run starts
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "TMPDIR": str(tmp_path / "tmp"),
    }
    fake = Fake()
    with serving(fake) as url:
        (tmp_path / "recipe.yaml").write_text(RECIPE.format(url=url))
        command = [sys.executable, "-m", "leaven.flows.cli", "run", "recipe.yaml", "--store", "store"]
        said = subprocess.run(
            [*command, "--verbose"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
    assert said.returncode in (0, 3), said.stderr
    assert fake.requests, "the key was never used"  # the fake answers 401 without it
    (tmp_path / "terminal").write_text(said.stdout + said.stderr)

    version = Store(tmp_path / "store").find("secretive", released_only=False)
    assert version.report["rows"]["synthetic"] > 0
    with sqlite3.connect(tmp_path / "prefect" / "prefect.db") as database:
        assert database.execute("select count(*) from flow_run where parameters like '%tiny%'").fetchone()[0]
        assert database.execute("select count(*) from log").fetchone()[0]

    secrets = [KEY, AUTH, AUTH.partition(":")[2]]
    words = [word.encode() for word in secrets]
    words += [base64.b64encode(word).rstrip(b"=") for word in list(words)]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 30
    for path in files:
        content = path.read_bytes()
        if path.suffix == ".parquet":  # packed
            content += repr(pq.read_table(path).to_pylist()).encode()
        for word in words:
            assert word not in content, f"{word!r} stands in {path.relative_to(tmp_path)}"
