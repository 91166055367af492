"""Words of texts as numbers, also where texts have none."""

from collections.abc import Iterable
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer


class Words(TfidfVectorizer):
    """TF-IDF of words; of single characters where no text to learn from has a word, such as texts of emoji alone."""

    def fit_transform(self, raw_documents: Iterable[str], y: Any = None) -> Any:
        """Learn the words and weights; the texts as a matrix (texts, words)."""
        texts = list(raw_documents)
        try:
            return super().fit_transform(texts, y)
        except ValueError as error:
            if "empty vocabulary" not in str(error):
                raise
        self.set_params(analyzer=_characters, token_pattern=None, ngram_range=(1, 1))
        return super().fit_transform(texts, y)


def _characters(text: str) -> list[str]:
    """The characters; that there is none, where there is none."""
    return list(text) or [""]
