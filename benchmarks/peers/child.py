"""One fit in a child process of its own: its time limit, its peak memory, its rows in the house's types."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from leaven.generators.rows import to_arrow, to_frame
from leaven.generators.schema import Schema
from peers.tables import Table

WORKERS = Path(__file__).parent / "workers"
POLL = 0.2  # seconds between looks at the memory


@dataclass
class Outcome:
    """What became of a fit: `status` is `done`, `over the limit` (and in which phase) or the error's last line."""

    status: str
    numbers: dict[str, Any] = field(default_factory=dict)
    synthetic: pd.DataFrame | None = None


@dataclass(frozen=True)
class Asked:
    """Which generator, how: `python` and `worker` (a script in workers/) say where it runs."""

    generator: str
    seed: int
    limit: float
    threads: int
    python: Path = Path(sys.executable)
    worker: str = "catalog"
    parameters: dict[str, Any] = field(default_factory=dict)
    grace: float = 0.0  # seconds beyond the limit, for generators that are told it and end by themselves
    rate_rows: int = 0  # sample so many rows once more, for the rate; 0: the rate of the first time


def fitted(table: Table, asked: Asked, count: int) -> Outcome:
    """Fit and sample `count` rows in a child process; nothing of it is left behind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request = {
            "generator": asked.generator,
            "seed": asked.seed,
            "limit": asked.limit,
            "grace": asked.grace,
            "threads": asked.threads,
            "count": count,
            "rate_rows": asked.rate_rows,
            "train": str(table.train.resolve()),
            "target": table.task.target,
            "task": table.task.type,
            "columns": [{"name": c.name, "type": c.type} for c in table.schema],
            "schema": table.schema.model_dump(mode="json"),
            "parameters": asked.parameters,
        }
        (folder / "request.json").write_text(json.dumps(request))
        code, peak, error = _run(asked, folder)
        told = folder / "outcome.json"
        numbers = json.loads(told.read_text()) if told.exists() else {}
        numbers["peak_memory_bytes"] = peak
        phase = numbers.pop("phase", "start")
        rows = folder / "synthetic.parquet"
        if rows.exists() and (code == 0 or phase == "sample"):  # the second sampling may have been cut off
            return Outcome("done", numbers, house_types(pd.read_parquet(rows), table.schema))
        if code == -signal.SIGALRM:
            return Outcome(f"over the limit ({phase})", numbers)
        return Outcome(f"failed ({phase}): {error or f'exit status {code}'}", numbers)


def _run(asked: Asked, folder: Path) -> tuple[int, int, str]:
    """Exit status, peak memory in bytes (the process and its children together), last line of the errors."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if asked.worker == "catalog" and "PYTHONPATH" in os.environ:
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
        env[f"{name}_NUM_THREADS"] = str(asked.threads)
    env |= {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "TMPDIR": str(folder)}
    command = [str(asked.python), str(WORKERS / f"{asked.worker}.py"), str(folder)]
    with (folder / "errors").open("wb") as errors:
        child = subprocess.Popen(
            command, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
        )
        try:
            peak = _watched(child)
        finally:
            _end(child)
    lines = (folder / "errors").read_text(errors="replace").strip().splitlines()
    return child.returncode, peak, lines[-1][:300] if lines else ""


def _watched(child: "subprocess.Popen[bytes]") -> int:
    peak, process = 0, psutil.Process(child.pid)
    while child.poll() is None:
        with contextlib.suppress(psutil.Error):
            family = [process, *process.children(recursive=True)]
            peak = max(peak, sum(one.memory_info().rss for one in family))
        time.sleep(POLL)
    return peak


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End the child's whole session: its own helpers outlive a child that was ended by the clock."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def house_types(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """A library's rows with the house's columns and types: whole numbers rounded, text as it is.

    What can't be read as the column's type is missing.
    """
    made: dict[str, Any] = {}
    for column in schema:
        values = frame[column.name]
        if column.type in ("number", "integer"):
            values = pd.to_numeric(values, errors="coerce").astype("float64")
            made[column.name] = values.round().astype("Int64") if column.type == "integer" else values
        elif column.type == "boolean":
            text = values.astype(str).str.lower()
            known = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
            made[column.name] = text.map(known).astype("boolean")
        elif column.type == "date":
            made[column.name] = pd.to_datetime(values, errors="coerce")
        else:
            values = values.astype(object)
            made[column.name] = values.map(lambda v: None if pd.isna(v) else str(v)).astype(object)
    return to_frame(to_arrow(pd.DataFrame(made), schema), schema)
