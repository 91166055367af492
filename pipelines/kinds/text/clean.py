"""A text as it is taken: what would break a reader is mended, what cannot be used is refused with the reason."""

import re
import unicodedata

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
    plain = _CONTROL.sub(" ", _SURROGATE.sub("\ufffd", text))
    made = unicodedata.normalize("NFC", plain).strip()
    if not made:
        raise Fault("has nothing but control characters")
    return made, plain != text
