"""Words of classes: what labels say, what they do not say, and that classifiers learn from them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators.contract import Fit
from leaven.generators.errors import FitError
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema
from leaven.generators.text.class_words import MARGIN, ClassWords
from leaven.generators.text.encoder import encode

SCHEMA = Schema(
    columns=(Column(name="text", type="text"), Column(name="label", type="category")), target="label"
)
WEATHER = ["will it rain tomorrow", "how hot does it get in july", "is there snow on the hills"]
FOOD = ["where can i eat noodles", "this soup needs more salt", "book a table for dinner"]


def fitted(tmp_path: Path, labels: tuple[str, str], **parameters: Any) -> tuple[ClassWords, Fit]:
    frame = pd.DataFrame({"text": [*WEATHER, *FOOD], "label": [labels[0]] * 3 + [labels[1]] * 3})
    pq.write_table(to_arrow(frame, SCHEMA), tmp_path / "rows.parquet")
    generator = ClassWords(parameters)
    return generator, generator.fit(Rows(tmp_path / "rows.parquet", SCHEMA), seed=1)


def said(generator: ClassWords, label: str, count: int = 60) -> set[str]:
    made = generator.sample(count, seed=2)
    return set(made["text"][made["label"] == label])


def test_a_class_is_called_what_its_label_says_and_words_near_to_it(tmp_path: Path) -> None:
    generator, fit = fitted(tmp_path, ("weather_report", "food_order"))
    assert "weather report" in said(generator, "weather_report")
    assert {"weather", "forecast"} & said(generator, "weather_report")
    assert {"food", "cuisine", "restaurant"} & set(" ".join(said(generator, "food_order")).split())
    assert not said(generator, "weather_report") & said(generator, "food_order")
    assert fit.notes == []


def test_texts_say_their_own_class_and_not_a_neighbour(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "text": [
                "where is my new card",
                "it has not come yet",
                "my card is gone",
                "i left it on a train",
            ],
            "label": ["card_arrival"] * 2 + ["lost_card"] * 2,
        }
    )
    pq.write_table(to_arrow(frame, SCHEMA), tmp_path / "rows.parquet")
    generator = ClassWords()
    generator.fit(Rows(tmp_path / "rows.parquet", SCHEMA), seed=1)
    made = generator.sample(200, seed=2)
    names = {"card_arrival": "card arrival", "lost_card": "lost card"}
    near = encode(list(made["text"])) @ encode(list(names.values())).T
    own = made["label"].map(list(names).index).to_numpy()
    apart = near[np.arange(200), own] - near[np.arange(200), 1 - own]
    assert (apart >= MARGIN - 1e-6).all()
    named = (made["text"] == made["label"].map(names)).groupby(made["label"]).mean()
    assert (named > 0).all() and (named < 0.2).all() and made["text"].nunique() > 10


@pytest.mark.parametrize("labels", [("0", "1"), ("topic_1", "topic_2")])
def test_a_label_without_words_of_its_own_is_told_and_its_texts_say_what_it_is(
    labels: tuple[str, str], tmp_path: Path
) -> None:
    generator, fit = fitted(tmp_path, labels)
    assert (
        f"the labels of 2 of 2 classes have no words of their own ({labels[0]}, {labels[1]})" in fit.notes[0]
    )
    assert {"weather", "winter", "rain", "temperatures", "climate"} & said(generator, labels[0])
    assert {"meal", "restaurant", "food", "dinner", "dish"} & said(generator, labels[1])


def test_a_meaning_stands_for_a_label(tmp_path: Path) -> None:
    generator, fit = fitted(tmp_path, ("0", "1"), meanings={"0": "the weather", "1": "things to eat"})
    assert "the weather" in said(generator, "0")
    assert "things to eat" in said(generator, "1")
    assert fit.notes == []


def test_a_meaning_of_an_unknown_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="there is no class 'wether'; there are a, b"):
        fitted(tmp_path, ("a", "b"), meanings={"wether": "rain"})


def test_a_classifier_that_knows_no_words_but_these_learns_the_class(tmp_path: Path) -> None:
    from leaven.pipelines.kinds.text.learners import words_model

    generator, _ = fitted(tmp_path, ("weather", "food"))
    made = generator.sample(120, seed=3)
    held_out = ["low temperatures", "winter storms", "our own cuisine", "pizza and vegetables"]
    real, labels = [*WEATHER, *FOOD], ["weather"] * 3 + ["food"] * 3
    learned = words_model().fit([*real, *made["text"]], labels + list(made["label"]))
    assert list(learned.predict(held_out)) == ["weather", "weather", "food", "food"]
    alone = words_model().fit(real, labels)
    assert np.ptp(alone.predict_proba(held_out), axis=0).max() < 0.05  # to it they are all the same
