"""The race: after some folds, the ways that are far behind are given up, so that the others get their folds sooner.

Successive halving (Karnin, Koren and Somekh 2013; Jamieson and Talwalkar 2016). It saves time where candidates,
amounts and screens multiply; what it costs is that a way that is good in the whole may be given up for its first folds.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from leaven.pipelines.choose import Tried, privacy_gates
from leaven.pipelines.run import Run
from leaven.pipelines.stage import Record

if TYPE_CHECKING:
    from leaven.pipelines.quality.scores import Scores

FIRST = 2  # folds after which the worse half is given up: after one alone, the order is little but luck
FIELD, LEADERS = 6, 3  # ways that get all folds of the first drawing, and of further ones


def narrow(run: Run, baselines: list[Record], tried: list[Tried], whole: int) -> None:
    """Give up who fails a privacy gate, then, in time, the worse half of the ways and all but the leaders.

    Args:
        baselines: of the folds that are done.
        tried: the candidates; `left` is set to the numbers of the ways that go on.
        whole: folds of a drawing.
    """
    from leaven.pipelines.quality.scores import Scores

    compared = baselines[0].result["compared"]
    real = [_value(Scores.load(record.path("scores.npz")), compared) for record in baselines]
    gains: dict[tuple[int, int], float] = {}
    for place, one in enumerate(tried):
        if not one.racing or not one.assessments:
            continue
        if not all(gate["passed"] for gate in privacy_gates(run, one.assessments[0])):
            continue
        scores = [[Scores.load(path) for path in record.paths("scores.npz")] for record in one.assessments]
        for number in range(len(one.ways)) if one.left is None else sorted(one.left):
            values = [_value(of[0], str(number)) for of in scores if of and str(number) in of[0].arms]
            if len(values) == len(real):
                gains[place, number] = float(np.nanmean(np.subtract(values, real)))
    most = len(gains)
    if len(baselines) == FIRST:
        most = max(FIELD, math.ceil(most / 2))
    if len(baselines) % whole == 0:
        most = LEADERS
    best = sorted(gains, key=lambda key: (-gains[key], key))[:most]
    for place, one in enumerate(tried):
        one.left = {number for at, number in best if at == place}


def _value(scores: "Scores", arm: str) -> float:
    """The metric of an arm, mean over learners and seeds."""
    return float(np.mean([values.mean() for values in scores.values(arm).values()]))
