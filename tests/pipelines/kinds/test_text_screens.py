"""Each screen of texts with the text that it is for."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators.contract import SOURCE
from leaven.generators.rows import to_arrow
from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.text import screens as text_screens
from leaven.pipelines.quality.texts.near import NearTexts
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.screen import for_role, why
from leaven.pipelines.task import Task

SCHEMA = Schema(
    columns=(Column(name="text", type="text"), Column(name="label", type="category")), target="label"
)
TASK = Task(
    target="label", type="classification", metric="roc_auc", classes=("food", "travel"), positive="food"
)
FOOD = [
    "The soup was cold and the waiter rude",
    "I love the bread that they bake here",
    "We ate fish with lemon",
]
TRAVEL = [
    "My flight to Oslo leaves at 9:30",
    "The train was late by 20 minutes",
    "Please book a room by the sea",
]
TRAIN = pd.DataFrame(
    {
        "text": [
            f"{text}{extra}"
            for extra in ("", " today", " as always", " I think")
            for text in (*FOOD, *TRAVEL)
        ],
        "label": (["food"] * 3 + ["travel"] * 3) * 4,
    }
)


def judged(
    tmp_path: Path, text: str, source: int | None, label: str = "travel", level: object = False
) -> str:
    """The reason for a text made from a train row, or from nothing."""
    train = tmp_path / "train.parquet"
    pq.write_table(to_arrow(TRAIN, SCHEMA), train)
    recipe = Recipe.model_validate(
        {"name": "t", "source": {"kind": "text", "path": "none"}, "screen": {"label_agreement": level}}
    )
    asked = for_role(recipe, "sampler" if source is None else "editor")
    found = text_screens.make(SCHEMA, TASK, asked, train=[train], seed=0, threads=1)
    frame = pd.DataFrame({"text": [text], "label": [label], SOURCE: [np.nan if source is None else source]})
    return str(why(found, frame)[0])


@pytest.mark.parametrize(
    "text, source, reason",
    [
        ("At 9:30 my plane to Oslo departs", 3, ""),
        ("The train came 20 minutes too late", 4, ""),
        ("", 3, "empty: no text was made"),
        ("20", 4, "length"),
        ("the train the train the train the train the train 20", 4, "length: repetition"),
        ("my flight to Oslo leaves at 9:30", 3, "copy"),
        ("The train was late by 30 minutes", 4, "entities: number"),
        ("My plane to Madrid departs at 9:30", 3, "entities: name"),
        ("Le train avait 20 minutes de retard et nous avons attendu sur le quai", 4, "language"),
        ("The train, was late by 20 minutes.", 4, "novelty"),
        ("We bought 20 potatoes for the garden", 4, "meaning"),
    ],
)
def test_what_an_editor_must_not_do(tmp_path: Path, text: str, source: int, reason: str) -> None:
    assert judged(tmp_path, text, source) == reason


@pytest.mark.parametrize(
    "text, reason",
    [
        ("A cheap hotel near the station, please", ""),
        ("the soup was cold  and the waiter RUDE", "copy"),
        ("The soup was cold and the waiter rude as always!", "near_copy"),
        ("x", "length"),
    ],
)
def test_what_a_sampler_must_not_do(tmp_path: Path, text: str, reason: str) -> None:
    assert judged(tmp_path, text, None) == reason


def test_a_label_that_does_not_fit_goes(tmp_path: Path) -> None:
    text = "The bread and the soup, I love what they bake"
    assert judged(tmp_path, text, None, "food", "mild") == ""
    assert judged(tmp_path, text, None, "travel", "mild").startswith("label_agreement")


def test_a_text_that_goes_does_not_take_its_twin_with_it(tmp_path: Path) -> None:
    train = tmp_path / "train.parquet"
    pq.write_table(to_arrow(TRAIN, SCHEMA), train)
    recipe = for_role(
        Recipe.model_validate({"name": "t", "source": {"kind": "text", "path": "none"}}), "editor"
    )
    frame = pd.DataFrame({"text": ["At 9:30 my plane to Oslo departs"] * 3, "label": ["travel"] * 3})
    frame[SOURCE] = [0, 3, 3]  # of the soup it is no paraphrase
    found = text_screens.make(SCHEMA, TASK, recipe, train=[train], seed=0, threads=1)
    first, *others = why(found, frame)
    assert first != "duplicate" and others == ["", "duplicate"]


def test_german_nouns_are_no_names(tmp_path: Path) -> None:
    texts = [
        "Ich suche eine neue Wohnung in der Stadt",
        "Der Hund hat gestern meinen Schuh gefressen",
        "Wir haben das Haus meiner Eltern verkauft",
        "Morgen fahren die Kinder mit dem Zug ans Meer",
    ]
    frame = pd.DataFrame({"text": texts * 5, "label": ["food", "travel"] * 10})
    pq.write_table(to_arrow(frame, SCHEMA), tmp_path / "train.parquet")
    recipe = for_role(
        Recipe.model_validate({"name": "t", "source": {"kind": "text", "path": "none"}}), "editor"
    )
    made = text_screens.make(SCHEMA, TASK, recipe, train=[tmp_path / "train.parquet"], seed=0, threads=1)
    [entities] = [one for one in made if one.name == "entities"]
    asked = pd.DataFrame({"text": ["Ich suche hier ein anderes Apartment"], "label": ["food"], SOURCE: [0]})
    assert list(entities.reasons(asked)) == [""]


def test_nearly_equal_texts_are_found_and_others_kept() -> None:
    near = NearTexts()
    assert near.add_new("Where is the nearest station to the old bridge?")
    assert not near.add_new("where is the nearest station to the old bridge")
    assert near.add_new("Where is the nearest bridge to the old station?")
    assert near.add_new("ok")
    assert not near.add_new("OK")
    assert near.add_new("no")
