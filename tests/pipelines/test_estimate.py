"""How long a run takes, from what its parts take."""

from dataclasses import dataclass

import pytest

from leaven.pipelines.estimate import estimate
from leaven.pipelines.recipe import Candidate, Recipe


@dataclass(frozen=True)
class Planted:
    """Parts that take what the test says."""

    fitting: float
    quick: float = 0.5
    least_seeds: int = 1

    def fit(self, candidate: Candidate, rows: int, limit: float) -> float:
        return min(self.fitting, limit)

    def sample(self, candidate: Candidate, rows: int) -> float:
        return 0.0

    def learn(self, rows: int) -> float:
        return 1.0

    def judge(self, rows: int) -> float:
        return 0.0


def seconds(fitting: float, drawings: int, total: str = "2h") -> float:
    recipe = Recipe.model_validate(
        {
            "name": "planted",
            "source": {"kind": "table", "path": "rows.csv"},
            "task": {"target": "y"},
            "budget": {"fit": "10m", "total": total},
        }
    )
    return estimate(
        recipe,
        [Candidate(generator="smote")],
        rows={"train": 100, "validation": 20, "test": 20},
        costs=Planted(fitting),
        folds=5 * drawings,
        drawings=drawings,
        amounts=[[100]],
    )


@pytest.mark.parametrize(("fitting", "drawn"), [(10.0, 4), (50.0, 2), (100.0, 1)])
def test_folds_are_drawn_again_as_long_as_they_are_cheap(fitting: float, drawn: int) -> None:
    fold = (
        fitting + 4 * 0.5 + 0.6 * 0.5
    )  # with one seed: real rows and three classic ways, then the candidate
    assert seconds(fitting, 4) == pytest.approx(10 + 5 * drawn * fold + 1.5 * fitting + 50, rel=0.02)


def test_what_is_chosen_with_stays_in_the_budget() -> None:
    within = 3 * 600 + 1.5 * 600 + 60  # certifying comes on top
    assert seconds(600.0, 1) == pytest.approx(10 + 5 * 602.3 + 1.5 * 600 + 50, rel=0.02)
    assert seconds(600.0, 1, total="30m") == pytest.approx(within, rel=0.02)
