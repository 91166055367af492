"""The label screen of tables: its ensemble is one of linear models, forests and boosted trees."""

from typing import Any

import pandas as pd

from leaven.generators.schema import Schema
from leaven.pipelines.kinds import agreement
from leaven.pipelines.kinds.agreement import PASSING, Level
from leaven.pipelines.kinds.ensemble import Ensemble
from leaven.pipelines.kinds.table.features import Features, Uses
from leaven.pipelines.kinds.table.learners import boosting, solver
from leaven.pipelines.task import Task

__all__ = ["PASSING", "LabelAgreement", "ensemble"]

KINDS: tuple[Uses, ...] = ("linear", "tree", "tree")  # linear, forest, boosted: what their matrix is
TREES, ROUNDS = 20, 30  # of a member: the mean over all members is what counts


class LabelAgreement(agreement.LabelAgreement):
    """Lets rows pass by level; see `kinds.agreement`. The ensemble is fitted when a row is first judged."""

    def __init__(
        self, schema: Schema, task: Task, train: pd.DataFrame, *, threshold: Level, seed: int, threads: int
    ):
        super().__init__(task, lambda: ensemble(schema, task, train, seed=seed, threads=threads), threshold)


def ensemble(schema: Schema, task: Task, train: pd.DataFrame, *, seed: int, threads: int) -> Ensemble:
    """The cross-fitted ensemble of train rows of a table. Classes weigh equally, so that a rare one can be the
    likeliest."""
    features = Features(schema, task).fit(train)
    return Ensemble(features, task, train, KINDS, _member, seed=seed, threads=threads)


def _member(kind: int, task: Task, width: int, seed: int, threads: int) -> Any:
    from sklearn import ensemble, linear_model

    classes = len(task.classes)
    boosted = {**boosting(classes, ROUNDS), "random_state": seed}
    forest = {"n_estimators": TREES, "min_samples_leaf": 3, "n_jobs": threads, "random_state": seed}
    if task.type == "regression":
        return (
            linear_model.Ridge(alpha=1.0),
            ensemble.ExtraTreesRegressor(max_features=0.4, **forest),
            ensemble.HistGradientBoostingRegressor(**boosted),
        )[kind]
    return (
        linear_model.LogisticRegression(
            C=0.3, class_weight="balanced", solver=solver(width, classes), max_iter=200
        ),
        ensemble.ExtraTreesClassifier(class_weight="balanced", **forest),
        ensemble.HistGradientBoostingClassifier(class_weight="balanced", **boosted),
    )[kind]
