"""Runs of words that texts share, beside a search of all of them, and in little memory."""

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest

from leaven.pipelines.quality.texts import runs
from leaven.pipelines.quality.texts.fidelity import copied_span


def by_hand(text: Sequence[str], corpus: Sequence[Sequence[str]]) -> int:
    """The longest run, by a look at every run of every length."""
    all_runs = {
        tuple(words[start:end])
        for words in corpus
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
    }
    return max(
        (end - start for start in range(len(text)) for end in range(start + 1, len(text) + 1)
         if tuple(text[start:end]) in all_runs),
        default=0,
    )  # fmt: skip


def drawn(rng: np.random.Generator, count: int, most: int, different: int) -> list[list[str]]:
    return [
        [str(word) for word in rng.integers(0, different, int(length))]
        for length in rng.integers(0, most, count)
    ]


@pytest.mark.parametrize("block", [1, 20, 10**6])
def test_runs_are_those_that_a_search_of_all_finds(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "BLOCK", block)
    rng = np.random.default_rng(1)
    for different in (1, 2, 4, 30):
        for _ in range(15):
            corpus, texts = drawn(rng, 8, 14, different), drawn(rng, 6, 14, different)
            texts += corpus[:2]
            expected = [by_hand(text, corpus) for text in texts]
            assert runs.longest_runs(texts, corpus).tolist() == expected
            shares = [size / len(text) if text else 0.0 for size, text in zip(expected, texts, strict=True)]
            assert copied_span(texts, corpus) == pytest.approx(np.mean(shares))


def test_nothing_shares_nothing() -> None:
    assert copied_span([], [["a"]]) == copied_span([["a"]], []) == copied_span([[]], [[]]) == 0.0


def test_memory_is_in_proportion_to_words() -> None:
    rng = np.random.default_rng(2)
    corpus = [[f"word{n}" for n in rng.zipf(1.3, 1_000) % 5_000] for _ in range(40)]
    tracemalloc.start()
    try:
        found = runs.longest_runs(corpus[:10], corpus)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.tolist() == [1_000] * 10
    assert peak < 50_000 * 500, "500 bytes a word; all runs of these texts were more than 10 GB"
