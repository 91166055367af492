"""The race: who fails a privacy gate is out at once, who is far behind after two folds, and in the end three lead."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from leaven.pipelines import race
from leaven.pipelines.choose import Tried
from leaven.pipelines.quality.scores import Scores
from leaven.pipelines.recipe import Candidate, Recipe

RUN: Any = SimpleNamespace(
    recipe=Recipe.model_validate({"name": "race", "source": {"kind": "table", "path": "rows.csv"}})
)
FINE = {"value": 0.5, "floor": 0.5, "noise": 0.01, "ceiling": 1.0}
GOOD = {
    "privacy": dict.fromkeys(("copies", "near_copies", "worst_attack"), FINE),
    "fidelity": {},
    "diversity": {},
}
BAD = {**GOOD, "privacy": {**GOOD["privacy"], "worst_attack": {**FINE, "value": 0.9}}}


def record(folder: Path, name: str, arms: dict[str, float], quality: Any = GOOD) -> Any:
    """Scores whose accuracy is as given."""
    labels = np.arange(100) % 2
    scores = Scores("accuracy", ("a", "b"), 1, labels)
    for arm, value in arms.items():
        wrong = np.arange(100) >= round(100 * value)
        scores.outputs[arm] = {"one": np.where(wrong, 1 - labels, labels)[None, :, None]}
    path = folder / f"{name}.npz"
    scores.save(path)
    ways = {arm: {} for arm in arms}
    return SimpleNamespace(
        path=lambda _: path,
        paths=lambda _: [path],
        result={"quality": quality, "ways": ways, "compared": "real"},
    )


def field(
    folder: Path, values: list[list[float]], folds: int, quality: list[Any]
) -> tuple[list[Any], list[Tried]]:
    """Candidates with ways of these accuracies, the same in every fold; real rows have 0.5."""
    baselines = [record(folder, f"real{fold}", {"real": 0.5}) for fold in range(folds)]
    tried = []
    for number, of_one in enumerate(values):
        one = Tried(Candidate(generator=f"g{number}"), ways=[None] * len(of_one))  # type: ignore[list-item]
        one.assessments = [
            record(folder, f"{number}-{fold}", {str(n): v for n, v in enumerate(of_one)}, quality[number])
            for fold in range(folds)
        ]
        tried.append(one)
    return baselines, tried


def left(tried: list[Tried]) -> list[set[int] | None]:
    return [one.left for one in tried]


SEVEN, SIX = [0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4], [0.35, 0.65, 0.45, 0.55, 0.6, 0.5]


def test_after_one_fold_only_a_failed_gate_counts(tmp_path: Path) -> None:
    baselines, tried = field(tmp_path, [SEVEN, SIX], 1, [GOOD, BAD])
    race.narrow(RUN, baselines, tried, 5)
    assert left(tried) == [set(range(7)), set()]
    assert tried[0].racing and not tried[1].racing


def test_after_two_folds_the_better_half_goes_on(tmp_path: Path) -> None:
    baselines, tried = field(tmp_path, [SEVEN, SIX], 2, [GOOD, GOOD])
    race.narrow(RUN, baselines, tried, 5)
    assert left(tried) == [{1, 3, 5}, {1, 3, 4, 5}]


def test_after_a_drawing_three_lead_and_a_candidate_may_be_out(tmp_path: Path) -> None:
    baselines, tried = field(tmp_path, [SEVEN, SIX], 5, [GOOD, GOOD])
    race.narrow(RUN, baselines, tried, 5)
    assert left(tried) == [{1, 3, 5}, set()]


def test_a_way_without_rows_in_a_fold_is_out(tmp_path: Path) -> None:
    baselines, tried = field(tmp_path, [SEVEN], 1, [GOOD])
    tried[0].assessments = [record(tmp_path, "few", {"0": 0.9, "2": 0.4})]
    race.narrow(RUN, baselines, tried, 5)
    assert left(tried) == [{0, 2}]
