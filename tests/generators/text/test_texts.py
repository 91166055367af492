"""Texts through a translator that the test makes: nothing is cut short or asked twice, a bad sentence fails alone."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from leaven.generators.text.calls import Calls
from leaven.generators.text.translation.contract import Translator
from leaven.generators.text.translation.texts import LONGEST, Report, faulty, repeats, split, translate


class Reversing(Translator):
    """Says each word backwards, but for placeholders; fails in the ways that models fail."""

    source, target, digest = "en", "xx", "reversing"
    learned_marks = True

    def __init__(self) -> None:
        self.asked: list[str] = []

    def translate(self, sentences: Sequence[str], count: int) -> list[list[str]]:
        self.asked += sentences
        return [self._said(sentence)[:count] for sentence in sentences]

    def _said(self, sentence: str) -> list[str]:
        if "endless" in sentence:
            return ["na " * 50]
        if "silent" in sentence:
            return []
        if "forgetful" in sentence:
            return ["was war das noch"]
        words = [word if word.startswith("<x") else word[::-1] for word in sentence.split()]
        return [" ".join(words), " ".join([*words, "!"])]


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    return Calls(tmp_path / "calls.sqlite")


def test_alternatives_come_back_with_what_was_masked(calls: Calls) -> None:
    found = translate(Reversing(), ["we owe 5.50 to Tom Smith today"], 2, calls)
    assert found["we owe 5.50 to Tom Smith today"] == [
        "ew ewo 5.50 ot Tom Smith yadot",
        "ew ewo 5.50 ot Tom Smith yadot !",
    ]


def test_a_bad_sentence_fails_alone_and_is_counted(calls: Calls) -> None:
    report = Report()
    sentences = ["endless sentence here", "silent one here", "forgetful of 7 things", "a good one"]
    found = translate(Reversing(), sentences, 1, calls, report)
    assert [bool(found[sentence]) for sentence in sentences] == [False, False, False, True]
    assert set(report.faults) == {"length", "lost a name or number"}


def test_nothing_is_asked_twice(calls: Calls) -> None:
    first, second, report = Reversing(), Reversing(), Report()
    one = translate(first, ["same words", "same words", "other words"], 2, calls)
    two = translate(second, ["other words", "same words"], 2, calls, report)
    assert sorted(first.asked) == ["other words", "same words"]
    assert second.asked == []
    assert report.kept == 2
    assert two == {key: one[key] for key in two}


def test_sentences_that_differ_in_names_alone_are_one_call(calls: Calls) -> None:
    translator = Reversing()
    found = translate(translator, ["we know Tom well", "we know Mary well"], 1, calls)
    assert translator.asked == ["we know <x1> well"]
    assert found["we know Mary well"] == ["ew wonk Mary llew"]


def test_a_long_text_is_split_and_nothing_lost() -> None:
    text = (
        "One sentence. Another, rather long one, "
        + "with many words, " * 60
        + "and an end. Mr. Smith left!\nA line"
    )
    sentences = split(text, "en")
    assert max(map(len, sentences)) <= LONGEST
    assert " ".join(sentences).split() == text.split()
    assert "Mr. Smith left!" in sentences


def test_a_long_text_is_not_cut_within_an_address_a_time_or_a_number() -> None:
    text = "word " * 55 + "at https://shop.example.com/orders/1 at 12:30 for 1,000,000 dollars, please"
    assert " ".join(split(text, "en")) == text
    text = "word " * 50 + "at https://shop.example.com/orders/12345 " + "and " * 40
    assert any("https://shop.example.com/orders/12345" in part.split() for part in split(text, "en"))


def test_shouted_texts_are_given_in_small_letters(calls: Calls) -> None:
    translator = Reversing()
    translate(translator, ["I WANT MY MONEY BACK"], 1, calls)
    assert translator.asked == ["I want my money back"]


def test_a_word_without_spaces_is_split_too() -> None:
    pieces = split("x" * 1_000, "en")
    assert "".join(pieces) == "x" * 1_000


@pytest.mark.parametrize(
    "text, most",
    [("a b c", 1), ("no no no no", 4), ("go on go on go on", 3), ("", 1), ("very very good", 2)],
)
def test_repetition_is_counted(text: str, most: int) -> None:
    assert repeats(text) == most


@pytest.mark.parametrize(
    "sentence, said, fault",
    [
        ("How are you today?", "Comment vas-tu ?", ""),
        ("How are you today?", "", "empty"),
        ("How are you today?", "bla " * 40, "length"),
        ("That is a very, very long way to go from here", "loin loin loin loin loin loin loin", "repetition"),
    ],
)
def test_what_is_no_translation(sentence: str, said: str, fault: str) -> None:
    assert faulty(sentence, said) == fault


@pytest.mark.parametrize(
    "sentence, said, fault",
    [
        ("我昨天在银行开了一个新账户,但是他们没有给我寄来银行卡,我应该怎么办才好呢?",
         "Yesterday I opened a new account at the bank, but they did not send me a bank card. What should I do?",
         ""),
        ("Yes.", "是的" * 50, "length"),
        ("She said that it was all right and that we could go on as we had planned it.", "是的" * 12, "repetition"),
    ],
)  # fmt: skip
def test_signs_count_as_words(sentence: str, said: str, fault: str) -> None:
    assert faulty(sentence, said) == fault


def test_repeated_signs_are_counted() -> None:
    assert repeats("是的" * 50) == 50


def test_what_has_no_letter_is_not_translated(calls: Calls) -> None:
    translator = Reversing()
    found = translate(translator, ["😀", ":)", "...", "12:30", "we know 😀"], 2, calls)
    assert translator.asked == ["we know"]
    assert found["😀"] == ["😀"] and found[":)"] == [":)"] and found["..."] == ["..."]
    assert found["we know 😀"] == ["ew wonk 😀", "ew wonk ! 😀"]
