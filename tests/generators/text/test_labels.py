"""What labels say in words."""

import numpy as np
import pytest

from leaven.generators.text.labels import apart, longer, may_be_short, spoken, written


@pytest.mark.parametrize(
    "label, words",
    [
        ("card_arrival", "card arrival"),
        ("Refund_not_showing_up", "refund not showing up"),
        ("reverted_card_payment?", "reverted card payment"),
        ("topUpFailed", "top up failed"),
        ("HTTPError", "http error"),
        ("neg", "negative"),
        ("LOC", "location"),
        ("sci.space", "science space"),
        ("7", ""),
        ("x", ""),
        ("", ""),
        ("---", ""),
        ("größe", "größe"),
    ],
)
def test_a_label_in_words(label: str, words: str) -> None:
    assert spoken(label) == words


def test_words_that_several_labels_share_say_nothing_of_one() -> None:
    assert apart([spoken(label) for label in ("rating_1", "rating_5", "no_rating")]) == ["", "", "no rating"]


@pytest.mark.parametrize(
    "label, asked",
    [
        ("card_arrival", "card arrival"),
        ("topUp", "top up"),
        ("LABEL_0", "LABEL_0"),
        ("C++", "C++"),
        ("7", "7"),
        ("no!", "no!"),
    ],
)
def test_what_a_model_is_asked_with_leaves_nothing_out(label: str, asked: str) -> None:
    assert written(label) == asked


@pytest.mark.parametrize(
    "label, short", [("HUM", True), ("ham", True), ("weather", False), ("a_b", False), ("12", False)]
)
def test_what_may_be_an_abbreviation(label: str, short: bool) -> None:
    assert may_be_short(label) is short


def test_an_abbreviation_stands_for_a_word_that_lies_where_its_texts_lie() -> None:
    words = ("human", "humor", "humble", "other")
    assert longer("HUM", words, np.array([0.5, 0.1, 0.2, 0.9])) == "human"
    assert longer("hum", words, np.array([0.1, 0.5, 0.2, 0.9])) == "humor"
    assert longer("qqq", words, np.zeros(4)) == ""


def test_of_equally_near_words_the_commoner_one_is_meant() -> None:
    words = tuple(f"{'hum' if n in (5, 9_000) else 'x'}{n}" for n in range(9_500))
    assert longer("hum", words, np.zeros(9_500)) == "hum5"
