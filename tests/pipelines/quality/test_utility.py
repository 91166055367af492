"""Lift: planted truths of +, 0 and -, thresholds that are not mistaken for learning, pairing, odd arms."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.generators.errors import InputError
from leaven.pipelines import kinds
from leaven.pipelines.quality import bootstrap, thresholds, utility
from leaven.pipelines.quality.utility import Arm, Scores
from leaven.pipelines.task import Task

from .planted_scores import BINARY, SCHEMA, direct, table, task

KIND = kinds.get("table")
CHEAP = ["logistic_regression", "boosted_tree"]
MACRO = BINARY.model_copy(update={"metric": "macro_f1"})


def score(arms: list[Arm], real: pd.DataFrame, held_out: pd.DataFrame, **changes: Any) -> Scores:
    settings: dict[str, Any] = {
        "task": BINARY,
        "learners": CHEAP,
        "repeats": 2,
        "max_rows": 100_000,
        "seed": 1,
    } | changes
    this = settings.pop("task")
    settings["learners"] = KIND.learners(this, settings["learners"])
    return utility.score_arms(
        KIND, SCHEMA, this, arms=arms, reference=real, score=held_out, threads=1, **settings
    )


def lift(scores: Scores, task: Task = BINARY) -> bootstrap.Interval:
    return bootstrap.difference([scores], "augmented", "real", task, 300, 1)


@pytest.mark.parametrize("measured", [BINARY, MACRO], ids=["roc_auc", "macro_f1"])
def test_planted_lift(measured: Task) -> None:
    real, held_out = table(60, 1), table(3000, 2)
    fresh = table(800, 3)
    shuffled = fresh.assign(y=np.random.default_rng(4).permutation(fresh["y"]))
    again = utility.duplicates(real, real, measured, 5)

    def found(extra: pd.DataFrame) -> bootstrap.Interval:
        arms = [Arm("real", [real]), Arm("augmented", [real, extra])]
        return lift(score(arms, real, held_out, task=measured), measured)

    assert found(fresh).low > 0
    assert found(shuffled).high < 0
    # Equal rows once more: nothing new, though a learner may regularise a little less.
    nothing = found(again)
    assert nothing.low - 0.01 <= 0 <= nothing.high + 0.01
    assert abs(nothing.value) < 0.02


def test_no_lift_where_real_rows_abound() -> None:
    real, held_out = table(3000, 1), table(1000, 2)
    arms = [Arm("real", [real]), Arm("augmented", [real, table(500, 3)])]
    found = lift(score(arms, real, held_out))
    assert found.low < 0 < found.high or abs(found.value) < 0.004


def test_shifting_a_threshold_is_no_learning() -> None:
    """Weighing the rare class gains much on macro-F1 at the plain threshold and nothing at tuned ones."""
    real, held_out = table(600, 1, positives=0.1), table(4000, 2, positives=0.1)
    rare = real[real["y"] == "yes"]
    settings: dict[str, Any] = {"learners": ["logistic_regression"]}
    for reweighed in (Arm("augmented", [real, rare, rare]), Arm("augmented", [real], class_weight=True)):
        arms = [Arm("real", [real]), reweighed]
        tuned = lift(score(arms, real, held_out, task=MACRO, **settings), MACRO)
        assert tuned.low < 0 and abs(tuned.value) < 0.02

    ranked = score([Arm("real", [real]), Arm("augmented", [real, rare, rare])], real, held_out, **settings)
    plain = Scores.empty(MACRO, ranked.labels)
    for arm, learners in ranked.outputs.items():
        plain.outputs[arm] = {name: (made > 0.5).astype(int) for name, made in learners.items()}
    assert lift(plain, MACRO).low > 0.05


def test_thresholds_reach_the_best_there_is() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(1)
    labels = (rng.random(2000) < 0.1).astype(int)
    positive = 1 / (1 + np.exp(-(rng.normal(size=2000) + 2 * labels - 4)))
    both = np.stack([1 - positive, positive], axis=1)
    best = max(f1_score(labels, positive > cut, average="macro") for cut in np.linspace(0, 1, 200))
    weights = thresholds.tune("macro_f1", labels, both, 1, 1)
    found = f1_score(labels, thresholds.decide(both, weights), average="macro")
    assert found > best - 0.01
    assert found > f1_score(labels, positive > 0.5, average="macro") + 0.05


def test_thresholds_of_many_classes() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(2)
    labels = rng.choice(4, 3000, p=[0.7, 0.2, 0.07, 0.03])
    logs = rng.normal(size=(3000, 4)) + 1.5 * np.eye(4)[labels] + np.log([0.7, 0.2, 0.07, 0.03])
    shares = np.exp(logs) / np.exp(logs).sum(1, keepdims=True)
    weights = thresholds.tune("macro_f1", labels, shares, 3, 1)
    tuned, plain = (
        f1_score(labels, decided, average="macro")
        for decided in (thresholds.decide(shares, weights), shares.argmax(1))
    )
    assert tuned > plain + 0.03
    # A classifier whose probabilities were shifted by known factors decides as before.
    shifted = shares * [1, 3, 9, 20]
    again = thresholds.tune("macro_f1", labels, shifted / shifted.sum(1, keepdims=True), 3, 1)
    moved = thresholds.decide(shifted / shifted.sum(1, keepdims=True), again)
    assert f1_score(labels, moved, average="macro") == pytest.approx(tuned, abs=0.02)


def test_repeated_rows_never_tune_on_themselves() -> None:
    """Duplicates of a held-out row stay out of its fold, else every tree would look certain."""
    real, held_out = table(150, 1), table(2000, 2)
    arms = [Arm("real", [real]), Arm("augmented", [real, real.copy(), real.copy()])]
    scores = score(arms, real, held_out, task=MACRO)
    assert scores.trained == {"real": 150, "augmented": 450}
    assert abs(lift(scores, MACRO).value) < 0.03


def test_arms_scored_apart_equal_arms_scored_together() -> None:
    real, extra, held_out = table(200, 1), table(100, 3), table(300, 2)
    arms = [Arm("real", [real]), Arm("augmented", [real, extra])]
    settings: dict[str, Any] = {"learners": ["random_forest"], "max_rows": 150, "task": MACRO, "repeats": 1}
    together = score(arms, real, held_out, **settings)
    apart = Scores.merge(*[score([arm], real.copy(), held_out, **settings) for arm in arms])
    for arm in ("real", "augmented"):
        assert (together.outputs[arm]["random_forest"] == apart.outputs[arm]["random_forest"]).all()
    assert together.outputs["real"]["random_forest"].shape == (1, 300, 1)


def test_max_rows_thins_real_and_other_rows_alike() -> None:
    real, extra, held_out = table(1000, 1), table(500, 3), table(300, 2)
    arms = [Arm("real", [real]), Arm("augmented", [real, extra]), Arm("synthetic_only", [extra])]
    scores = score(arms, real, held_out, max_rows=400)
    assert scores.trained == {"real": 200, "augmented": 300, "synthetic_only": 100}


def test_odd_arms_are_scored() -> None:
    real, held_out = table(80, 1), table(300, 2)
    arms = [
        Arm("empty", [real.iloc[:0]]),
        Arm("one_class", [real[real["y"] == "yes"]]),
        Arm("unlabelled", [real, real.assign(y=None)]),
        Arm("odd", [real, real.assign(colour="never seen", x0=np.nan, y="yes")]),
    ]
    for measured in (BINARY, MACRO):
        scores = score(arms, real, held_out, task=measured)
        values = bootstrap.arms([scores], measured, 100, 1)
        assert all(np.isfinite(found).all() for found in values.values())
        assert scores.trained == {
            "empty": 0,
            "one_class": len(arms[1].frames[0]),
            "unlabelled": 80,
            "odd": 160,
        }
    assert bootstrap.arms([score(arms, real, held_out)], BINARY, 100, 1)["empty"].value == 0.5


def test_classic_arms_are_resampled_within_folds() -> None:
    real, held_out = table(200, 1, positives=0.15), table(500, 2, positives=0.15)
    seen = []

    def resample(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
        seen.append(len(rows))
        return rows[rows["y"] == "yes"]

    scores = score([Arm("smote", [real], resample=resample)], real, held_out, task=MACRO)
    assert seen == [200, 160, 160, 160, 160, 160]
    assert scores.trained["smote"] == 200 + (real["y"] == "yes").sum()


def test_regression() -> None:
    this = task("r2", 0)
    real, fresh, held_out = (
        frame.assign(y=frame[["x0", "x1", "x2"]].sum(axis=1) + 0.3 * frame["x3"] ** 2)
        for frame in (table(40, 1), table(600, 3), table(1000, 2))
    )
    schema = SCHEMA.model_copy(
        update={"columns": (*SCHEMA.columns[:-1], SCHEMA.columns[-1].model_copy(update={"type": "number"}))}
    )
    assert len(utility.duplicates(real, fresh, this, 1)) == 600
    arms = [Arm("real", [real]), Arm("augmented", [real, fresh]), Arm("empty", [real.iloc[:0]])]
    scores = utility.score_arms(
        KIND, schema, this, arms=arms, reference=real, score=held_out, learners=KIND.learners(this, None),
        repeats=2, seed=1, max_rows=10_000, threads=1,
    )  # fmt: skip
    assert lift(scores, this).low > 0.05
    assert abs(bootstrap.arms([scores], this, 100, 1)["empty"].value) < 0.1
    assert utility.per_class([scores], this, ["real"]) == {}


def test_duplicates_have_the_class_counts_of_the_synthetic_rows() -> None:
    real, synthetic = table(50, 1), table(130, 2)
    made = utility.duplicates(real, synthetic, BINARY, 1)
    assert made["y"].value_counts().to_dict() == synthetic["y"].value_counts().to_dict()
    assert set(made["x0"]) <= set(real["x0"])
    yes = made.loc[made["y"] == "yes", "x0"].value_counts()
    assert yes.max() - yes.min() <= 1
    assert len(utility.duplicates(real[real["y"] == "no"], synthetic, BINARY, 1)) < 130


def test_scores_are_saved_and_merged(tmp_path: Path) -> None:
    scores = direct(50, 1, 0.1, 3)
    scores.save(tmp_path / "scores.npz")
    loaded = Scores.load(tmp_path / "scores.npz")
    assert bootstrap.arms([loaded], BINARY, 100, 1) == bootstrap.arms([scores], BINARY, 100, 1)
    with pytest.raises(ValueError, match="stands in two"):
        Scores.merge(scores, loaded)
    with pytest.raises(ValueError, match="different held-out rows"):
        Scores.merge(scores, direct(51, 1, 0.1, 3))
    renamed = loaded.renamed({"real": "other"})
    assert Scores.merge(scores, renamed).arms == ["real", "augmented", "other"]


def test_per_class_and_by_learner() -> None:
    folds = [direct(400, seed, 0.8, 3) for seed in (1, 2)]
    found = utility.per_class(folds, BINARY, ["real", "augmented"])
    assert list(found) == ["no", "yes"]
    assert found["yes"]["augmented"] > found["yes"]["real"]  # type: ignore[operator]
    values = utility.by_learner(folds, BINARY)
    interval = bootstrap.arms(folds, BINARY, 100, 1)["real"]
    assert np.mean(list(values["real"].values())) == pytest.approx(interval.value)


def test_progress_reaches_the_end_and_a_wrong_metric_is_refused() -> None:
    real, told = table(60, 1), []
    score([Arm("real", [real])], real, real, progress=lambda share, text: told.append(share))
    assert told[0] == 0 and told[-1] == 1 and told == sorted(told)
    with pytest.raises(InputError, match=r"task\.metric"):
        score([Arm("real", [real])], real, real, task=BINARY.model_copy(update={"metric": "r2"}))
