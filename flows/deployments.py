"""What `leaven serve` serves of a recipe: the deployments `augment/<name>`, `sample/<name>` and `approve/<name>`."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.flows import starting

if TYPE_CHECKING:
    from leaven.pipelines.recipe import Recipe, Schedule

AUGMENT = "leaven.flows.served.augment"
SAMPLE = "leaven.flows.served_sample.sample"
APPROVE = "leaven.flows.served_approve.approve"
SAMPLES_AT_ONCE = 2  # of one name; more wait


def augment(recipe: "Recipe", folder: Path, store: str | None, entrypoint: str = AUGMENT) -> Any:
    """The whole way, by schedule and on demand; a run that is due while another goes on is cancelled."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy

    alone = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    return _deployment(
        entrypoint,
        recipe.name,
        schedule=_schedule(recipe.schedule) if recipe.schedule else None,
        parameters={
            "recipe": recipe.model_dump(mode="json", exclude_unset=True, exclude={"schedule"}),
            "folder": str(folder),
            "store": _whole(store),
        },
        description=f"{recipe.source.path} in {folder}, run by `leaven serve`",
        concurrency_limit=alone,
    )


def sample(recipe: "Recipe", folder: Path, store: str | None) -> Any:
    """Rows on demand from the newest released generator of the recipe's name."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy

    queue = ConcurrencyLimitConfig(limit=SAMPLES_AT_ONCE, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)
    return _deployment(
        SAMPLE,
        recipe.name,
        parameters={"name": recipe.name, "store": _whole(store) or starting.store_place(recipe, folder)},
        description=f"Rows of {recipe.name} from its released generator, made by `leaven serve`",
        concurrency_limit=queue,
    )


def approve(recipe: "Recipe") -> Any:
    """Asks a person whether a version is to be released; runs of `augment` ask for it."""
    return _deployment(
        APPROVE, recipe.name, description=f"Waits for a person's decision on versions of {recipe.name}"
    )


def when(schedule: "Schedule | None") -> str:
    """In words, when a recipe is run."""
    from leaven.pipelines.report.words import duration

    if schedule is None:
        return "on demand only (the recipe has no schedule)"
    if schedule.cron is not None:
        return f"cron {schedule.cron} ({schedule.timezone}), and on demand"
    return f"every {duration(schedule.interval)}, and on demand"


def _deployment(entrypoint: str, name: str, **options: Any) -> Any:
    import importlib

    from prefect.flows import EntrypointType

    module, _, attribute = entrypoint.rpartition(".")
    flow = getattr(importlib.import_module(module), attribute)
    deployment = flow.to_deployment(
        name, tags=["leaven"], entrypoint_type=EntrypointType.MODULE_PATH, **options
    )
    deployment.entrypoint = entrypoint
    return deployment


def _whole(store: str | None) -> str | None:
    """The store's folder as an absolute path: runs count paths from the recipe's folder."""
    return store if store is None or "://" in store else str(Path(store).expanduser().resolve())


def _schedule(schedule: "Schedule") -> Any:
    from prefect.schedules import Cron, Interval

    if schedule.cron is not None:
        return Cron(schedule.cron, timezone=schedule.timezone)
    assert schedule.interval is not None
    return Interval(datetime.timedelta(seconds=schedule.interval), timezone=schedule.timezone)
