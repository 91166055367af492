"""Leaven: synthetic training data that is released only when a classifier gets better for it.

`load` and `mix` read a released version, `sample` makes more rows from its generator, `run` makes a new version
from a `Recipe`. Importing this module is quick: what a call needs is imported by the call.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Recipe", "__version__", "load", "mix", "run", "sample"]

if TYPE_CHECKING:
    from leaven.face import run, sample
    from leaven.pipelines.load import load
    from leaven.pipelines.mix import mix
    from leaven.pipelines.recipe import Recipe

_HOMES = {
    "load": "leaven.pipelines.load",
    "mix": "leaven.pipelines.mix",
    "sample": "leaven.face",
    "run": "leaven.face",
    "Recipe": "leaven.pipelines.recipe",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'leaven' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
