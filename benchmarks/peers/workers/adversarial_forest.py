"""Adversarial random forests (Watson et al. 2023; arfpy) with their defaults.

arfpy takes no missing numbers: they are filled with the median. What is missing of a category is one of its own.
"""

from typing import Any

import numpy as np
from arfpy.arf import arf
from harness import Request, run

MISSING = "(missing)"


def fit(request: Request) -> tuple[Any, dict[str, Any]]:
    np.random.seed(request.seed)
    frame = request.frame(missing=MISSING)
    numbers = request.of("number", "integer")
    filled = [name for name in numbers if frame[name].isna().any()]
    frame = frame.fillna({name: frame[name].median() for name in filled})
    for name in numbers:
        frame[name] = frame[name].astype("float64")
    settings = {"random_state": request.seed, "n_jobs": request.threads, "verbose": False}
    model = arf(x=frame, **settings | request.parameters)
    model.forde()
    return model, {
        "notes": [f"missing numbers filled with the median: {', '.join(filled)}"] if filled else []
    }


def sample(model: Any, count: int, seed: int, request: Request) -> Any:
    np.random.seed(seed)
    frame = model.forge(n=count)
    for name in request.of("category", "boolean"):
        frame[name] = frame[name].astype(object).replace(MISSING, None)
    return frame


if __name__ == "__main__":
    run(fit, sample)
