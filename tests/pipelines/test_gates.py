"""Gates: the defaults, what is refused, and what passes."""

from typing import Any

import pytest

from leaven.generators.errors import InputError
from leaven.pipelines import gates
from leaven.pipelines.recipe import Recipe

ALL = {"lift": True, "copies": True, "near_copies": True, "worst_attack": True}


def recipe(**asked: Any) -> Recipe:
    return Recipe.model_validate(
        {"name": "x", "source": {"kind": "table", "path": "x.csv"}, "task": {"target": "y"}, "gates": asked}
    )


def report(lift: float = 0.01, copies: float = 0.0, attack: float = 0.5) -> dict[str, Any]:
    def private(value: float, floor: float) -> dict[str, float]:
        return {"value": value, "floor": floor, "ceiling": 1.0, "noise": 0.01}

    return {
        "utility": {"lift": {"value": lift + 0.01, "low": lift, "high": lift + 0.02}},
        "fidelity": {"pair_trends": {"value": 0.3, "floor": 0.02, "ceiling": 0.4}},
        "diversity": {},
        "privacy": {
            "copies": private(copies, 0.0),
            "near_copies": private(copies, 0.0),
            "worst_attack": private(attack, 0.5),
        },
    }


def verdicts(asked: Recipe, found: dict[str, Any]) -> dict[str, bool]:
    return {gate["gate"]: gate["passed"] for gate in gates.judge(gates.asked(asked), found)}


def test_defaults_pass_a_clean_report_and_stop_each_fault() -> None:
    assert verdicts(recipe(), report()) == ALL
    assert verdicts(recipe(), report(lift=-0.001))["lift"] is False
    assert verdicts(recipe(), report(lift=0.0))["lift"] is False  # low must be above the threshold
    assert verdicts(recipe(), report(copies=0.2))["copies"] is False
    assert verdicts(recipe(), report(attack=0.6))["worst_attack"] is False


def test_a_negative_minimum_means_not_worse_by_more() -> None:
    assert verdicts(recipe(lift={"min": -0.01}), report(lift=-0.005))["lift"] is True


def test_false_switches_one_off_and_others_stay() -> None:
    assert set(verdicts(recipe(copies=False), report())) == {"lift", "near_copies", "worst_attack"}


def test_any_metric_can_be_a_gate() -> None:
    assert verdicts(recipe(pair_trends={"max": 0.1}), report())["pair_trends"] is False
    assert verdicts(recipe(pair_trends={"max": 0.35}), report())["pair_trends"] is True


def test_a_gate_without_a_value_fails() -> None:
    assert verdicts(recipe(detection={"max": 0.9}), report())["detection"] is False


def test_an_editors_rows_are_exempt_from_privacy_gates() -> None:
    found = report() | {"privacy": {}, "privacy_exempt": True}
    assert verdicts(recipe(), found) == ALL


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({"lifft": {"min": 0.0}}, "did you mean 'lift'"),
        ({"zzz": {"min": 0.0}}, "there are: lift"),
        ({"lift": {"max": 0.0}}, "takes `min`"),
        ({"detection": {}}, "no bound"),
        ({"detection": {"margin": 0.1}}, "margin"),
    ],
)
def test_wrong_gates_are_refused_in_one_line(asked: dict[str, Any], part: str) -> None:
    with pytest.raises(InputError) as error:
        gates.asked(recipe(**asked))
    assert part in str(error.value) and "\n" not in str(error.value)
