"""MOSTLY AI's engine (TabularARGN) with its defaults; the time limit is its own `max_training_time`."""

import time
from typing import Any

import torch
from harness import Request, run
from mostlyai.engine import TabularARGN, set_random_state


def fit(request: Request) -> tuple[Any, dict[str, Any]]:
    torch.set_num_threads(request.threads)
    begun = time.monotonic()
    settings = {"max_training_time": request.limit / 60, "random_state": request.seed}
    model = TabularARGN(**settings | request.parameters).fit(request.frame())
    return model, {"stopped_by": "budget" if time.monotonic() - begun >= request.limit else "done"}


def sample(model: Any, count: int, seed: int, request: Request) -> Any:
    set_random_state(seed)
    return model.sample(n_samples=count)


if __name__ == "__main__":
    run(fit, sample)
