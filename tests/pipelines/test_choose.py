"""Which candidate is certified, and when it replaces `none`."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from leaven.pipelines.amounts import Order, Plan
from leaven.pipelines.choose import Trial, Tried, pick, trials_of
from leaven.pipelines.quality.scores import Scores
from leaven.pipelines.recipe import Candidate, Recipe, Screen
from leaven.pipelines.task import Task
from leaven.pipelines.ways import Way

PLAN = Plan(amount={"ratio": 1.0}, orders=(Order(rows=10),))


def trial(name: str, value: float | None = None, se: float = 0.01, reason: str | None = None) -> Trial:
    gain = (
        None if value is None else {"value": value, "low": value - 2 * se, "high": value + 2 * se, "se": se}
    )
    gates = [{"gate": "copies", "passed": False}] if value is None else []
    return Trial(candidate=Candidate(generator=name), plan=PLAN, gain=gain, reason=reason, gates=gates)


def chosen(*trials: Trial) -> tuple[str | None, bool]:
    best, wins = pick(list(trials))
    return (best.candidate.generator if best else None), wins


def test_a_gain_of_more_than_one_standard_error_replaces_none() -> None:
    assert chosen(trial("a", 0.02), trial("b", 0.03)) == ("b", True)


def test_a_gain_within_one_standard_error_does_not_but_is_certified() -> None:
    assert chosen(trial("a", 0.008), trial("b", -0.01)) == ("a", False)


def test_a_large_but_unsure_gain_does_not_hide_a_sure_one() -> None:
    assert chosen(trial("wild", 0.020, se=0.030), trial("sure", 0.015, se=0.005)) == ("sure", True)


def test_of_sure_gains_the_surer_one_is_taken_where_the_larger_one_is_noisy() -> None:
    assert chosen(trial("noisy", 0.030, se=0.025), trial("sure", 0.020, se=0.005)) == ("sure", True)
    assert chosen(trial("larger", 0.030, se=0.006), trial("sure", 0.020, se=0.005)) == ("larger", True)


def test_what_fails_a_privacy_gate_is_not_chosen() -> None:
    assert chosen(trial("memoriser", 0.05, reason="failed the gate copies"), trial("b", 0.001)) == (
        "b",
        False,
    )
    assert chosen(trial("memoriser", 0.05, reason="failed the gate copies")) == ("memoriser", False)


def test_rows_that_were_all_dropped_are_certified_to_show_why() -> None:
    assert chosen(trial("memoriser", None, reason="no row passed the screen")) == ("memoriser", False)
    assert chosen() == (None, False)


@pytest.mark.parametrize(
    ("spares", "shares", "harmed"),
    [
        (True, {"tfidf": 0.99, "minilm": 0.55}, True),
        (True, {"tfidf": 0.99, "minilm": 0.75}, False),
        (False, {"tfidf": 0.99, "minilm": 0.55}, False),
    ],
)
def test_a_gain_that_one_learner_pays_for_is_not_taken_where_each_is_spared(
    spares: bool, shares: dict[str, float], harmed: bool, tmp_path: Path
) -> None:
    """Learners that are right on 7 of 10 real rows, and on other shares of them with synthetic ones."""
    task = Task(target="y", type="classification", metric="accuracy", classes=("a", "b", "c"))
    random = np.random.default_rng(1)
    labels = random.integers(0, 3, 400)

    def said(share: float) -> np.ndarray:
        right = random.random((1, 400)) < share
        return np.where(right, labels, (labels + 1) % 3)[:, :, None].astype(float)

    real = Scores.empty(task, labels)
    real.outputs["real"] = {name: said(0.7) for name in shares}
    ours = Scores.empty(task, labels)
    ours.outputs["0"] = {name: said(share) for name, share in shares.items()}
    ours.save(tmp_path / "scores.npz")
    record: Any = SimpleNamespace(
        paths=lambda name: [tmp_path / name], result={"ways": {"0": {}}, "quality": None}
    )
    one = Tried(
        Candidate(generator="class_words"), ways=[Way(plan=PLAN, screen=Screen())], assessments=[record]
    )
    recipe = Recipe.model_validate({"name": "a", "source": {"kind": "table", "path": "a.csv"}})
    run: Any = SimpleNamespace(
        recipe=recipe, task=task, seed=lambda *of: 1, kind=SimpleNamespace(SPARES_EACH_LEARNER=spares)
    )
    [found] = trials_of(run, [real], one)
    assert found.gain is not None and found.gain["value"] > 0.03
    assert (found.reason or "").startswith("harms the learner minilm") == harmed
    assert set(found.by_learner) == (set(shares) if spares else set())
    assert pick([found])[1] is not harmed


def test_a_fold_that_is_forgotten_counts_for_none() -> None:
    one = Tried(Candidate(generator="a"), steps=[1, 2, 3])
    one.assessments = ["first", "second", "third"]  # type: ignore[list-item]
    one.forget(1)
    assert one.assessments == ["first"] and one.steps == [1]
