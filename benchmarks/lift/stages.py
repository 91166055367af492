"""The pipeline's stages for a benchmark: as plain calls, without what no choice depends on, and by which code."""

import contextlib
import functools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from leaven.pipelines import kinds, stage


@contextlib.contextmanager
def stages_alone() -> Iterator[None]:
    """While it lasts, stages are plain calls without Prefect, and quality is privacy alone."""
    from leaven.flows.tasks import Stage

    def call(self: Any, *args: Any, **options: Any) -> Any:
        return self.function(*args, **options)

    quicker_forests()
    with (
        _replaced(Stage, "__call__", call),
        _replaced_in_kind("fidelity", {}),
        _replaced_in_kind("diversity", {}),
    ):
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


def _replaced_in_kind(name: str, result: Any) -> contextlib.AbstractContextManager[None]:
    return _replaced(kinds.get("table"), name, lambda *args, **options: result)


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
