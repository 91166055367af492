"""Curation on planted rows: which of them the levels of the label screen let pass."""

import numpy as np
import pandas as pd
import pytest

from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.table.agreement import PASSING, LabelAgreement, ensemble
from leaven.pipelines.task import Task

NUMBERS = tuple(Column(name=f"x{i}", type="number") for i in range(4))
SCHEMA = Schema(columns=(*NUMBERS, Column(name="y", type="category")), target="y")
TASK = Task(target="y", type="classification", metric="roc_auc", classes=("no", "yes"), positive="yes")
LEVELS = (False, "mild", "strict")


def rows(count: int, seed: int, share: float = 0.5) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    label = random.random(count) < share
    columns = {f"x{i}": random.normal(size=count) + 1.0 * label for i in range(4)}
    return pd.DataFrame({**columns, "y": np.where(label, "yes", "no").astype(object)})


def flipped(frame: pd.DataFrame, share: float, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows with a share of the labels turned around, and which they are."""
    wrong = np.random.default_rng(seed).random(len(frame)) < share
    turned = frame["y"].map({"yes": "no", "no": "yes"})
    return frame.assign(y=frame["y"].where(~wrong, turned)), wrong


def screen(train: pd.DataFrame) -> LabelAgreement:
    return LabelAgreement(SCHEMA, TASK, train, threshold=False, seed=1, threads=1)


def test_flipped_labels_are_dropped_and_others_kept_the_more_the_stricter() -> None:
    made, wrong = flipped(rows(1000, 2), 0.3, 3)
    fitted = screen(rows(400, 1))
    left, taken = [], []
    for level in LEVELS:
        passed = fitted.at(level).reasons(made) == ""
        left.append(wrong[passed].mean())
        taken.append(passed[~wrong].mean())
    assert left[0] == wrong.mean() and taken[0] == 1.0
    assert left[1] < 0.12 and left[2] < 0.05, "share of flipped labels among the rows kept"
    assert taken[1] > 0.6 and taken[2] > 0.35


@pytest.mark.parametrize(("share", "near"), [(0.5, 0.15), (0.06, 0.3)])
def test_a_level_lets_its_share_of_fresh_real_rows_of_each_class_pass(share: float, near: float) -> None:
    """A rare class too: an ensemble that saw few rows of it doubts them all."""
    fitted, fresh = screen(rows(500, 1, share)), rows(2000, 2)
    for level, (expected, _) in PASSING.items():
        passed = fitted.at(level).reasons(fresh) == ""
        for label in TASK.classes:
            assert abs(passed[fresh["y"] == label].mean() - expected) < near, (level, label)


def test_rows_on_which_the_kinds_disagree_are_uncertain() -> None:
    made = rows(2000, 2)
    found = screen(rows(300, 1)).at("strict").reasons(made)
    assert set(found) == {"", "label_agreement", "label_agreement: uncertain"}
    kept, uncertain = (found == "").sum(), (found == "label_agreement: uncertain").sum()
    assert 0 < uncertain < kept


def test_several_classes_and_odd_labels() -> None:
    random = np.random.default_rng(0)
    label = random.integers(0, 3, 600)
    frame = pd.DataFrame({f"x{i}": random.normal(size=600) + (label == i) * 2 for i in range(4)})
    frame["y"] = np.array(["a", "b", "c"], dtype=object)[label]
    task = TASK.model_copy(update={"classes": ("a", "b", "c"), "positive": None, "metric": "macro_f1"})
    fitted = LabelAgreement(SCHEMA, task, frame[:400], threshold="strict", seed=1, threads=1)
    fresh = frame[400:].reset_index(drop=True)
    assert (fitted.reasons(fresh) == "").mean() > 0.4
    wrong = fresh.assign(y=fresh["y"].map({"a": "b", "b": "c", "c": "a"}))
    assert (fitted.reasons(wrong) == "").mean() < 0.05
    assert set(fitted.reasons(fresh.assign(y=None))) == {"label_agreement"}
    assert set(fitted.reasons(fresh.assign(y="d"))) == {"label_agreement"}


def test_a_regression_is_screened_by_its_residuals() -> None:
    schema = Schema(columns=(Column(name="x", type="number"), Column(name="y", type="number")), target="y")
    task = Task(target="y", type="regression", metric="r2")

    def line(count: int, seed: int) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        x = random.uniform(-1, 1, count)
        return pd.DataFrame({"x": x, "y": 3 * x + 0.1 * random.normal(size=count)})

    fitted, fresh = (
        LabelAgreement(schema, task, line(500, 1), threshold=0.1, seed=1, threads=1),
        line(1000, 2),
    )
    shares = [(fitted.at(level).reasons(fresh) == "").mean() for level in LEVELS]
    assert shares[0] == 1.0 and 0.6 < shares[1] < 0.95 and 0.35 < shares[2] < 0.7
    off = fresh.assign(y=fresh["y"] + 1.0)
    assert all((fitted.at(level).reasons(off) == "").mean() < 0.05 for level in ("mild", "strict", 0.1))


def test_what_an_ensemble_says_of_unseen_rows_is_no_better_than_the_truth() -> None:
    """Labels that follow from nothing: an ensemble that peeked would be sure of them."""
    frame = rows(200, 1)
    frame["y"] = np.random.default_rng(5).permutation(frame["y"])
    found = ensemble(SCHEMA, TASK, frame, seed=1, threads=1)
    own = found.unseen.mean(axis=0)[np.arange(200), found.labels.astype(int)]
    assert 0.4 < own.mean() < 0.56
    seen = found.says(frame).mean(axis=0)[np.arange(200), found.labels.astype(int)]
    assert seen.mean() > 0.6, "members that learned from a row know it"


def test_a_class_of_which_no_real_row_was_asked_about_passes() -> None:
    from leaven.pipelines.kinds import agreement

    class Known:
        """Learned from rows of two of three classes."""

        known = True
        labels = np.array([0, 1] * 20)
        unseen = np.tile(np.where(np.eye(3)[labels] > 0, 0.9, 0.05), (2, 1, 1))

        def says(self, frame: pd.DataFrame) -> np.ndarray:
            return np.tile([0.9, 0.1, 0.0], (2, len(frame), 1))

        def labels_of(self, frame: pd.DataFrame) -> np.ndarray:
            return frame["y"].map({"a": 0, "b": 1, "c": 2}).to_numpy()

    task = TASK.model_copy(update={"classes": ("a", "b", "c"), "positive": None, "metric": "macro_f1"})
    fitted = agreement.LabelAgreement(task, Known, False)
    for level in ("mild", "strict", 0.5):
        found = fitted.at(level).reasons(pd.DataFrame({"y": ["a", "b", "c"]})) == ""
        assert found.tolist() == [True, False, True], level
