"""Small edits of words."""

import pytest

from leaven.generators.text.edits import Method, edited


@pytest.mark.parametrize("method", ["eda", "aeda"])
@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_a_text_without_words_stays_as_it_is(text: str, method: Method) -> None:
    assert [edited(text, seed, method) for seed in range(20)] == [text] * 20


@pytest.mark.parametrize("method", ["eda", "aeda"])
def test_a_text_with_words_is_never_empty(method: Method) -> None:
    assert all(edited(text, seed, method) for text in ("a", "a b") for seed in range(50))
