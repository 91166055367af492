"""Which candidate is certified, and when it replaces `none`."""

from pathlib import Path

import pytest

from leaven.generators.contract import Fit
from leaven.generators.errors import FitError, InputError, ModelError
from leaven.pipelines.amounts import Order, Plan
from leaven.pipelines.choose import Trial, Tried, pick, refuse_useless
from leaven.pipelines.recipe import Candidate
from leaven.pipelines.stage import Record

PLAN = Plan(amount={"ratio": 1.0}, orders=(Order(rows=10),))


def trial(
    name: str, value: float | None = None, se: float = 0.01, reason: str | None = None, doubt: float = 1.0
) -> Trial:
    gain = (
        None if value is None else {"value": value, "low": value - 2 * se, "high": value + 2 * se, "se": se}
    )
    gates = [{"gate": "copies", "passed": False}] if value is None else []
    return Trial(
        candidate=Candidate(generator=name), plan=PLAN, gain=gain, doubt=doubt, reason=reason, gates=gates
    )


def chosen(*trials: Trial) -> tuple[str | None, bool]:
    best, wins = pick(list(trials))
    return (best.candidate.generator if best else None), wins


def test_a_gain_of_more_than_one_standard_error_replaces_none() -> None:
    assert chosen(trial("a", 0.02), trial("b", 0.03)) == ("b", True)


def test_a_gain_within_one_standard_error_does_not_but_is_certified() -> None:
    assert chosen(trial("a", 0.008), trial("b", -0.01)) == ("a", False)


def test_any_gain_is_enough_where_it_is_not_doubted() -> None:
    assert chosen(trial("a", 0.002, doubt=0.0), trial("b", 0.008)) == ("a", True)
    assert chosen(trial("a", 0.0, doubt=0.0)) == ("a", False)


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


def test_a_fold_that_is_forgotten_counts_for_none() -> None:
    one = Tried(Candidate(generator="a"), steps=[1, 2, 3])
    one.assessments = ["first", "second", "third"]  # type: ignore[list-item]
    one.forget(1)
    assert one.assessments == ["first"] and one.steps == [1]


def test_what_folds_say_with_other_numbers_is_told_once() -> None:
    one = Tried(Candidate(generator="a"))
    for fold in range(3):
        fit = Fit(notes=[f"{fold} of 80 texts are empty", f"column x{fold} is constant"])
        model = Record.model_construct(result=fit.model_dump(), seconds=1.0, stage="fit", folder=Path())
        assessment = Record.model_construct(result={}, seconds=1.0, stage="assess", folder=Path())
        one.add([], model, [], assessment)
    assert one.notes == ["0 of 80 texts are empty", *(f"column x{n} is constant" for n in range(3))]


def test_a_run_ends_where_no_candidate_can_use_its_model() -> None:
    """But not where one of them can, or failed for another reason: then the report says so."""
    refused, other = (Tried(Candidate(generator=name)) for name in ("paraphrase", "language_model"))
    refused.fail(ModelError("refuses the key"))
    with pytest.raises(InputError, match=r"^candidates: paraphrase: refuses the key$"):
        refuse_useless([refused])
    refuse_useless([refused, other])
    other.fail(FitError("no text was made"))
    refuse_useless([refused, other])
    refuse_useless([])
    other.fail(ModelError("cannot be reached"))
    with pytest.raises(InputError, match="paraphrase: refuses the key; language_model: cannot be reached"):
        refuse_useless([refused, other])
