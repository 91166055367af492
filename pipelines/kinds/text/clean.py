"""A text as it is taken: what would break a reader is mended, what cannot be used is refused with the reason."""

import re
import unicodedata

from leaven.generators.text.plain import plain

MOST = 20_000  # characters of a text
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Fault(ValueError):
    """A text that cannot be used; says why."""


def clean(text: str | None) -> tuple[str, bool]:
    """The text in Unicode's composed form (NFC), and whether control characters were taken out.

    Emoji, letters of any script and the marks that order them from right to left stay as they are.

    Raises:
        Fault: empty, or too long.
    """
    if text is None or not text.strip():
        raise Fault("is empty")
    if len(text) > MOST:
        raise Fault(f"has {len(text):,} characters; expected at most {MOST:,}")
    made = composed(text)
    if not made:
        raise Fault("has nothing but control characters")
    if not plain(made):  # characters without width alone
        raise Fault("is empty")
    return made, bool(_CONTROL.search(text) or _SURROGATE.search(text))


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC), without control characters and space around it; perhaps nothing."""
    return unicodedata.normalize("NFC", _CONTROL.sub(" ", _SURROGATE.sub("\ufffd", text))).strip()


def clean_label(label: str | None) -> str:
    """A label in the form of texts; nothing where it is missing or cannot be seen."""
    made = composed(label or "")
    return made if plain(made) else ""
