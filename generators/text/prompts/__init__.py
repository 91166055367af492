"""Prompts as files, `name.vN.txt`: a changed prompt is a new version, so that what was asked before stays known."""

import string
from importlib import resources

from leaven.generators.errors import ModelError


def prompt(name: str, version: int, **fields: str) -> str:
    """A prompt with its fields filled in.

    Raises:
        ModelError: there is no such prompt.
    """
    file = resources.files(__package__) / f"{name}.v{version}.txt"
    if not file.is_file():
        raise ModelError(f"prompt: there is no {name}.v{version}.txt")
    return string.Template(file.read_text(encoding="utf-8")).substitute(fields).strip()
