"""What stays as it is comes back as it was; a translation that lost it is none."""

import time

import pytest

from leaven.generators.text.translation.masks import MOST, mask, trimmed, unmask

TEXTS = [
    "I paid £5.50 for 2 tickets to New York at 3:30 on www.x.com/a?b=1.",
    "My top-up of $10 isn't there, Tom. Call me@x.org or +44 20 7946-0958!",
    "use `pip install` with {name} and </b>",
    "a literal <x1> stays",
    "nothing to keep here",
    "10 10 10 twenty 10",
    "日本語 と 3 つ",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_masked_comes_back(text: str) -> None:
    masked = mask(text)
    assert unmask(masked.text, masked.kept) == text


@pytest.mark.parametrize(
    "text, kept",
    [
        ("Call Tom Smith now", ("Tom Smith",)),
        ("Tom came. Mary left.", ()),  # at a sentence's beginning a capital says nothing
        ("see https://a.b/c?d=e, please", ("https://a.b/c?d=e",)),
        ("pay 5 % or $1,000.50", ("5 %", "$1,000.50")),
        ("the 2nd GPT4 run", ("2nd", "GPT4")),
        ("I WANT MY MONEY BACK NOW", ()),  # nor where somebody shouts, nor in a headline
        ("Stocks Rally After Fed Decision", ()),
        ("Visit New York", ("New York",)),
        ("ring 020 7946 0958 today", ("020 7946 0958",)),
    ],
)
def test_what_is_masked(text: str, kept: tuple[str, ...]) -> None:
    assert mask(text).kept == kept


def test_capitals_of_german_are_no_names() -> None:
    assert mask("Ich suche eine Wohnung in Bonn", capitals=False).kept == ()


def test_unknown_words_are_masked_and_known_parts_are_not() -> None:
    masked = mask("My contactless top-up isn't here", {"my", "top", "up", "is", "here", "isn't"})
    assert masked.kept == ("contactless",)


def test_no_more_than_the_placeholders_that_there_are() -> None:
    masked = mask(" and ".join(f"{number}" for number in range(20)))
    assert len(masked.kept) == MOST
    assert unmask(masked.text, masked.kept) == " and ".join(f"{number}" for number in range(20))


@pytest.mark.parametrize("said", ["", "<x1>", "<x2> und <x3>", "<x1> <x2> <x3>"])
def test_what_lost_or_found_a_placeholder_is_no_translation(said: str) -> None:
    assert unmask(said, ("5", "6")) is None


def test_a_placeholder_may_move_and_repeat() -> None:
    assert unmask("<x2> vor <x1>, <x2>", ("5", "6")) == "6 vor 5, 6"


@pytest.mark.parametrize(
    "text, parts",
    [
        ("I lost my card. 😀", ("", "I lost my card.", " 😀")),
        ("👍🏽 ok ❤️ :)", ("👍🏽 ", "ok", " ❤️ :)")),
        ("thanks:)", ("", "thanks", ":)")),
        ("😀", ("😀", "", "")),
        ("see (a:b), ok?", ("", "see (a:b), ok?", "")),
        ("", ("", "", "")),
    ],
)
def test_smileys_around_a_sentence_are_cut_off(text: str, parts: tuple[str, str, str]) -> None:
    assert trimmed(text) == parts


def test_smileys_within_a_sentence_are_masked() -> None:
    assert mask("well 😀 I know :( it").kept == ("😀", ":(")


@pytest.mark.parametrize(
    "text", ["a 1 b 2 c 3 d 4 e 5 f 6 g <x1> h", "".join(f"<x{n}> and " for n in range(10))]
)
def test_what_looks_like_a_placeholder_is_not_taken_for_one(text: str) -> None:
    masked = mask(text)
    assert (unmask(masked.text, masked.kept) if masked.kept else masked.text) == text


@pytest.mark.parametrize("piece", ["x", "1", "a_", "a@", "1 ", "a.", "😀", ":)", "a b "])
def test_long_texts_take_no_long_time(piece: str) -> None:
    started = time.monotonic()
    mask(piece * 20_000 + "a")
    assert time.monotonic() - started < 2.0
