"""Some of many texts: of every class, and from all over them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators.rows import to_arrow
from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.text import classic, screens
from leaven.pipelines.kinds.text.subsets import spread, stratified
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.task import Task

SCHEMA = Schema(
    columns=(Column(name="text", type="text"), Column(name="label", type="category")), target="label"
)


def task(*classes: str) -> Task:
    return Task(target="label", type="classification", metric="macro_f1", classes=classes)


def test_a_subset_has_the_shares_of_the_whole_and_all_of_small_classes() -> None:
    labels = pd.Series(["a"] * 900 + ["b"] * 90 + ["c"] * 6 + [None] * 4)
    picked = stratified(labels, 100, 1)
    assert len(picked) == len(set(picked)) == 100 and (np.diff(picked) > 0).all()
    counts = labels.iloc[picked].value_counts(dropna=False)
    assert 85 <= counts["a"] <= 90 and 8 <= counts["b"] <= 11
    assert counts["c"] >= 1 and labels.iloc[picked].isna().sum() >= 1
    kept = labels.iloc[stratified(labels, 100, 1, least=20)].value_counts()
    assert kept["c"] == 6 and kept["b"] >= 20 and kept.sum() == 96
    assert (stratified(labels, 100, 1) == picked).all() and (stratified(labels, 100, 2) != picked).any()
    assert (stratified(labels, 1000, 1) == np.arange(1000)).all()
    assert len(stratified(pd.Series(range(50)), 20, 1)) == 20


def test_places_are_spread_over_all_texts() -> None:
    assert spread(["a", "b"], 3) == ["a", "b"]
    assert spread([str(n) for n in range(10)], 4) == ["0", "2", "5", "7"]


def test_edits_are_of_all_classes_however_rows_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classic, "MOST", 40)
    rows = pd.DataFrame({"text": [f"a text with the number {n}" for n in range(60)],
                         "label": ["a"] * 45 + ["b"] * 15})  # fmt: skip
    arms = classic.classic_arms(task("a", "b"), SCHEMA, rows, [], 0)
    made = arms[0].resample(rows, 1)  # type: ignore[misc]
    assert made["label"].value_counts().to_dict() == {"a": 30, "b": 10}
    few = arms[0].resample(rows[40:48], 1)  # type: ignore[misc]
    assert len(few) == 32 and set(few["label"]) == {"a", "b"}


def made(
    tmp_path: Path, frame: pd.DataFrame, classes: tuple[str, ...], level: object
) -> list[screens.Screen]:
    train = tmp_path / "train.parquet"
    pq.write_table(to_arrow(frame, SCHEMA), train)
    recipe = Recipe.model_validate(
        {"name": "t", "source": {"kind": "text", "path": "none"}, "screen": {"label_agreement": level}}
    )
    return screens.make(SCHEMA, task(*classes), recipe, train=[train], seed=0, threads=1)


def test_the_label_screen_learns_from_every_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "LEARNED", 40)
    many = [f"the soup number {n} was cold" for n in range(60)]
    some = [f"my flight number {n} was late" for n in range(60)]
    rare = [
        f"please play the {what} {how}"
        for how in ("again", "now", "louder")
        for what in ("song", "tune", "album")
    ]
    frame = pd.DataFrame(
        {"text": many + some + rare[:5], "label": ["food"] * 60 + ["travel"] * 60 + ["music"] * 5}
    )
    found = made(tmp_path, frame, ("food", "music", "travel"), "mild")
    [screen] = [one for one in found if one.name == "label_agreement"]
    assert screen.name == "label_agreement"
    asked = pd.DataFrame({"text": rare, "label": "music"})
    assert (screen.reasons(asked) == "").mean() >= 0.5
    assert (screen.reasons(asked.assign(label="food")) != "").all()


def test_languages_are_those_of_all_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "HEARD", 10)
    english = "The train was late by twenty minutes and we waited for it"
    french = "Le train avait vingt minutes de retard et nous avons attendu sur le quai"
    frame = pd.DataFrame({"text": [f"{english} {n}" for n in range(30)] + [f"{french} {n}" for n in range(30)],
                          "label": ["a", "b"] * 30})  # fmt: skip
    (screen,) = (one for one in made(tmp_path, frame, ("a", "b"), False) if one.name == "language")
    asked = pd.DataFrame({"text": ["Nous avons mangé du pain et du fromage dans la cuisine"], "label": ["a"]})
    assert list(screen.reasons(asked)) == [""]
