"""What a sentence becomes does not hang on what is translated beside it."""

from leaven.generators.text.translation.translators import pair

SENTENCES = [
    f"{who} {does} {what}."
    for who in ("The old man", "My card", "A small dog")
    for does in ("sees", "pays for", "has lost")
    for what in ("a red car", "the new house", "my book", "two eggs")
]
CLOSE = (  # some of their ways are as likely as others but for the last digits
    "I cannot activate my card.",
    "How do I troubleshoot my contactless?",
    "Why is my card payment still pending?",
    "What ID do I need to verify my identity?",
    "Will your machine charge me extra to do this?",
    "Why am I being charge a fee when using an ATM?",
    "My card still hasn't arrived after two weeks, now what?",
    "When can I expect the transfer to arrive in my account?",
    "I'd like to make some changes to my personal information.",
    "Please tell me how to get a refund for something I bought.",
)


def test_alone_in_halves_and_all_at_once() -> None:
    there, back = pair("embedded", "en", "fr")
    asked = [*SENTENCES, *CLOSE]
    together = there.translate(asked, 4)
    assert [there.translate([sentence], 4)[0] for sentence in asked] == together
    assert list(there.translate(asked[::2], 4)) == together[::2]
    pivots = [pivot for found in together[-len(CLOSE) :] for pivot in found]
    assert [back.translate([pivot], 4)[0] for pivot in pivots] == back.translate(pivots, 4)
