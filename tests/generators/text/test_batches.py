"""What a sentence becomes does not hang on what is translated beside it."""

from leaven.generators.text.translation.translators import pair

SENTENCES = [
    f"{who} {does} {what}."
    for who in ("The old man", "My card", "A small dog")
    for does in ("sees", "pays for", "has lost")
    for what in ("a red car", "the new house", "my book", "two eggs")
]


def test_alone_in_halves_and_all_at_once() -> None:
    there, _ = pair("embedded", "en", "fr")
    together = there.translate(SENTENCES, 4)
    assert [there.translate([sentence], 4)[0] for sentence in SENTENCES] == together
    assert list(there.translate(SENTENCES[::2], 4)) == together[::2]
