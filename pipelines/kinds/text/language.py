"""Which language texts are written in, by langid (Lui and Baldwin 2012)."""

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

SURE = 0.9  # probability under which nothing is said
LEAST = 20  # characters under which nothing is said


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language(text: str, least: float = SURE) -> str | None:
    """Two letters, or None where the text is too short or mixed to say with a probability of `least`."""
    if len(text) < LEAST:
        return None
    code, sure = _identifier().classify(text)
    return str(code) if sure >= least else None


def languages(texts: Sequence[str]) -> list[tuple[str, float]]:
    """Languages of texts with their shares, the commonest first; texts that say nothing are not counted."""
    counts = Counter(code for code in map(language, texts) if code is not None)
    return [(code, count / counts.total()) for code, count in counts.most_common()]
