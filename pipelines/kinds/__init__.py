"""The kinds of data. A stage asks a kind for what differs between them and never asks which kind it has."""

import importlib
from types import ModuleType

from leaven.generators.errors import InputError

_KINDS = {
    "table": "leaven.pipelines.kinds.table.kind",
    "image": "leaven.pipelines.kinds.image.kind",
    "text": "leaven.pipelines.kinds.text.kind",
}


def get(name: str) -> ModuleType:
    """The module of one kind: reader, features, learners, classic arms, screens, metrics, panels.

    Raises:
        InputError: this version does not handle the kind.
    """
    if name not in _KINDS:
        raise InputError(
            f"source.kind: '{name}' is not handled by this version; there is: {', '.join(_KINDS)}"
        )
    return importlib.import_module(_KINDS[name])
