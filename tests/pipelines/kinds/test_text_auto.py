"""What `auto` tries for texts, by their number and by what their labels say."""

import pytest

from leaven.generators import catalog
from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.text.kind import (
    FEW,
    auto_candidates,
    doubt,
    usual_levels,
    usual_ratio,
)
from leaven.pipelines.recipe import LEVELS
from leaven.pipelines.task import Task

SCHEMA = Schema(columns=(Column(name="text", type="text"), Column(name="y", type="category")), target="y")


def names(classes: tuple[str, ...], rows: int) -> list[str]:
    task = Task(target="y", type="classification", metric="macro_f1", classes=classes)
    return [candidate.generator for candidate in auto_candidates(SCHEMA, task, rows)]


@pytest.mark.parametrize("rows", [10, FEW, FEW + 1, 10**5])
def test_words_alone_for_few_texts_whose_labels_have_words(rows: int) -> None:
    several = ["class_words", "back_translation"]
    assert names(("card_arrival", "refund"), rows) == (["class_words"] if rows <= FEW else several)
    assert names(("0", "1"), rows) == names(("LABEL_0", "LABEL_1"), rows) == several
    assert not any(catalog.entry(name, "text").control for name in several)


def test_any_gain_is_enough_for_words_of_few_texts_alone() -> None:
    assert doubt("class_words", FEW) == 0.0 and doubt("class_words", FEW + 1) == 1.0
    others = set(catalog.names("text")) - {"class_words"}
    assert others and all(doubt(name, rows) == 1.0 for name in others for rows in (10, FEW, 10**5))


def test_every_generator_has_levels_and_a_ratio() -> None:
    for name in catalog.names("text"):
        assert set(usual_levels(name)) <= set(LEVELS) and usual_levels(name)
        for rows in (10, FEW, FEW + 1, 10**5):
            assert 0 < usual_ratio(name, SCHEMA, rows) <= 3
    assert usual_ratio("class_words", SCHEMA, 10 * FEW) == 0.1
