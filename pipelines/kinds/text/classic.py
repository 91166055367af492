"""The cheap ways with texts, which synthetic ones must beat: words swapped, deleted, repeated; punctuation put in."""

from dataclasses import dataclass

import pandas as pd

from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.generators.text.base import text_column
from leaven.generators.text.edits import Method, edited
from leaven.pipelines.kinds.text.subsets import stratified
from leaven.pipelines.quality.utility import Arm
from leaven.pipelines.task import Task

EDITS = 4  # of each text, as EDA's authors have it for few texts
MOST = 20_000  # edited texts


@dataclass(frozen=True)
class Edit:
    """Makes further rows: each text several times, edited. A text's edits hang on it and the seed alone: folds, which
    share most texts, share most edits, and what is computed from them."""

    text: str  # the column
    label: str  # the column
    method: Method

    def __call__(self, rows: pd.DataFrame, seed: int) -> pd.DataFrame:
        times = max(1, min(EDITS, MOST // max(1, len(rows))))
        some = rows.iloc[stratified(rows[self.label], MOST, derive("edits", seed))]
        made = pd.concat([some] * times, ignore_index=True)
        which = made.groupby(self.text).cumcount()
        texts = [
            edited(text, derive(self.method, seed, number, text), self.method)
            for text, number in zip(made[self.text].astype(str), which, strict=True)
        ]
        return made.assign(**{self.text: texts})


def classic_arms(
    task: Task, schema: Schema, real: pd.DataFrame, extra: list[pd.DataFrame], seed: int
) -> list[Arm]:
    """The classic arms over real texts and `extra` ones: EDA and AEDA."""
    column, frames = text_column(schema), [real, *extra]
    return [Arm(method, frames, resample=Edit(column, task.target, method)) for method in ("eda", "aeda")]
