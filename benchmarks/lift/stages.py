"""The pipeline's stages for a benchmark: as plain calls, without what no choice depends on, and by which code."""

import contextlib
import functools
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from leaven.flows.trials import Trials
from leaven.flows.workers import Workers
from leaven.pipelines import kinds, stage
from leaven.pipelines.choose import Choice, Tried, choose
from leaven.pipelines.ingest import ingest
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.run import Run
from leaven.pipelines.split import split


@contextlib.contextmanager
def stages_alone() -> Iterator[None]:
    """While it lasts, stages are plain calls without Prefect, and quality is privacy alone."""
    from leaven.flows.tasks import Stage

    def call(self: Any, *args: Any, **options: Any) -> Any:
        return self.function(*args, **options)

    quicker_forests()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_replaced(Stage, "__call__", call))
        for kind in ("table", "text"):
            for quality in ("fidelity", "diversity"):
                stack.enter_context(_replaced_in_kind(quality, {}, kind))
        yield


def quicker_forests() -> None:
    """Spare scikit-learn's forests what they check anew for each tree: the same trees, a third sooner for 100 rows."""
    import sklearn.base
    import sklearn.tree._classes

    names = sklearn.base.BaseEstimator.__dict__["_get_param_names"].__func__
    if not hasattr(names, "cache_info"):
        sklearn.base.BaseEstimator._get_param_names = classmethod(functools.cache(names))  # type: ignore[assignment]
    sklearn.tree._classes.check_classification_targets = lambda y: None  # the forest has checked it


def without_classics() -> contextlib.AbstractContextManager[None]:
    """While it lasts, folds have no classic arms: the choice only names the best of them for a report."""
    return _replaced_in_kind("classic_arms", [])


def _replaced_in_kind(name: str, result: Any, kind: str = "table") -> contextlib.AbstractContextManager[None]:
    return _replaced(kinds.get(kind), name, lambda *args, **options: result)


def chosen(recipe: Recipe, folder: Path) -> tuple[Trials, Choice]:
    """What the recipe chooses on its rows, as the pipeline does it; its paths count from `folder`."""
    source = ingest(recipe, folder, folder / "work")
    run = Run.start(recipe, folder / "work", source, time.time())
    parts = split(recipe, source, run.work)
    rows = parts.result["rows"]["train"]
    tried = [Tried(candidate) for candidate in run.candidates(rows)]
    trials = Trials(run, Workers(1, threads=1), parts, tried)
    trials.in_folds()
    return trials, choose(run, trials.baselines, trials.tried, rows)


def record(trials: Trials, choice: Choice, begun: float) -> dict[str, Any]:
    """What a record of any kind of data says of a choice; `begun`: of `time.monotonic()`."""
    return {
        "commit": commit(),
        "metric": trials.run.task.metric,
        "classic": choice.classic,
        "chosen": choice.chosen.candidate.label if choice.chosen else None,
        "trials": told(choice),
        "notes": trials.notes,
        "seconds": {"all": time.monotonic() - begun, **trials.all_seconds()},
    }


def told(choice: Choice) -> list[dict[str, Any]]:
    """The trials of a choice, for a record."""
    return [
        {
            "label": f"{trial.candidate.label} {trial.plan.label}",
            "screen": trial.screen.label_agreement if trial.screen else None,
            "gain": trial.gain,
            "folds": trial.folds,
            "reason": trial.reason,
        }
        for trial in choice.trials
    ]


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Callable[..., Any]) -> Iterator[None]:
    was = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, was)


@functools.cache
def code() -> str:
    """Digest of all code that a record depends on."""
    import leaven.flows.trials

    here = Path(__file__).parent
    ours = [stage.file_digest(here / name) for name in ("cells.py", "unit.py", "stages.py")]
    return stage.digest([stage.code_digest(), stage.file_digest(Path(leaven.flows.trials.__file__)), ours])[
        :12
    ]


@functools.cache
def commit() -> str:
    """The git commit, with a plus where files differ from it; empty outside a repository."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True
        ).stdout

    changed = git("status", "--porcelain", "--untracked-files=no").strip()
    return git("rev-parse", "--short=12", "HEAD").strip() + ("+" if changed else "")
