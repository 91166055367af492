"""Runs in the child process of one fit, with the Python of the generator's own environment: no leaven in here.

A worker script calls `run(fit, sample)`. The child reads `request.json` from the folder named on the command line
and writes `outcome.json` (its phase first, so that a child which was ended tells where) and `synthetic.parquet`.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd


class Request:
    """What is asked: attributes `generator`, `seed`, `threads`, `limit` (seconds), `count`, `rate_rows`, `train`
    (Parquet file), `target`, `columns` (name and type of each), `parameters` and `schema`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.__dict__.update(json.loads((folder / "request.json").read_text()))

    def __getattr__(self, name: str) -> Any:  # for type checkers: the attributes come from the file
        raise AttributeError(name)

    def of(self, *types: str) -> list[str]:
        """Names of the columns of the given types."""
        return [column["name"] for column in self.columns if column["type"] in types]

    def frame(self, missing: str | None = None) -> pd.DataFrame:
        """The train rows as most libraries want them: categories and booleans as text, integers as int64 where
        none is missing, else float64. `missing`: a category of its own for what is missing there."""
        frame = pd.read_parquet(self.train)
        for name in self.of("category", "boolean"):
            text = frame[name].astype(object).map(lambda v: missing if pd.isna(v) else str(v))
            frame[name] = text.astype(object)
        for name in self.of("integer"):
            frame[name] = frame[name].astype("float64" if frame[name].isna().any() else "int64")
        return frame


def run(fit: Callable[[Request], tuple[Any, dict[str, Any]]], sample: Callable[..., Any]) -> None:
    """Fit, sample, write. `fit` gives the model and notes; `sample(model, count, seed, request)` a data frame.

    The system ends this process when fitting, or sampling, takes longer than `limit` and `grace`.
    """
    request = Request(Path(sys.argv[1]))
    outcome: dict[str, Any] = {"phase": "fit"}

    def tell(**more: Any) -> None:
        outcome.update(more)
        (request.folder / "outcome.json").write_text(json.dumps(outcome))

    tell()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    begun, cpu = time.monotonic(), cpu_seconds()
    signal.setitimer(signal.ITIMER_REAL, request.limit + request.grace)
    model, notes = fit(request)
    signal.setitimer(signal.ITIMER_REAL, 0)
    tell(fit_seconds=time.monotonic() - begun, fit_cpu_seconds=cpu_seconds() - cpu, phase="sample", **notes)

    begun = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, request.limit)
    frame = sample(model, request.count, request.seed + 1, request)
    signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.monotonic() - begun
    frame.to_parquet(request.folder / "synthetic.parquet", index=False)
    tell(sample_seconds=seconds, rows_per_second=len(frame) / seconds)
    if request.rate_rows:
        begun = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, request.limit)
        sample(model, request.rate_rows, request.seed + 2, request)
        tell(rows_per_second=request.rate_rows / (time.monotonic() - begun))
    signal.setitimer(signal.ITIMER_REAL, 0)
    tell(phase="done")


def cpu_seconds() -> float:
    """Of this process and its ended children."""
    return sum(os.times()[:4])
