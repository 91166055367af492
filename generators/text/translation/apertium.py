"""Apertium (Forcada et al. 2011): rules and dictionaries from Debian's packages, such as `apertium-eng-spa`.

One process translates a whole batch, a line for each sentence. It knows one translation of a sentence. About one
sentence in two hundred comes out otherwise beside other neighbours, since the tagger reads on from line to line.
"""

import functools
import hashlib
import shutil
import subprocess
from collections.abc import Sequence

from leaven.generators.errors import ModelError
from leaven.generators.text.translation.contract import Translator

_THREE = {
    "en": "eng",
    "es": "spa",
    "fr": "fra",
    "de": "deu",
    "it": "ita",
    "pt": "por",
    "ca": "cat",
    "nl": "nld",
}
_WAIT = 600.0  # seconds for a batch


class Apertium(Translator):
    """Apertium as a program of the system."""

    batch = 4_096

    def __init__(self, source: str, target: str):
        self.source, self.target = source, target
        self._mode = f"{_THREE.get(source, source)}-{_THREE.get(target, target)}"
        known = _modes()
        if self._mode not in known:
            raise ModelError(
                f"pivot: Apertium has no direction {self._mode} here; there are: {', '.join(known) or 'none'} "
                f"(Debian: apertium-{self._mode})"
            )
        self.digest = f"apertium-{_version()}-{self._mode}"

    def translate(self, sentences: Sequence[str], count: int) -> list[list[str]]:
        lines = [" ".join(sentence.split()) for sentence in sentences]
        try:
            done = subprocess.run(
                ["apertium", "-u", "-f", "line", self._mode],
                input="".join(f"{line}\n" for line in lines).encode(),
                capture_output=True,
                timeout=_WAIT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ModelError(f"apertium {self._mode}: {error}") from None
        made = done.stdout.decode("utf-8", "replace").removesuffix("\n").split("\n") if lines else []
        if done.returncode or len(made) != len(lines):
            told = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise ModelError(
                f"apertium {self._mode}: gave {len(made):,} lines for {len(lines):,} and status {done.returncode}"
                + (f" ({told[-1][:150]})" if told else "")
            )
        # This way of reading lines loses the full stop at their ends.
        return [
            [f"{text.strip()}." if line.endswith(".") and not text.rstrip().endswith(".") else text.strip()]
            if text.strip()
            else []
            for line, text in zip(lines, made, strict=True)
        ]


@functools.cache
def _modes() -> tuple[str, ...]:
    """The directions that are installed.

    Raises:
        ModelError: Apertium is not.
    """
    if shutil.which("apertium") is None:
        raise ModelError(
            "translator: Apertium is not installed (Debian: apertium and a pair such as apertium-eng-spa)"
        )
    done = subprocess.run(["apertium", "-l"], capture_output=True, text=True, timeout=60, check=False)
    return tuple(sorted(done.stdout.split()))


@functools.cache
def _version() -> str:
    """Of the program and of the pairs' data, as far as files tell."""
    from pathlib import Path

    data = sorted(Path("/usr/share/apertium").glob("*/*.bin"))
    told = [f"{file.name} {file.stat().st_size}" for file in data]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]
