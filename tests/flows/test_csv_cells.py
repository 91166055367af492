"""Texts that a spreadsheet would run are marked in CSV exports."""

import pandas as pd

from leaven.flows.csv_cells import unrunnable
from leaven.generators.schema import Column, Schema


def test_texts_that_begin_like_a_formula_are_marked_and_nothing_else() -> None:
    schema = Schema(
        columns=(Column(name="text", type="text"), Column(name="y", type="category", categories=("+", "-"))),
        target="y",
    )
    texts = ["=HYPERLINK(1)", "+1", "@a", "\tx", "a = b", None]
    frame = pd.DataFrame({"text": texts, "y": ["+", "-"] * 3, "_seed": 1})
    made = unrunnable(frame, schema)
    assert made["text"].tolist() == ["'=HYPERLINK(1)", "'+1", "'@a", "'\tx", "a = b", None]
    assert made[["y", "_seed"]].equals(frame[["y", "_seed"]]) and frame["text"].tolist() == texts
