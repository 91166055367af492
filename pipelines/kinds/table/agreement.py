"""The label screen of tables: its ensemble is one of linear models, forests and boosted trees."""

import pandas as pd

from leaven.generators.schema import Schema
from leaven.pipelines.kinds import agreement
from leaven.pipelines.kinds.agreement import PASSING, Level
from leaven.pipelines.kinds.table.ensemble import Ensemble
from leaven.pipelines.task import Task

__all__ = ["PASSING", "LabelAgreement"]


class LabelAgreement(agreement.LabelAgreement):
    """Lets rows pass by level; see `kinds.agreement`. The ensemble is fitted when a row is first judged."""

    def __init__(
        self, schema: Schema, task: Task, train: pd.DataFrame, *, threshold: Level, seed: int, threads: int
    ):
        super().__init__(task, lambda: Ensemble(schema, task, train, seed=seed, threads=threads), threshold)
