"""`leaven train-translator` and the flow behind it: a translator of one's own, on demand or on a schedule."""

from pathlib import Path
from typing import Any

from prefect import flow

from leaven.flows import progress
from leaven.flows.tasks import Stage
from leaven.pipelines import translator

train_task = Stage(translator.train_translator)


@flow(name="train-translator", persist_result=False, log_prints=False)
def train_translator(
    pairs: str,
    out: str,
    source: str,
    target: str,
    reverse: bool = False,
    seconds: float = 3600.0,
    epochs: int = 20,
    seed: int = 1,
    device: str = "cpu",
    threads: int = 2,
    evaluate: str | None = None,
    credit: str = "",
) -> dict[str, Any]:
    """Train a small translator from pairs of sentences; see `pipelines.translator.train_translator`."""
    with progress.stage(f"train {source}-{target}") as tell:
        facts: dict[str, Any] = train_task(
            Path(pairs),
            Path(out),
            source=source,
            target=target,
            reverse=reverse,
            seconds=seconds,
            epochs=epochs,
            seed=seed,
            device=device,
            threads=threads,
            evaluate=Path(evaluate) if evaluate else None,
            credit=credit,
            progress=tell,
        )
    return facts
