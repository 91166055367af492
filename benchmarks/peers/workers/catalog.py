"""A generator of Leaven's own catalog."""

from pathlib import Path
from typing import Any

from harness import Request, run


def fit(request: Request) -> tuple[Any, dict[str, Any]]:
    from leaven.generators import catalog
    from leaven.generators.contract import Budget
    from leaven.generators.rows import Rows
    from leaven.generators.schema import Schema

    rows = Rows(Path(request.train), Schema.model_validate(request.schema))
    generator = catalog.get(request.generator, "table")(request.parameters)
    told = generator.fit(rows, seed=request.seed, budget=Budget(request.limit), threads=request.threads)
    looks = [look["held_out"] for look in told.losses if "held_out" in look]
    told_of = {"stopped_by": told.stopped_by, "steps": told.steps, "notes": told.notes}
    return generator, told_of | ({"held_out": min(looks)} if looks else {})


def sample(generator: Any, count: int, seed: int, request: Request) -> Any:
    return generator.sample(count, seed=seed)


if __name__ == "__main__":
    # Before the clock runs: libraries are loaded once, whatever is fitted.
    import torch  # noqa: F401

    from leaven.generators import catalog

    catalog.names()
    run(fit, sample)
