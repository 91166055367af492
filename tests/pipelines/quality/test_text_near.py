"""Nearly equal texts are found, and memory ends where it is told to."""

import numpy as np

from leaven.pipelines.quality.texts.near import ALIKE, NearTexts, _alike, _sketch


def alike(one: str, other: str) -> float:
    """Share of shingles, which is looked at beside those of a stranger."""
    shares = _alike(_sketch(one)[0], [_sketch(text)[0] for text in ("a stranger", other)])
    return float(shares[1])


def pairs(count: int) -> list[tuple[str, str]]:
    """Texts with another that differs from it in a word, just alike enough to be found."""
    rng, found = np.random.default_rng(3), []
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    while len(found) < count:
        words = ["".join(rng.choice(letters, 5)) for _ in range(18)]
        other = list(words)
        place = int(rng.integers(len(words)))
        other[place] = other[place][:4] + str(rng.choice(letters))
        one, two = " ".join(words), " ".join(other)
        if ALIKE <= alike(one, two) < 0.95:
            found.append((one, two))
    return found


def test_pairs_that_are_just_alike_are_found() -> None:
    planted = pairs(300)
    near = NearTexts()
    for text, _ in planted:
        near.add(text)
    assert np.mean([near.has(other) for _, other in planted]) >= 0.95
    rng = np.random.default_rng(4)
    strangers = [" ".join(rng.permutation(text.split())) for text, _ in planted]
    assert not any(near.has(text) for text in strangers)


def test_shares_of_shingles_are_exact() -> None:
    assert alike("abcdef", "abcdef") == 1.0
    # " abcdef ": 5 shingles; " abcdeg ": 5, of which "abc" with the space before, abcd and bcde are the same.
    assert alike("abcdef", "abcdeg") == 3 / 7


def test_beyond_the_most_texts_only_equal_ones_are_known() -> None:
    near = NearTexts(most=1)
    one = "Where is the nearest station to the old bridge?"
    two = "Please tell me when the next train to the sea leaves from here."
    assert near.add_new(one) and near.add_new(two)
    assert not near.add_new(one.upper().rstrip("?"))
    assert not near.add_new(two.upper())
    assert near.add_new(two.rstrip("."))
    assert len(near._shingles) == 1


def test_among_many_texts_of_one_template_the_nearest_are_found() -> None:
    """The index proposes nearly all of them; what is nearly equal to one is found all the same."""
    rng = np.random.default_rng(5)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    orders = ["".join(rng.choice(letters, 8)) for _ in range(300)]
    texts = [
        f"please send my order {order} to the house before the end of the week, thanks" for order in orders
    ]
    near = NearTexts()
    assert np.mean([near.add_new(text) for text in texts]) > 0.95
    assert np.mean([near.has(text.replace("thanks", "thank")) for text in texts]) >= 0.95
