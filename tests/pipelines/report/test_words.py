"""The sentences: what a person reads must follow from the numbers."""

from typing import Any

import pytest

from leaven.pipelines.report import nouns, page, words


def report(**changes: Any) -> dict[str, Any]:
    return {
        "task": {"type": "classification", "metric": "macro_f1"},
        "chosen": {"generator": "tvae", "parameters": {}, "amount": {"ratio": 1.0}},
        "verdict": "released",
        "effect": "helps",
        "rows": {"synthetic": 1200},
        "utility": {"metric": "macro_f1", "lift": {"value": 0.0213, "low": 0.0081, "high": 0.0342}},
        "gates": [{"gate": "lift", "passed": True}],
        **changes,
    }


def test_released() -> None:
    assert words.answer(report()) == (
        "A classifier trained with 1,200 synthetic rows scores +0.021 macro-F1 (95 % interval +0.008 to +0.034) on "
        "real, unseen rows: it helps. Released."
    )


def test_no_effect_is_not_called_help() -> None:
    said = words.answer(
        report(
            effect="no measurable effect",
            verdict="withheld",
            utility={"metric": "macro_f1", "lift": {"value": 0.0002, "low": -0.01, "high": 0.011}},
            gates=[{"gate": "lift", "passed": False}, {"gate": "copies", "passed": False}],
        )
    )
    assert "scores 0.000 macro-F1 (95 % interval −0.010 to +0.011)" in said and "helps" not in said
    assert said.endswith("no measurable effect. Not released: the lift, copies gates failed.")


def test_help_may_still_be_withheld() -> None:
    said = words.answer(report(verdict="withheld", gates=[{"gate": "worst_attack", "passed": False}]))
    assert said.endswith("it helps. Not released: the worst_attack gate failed.")


def test_nothing_chosen_is_said() -> None:
    best = {"generator": "tvae", "parameters": {}, "amount": {"ratio": 1.0}}
    tried: dict[str, Any] = {**best, "validation": {"reason": None}}
    none = report(chosen=None, certified=best, candidates=[tried], verdict="withheld")
    assert words.answer(none).endswith("Not released: on validation rows, no candidate beat real rows alone.")
    assert words.measured(none) == "Measured here is the best candidate, tvae: 1 × the real rows."
    tried["validation"]["reason"] = "failed the gate copies on validation rows"
    assert words.answer(none).endswith("Not released: tvae failed the gate copies on validation rows.")


def test_a_model_for_regression() -> None:
    lift = {"value": -0.1, "low": -0.2, "high": -0.05}
    said = words.answer(
        report(effect="hurts", task={"type": "regression"}, utility={"metric": "r2", "lift": lift})
    )
    assert said.startswith("A model trained") and "−0.100 R²" in said and "it hurts" in said


def test_worth() -> None:
    def said(**utility: Any) -> str:
        return words.worth({"utility": {"half": {"rows": 2400}, **utility}})

    assert "about 640 further real rows (95 % interval 210 to 1,130)" in said(
        worth_real_rows={"value": 640.2, "low": 210, "high": 1130}
    )
    assert "more than 2,400 further" in said(
        worth_real_rows={"value": "> 2,400", "low": 900, "high": "> 2,400"}
    )
    assert "no further real rows" in said(worth_real_rows={"value": 0, "low": 0, "high": 50})
    assert said(worth_real_rows=None, worth_reason="the curve is too noisy").endswith(
        "not known: the curve is too noisy."
    )
    assert "too few" in said(worth_real_rows={"value": None, "reason": "too few rows"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.0, "0"),
        (-3e-17, "0"),
        (0.0008, "0.00080"),
        (0.52349, "0.523"),
        (-3.0, "−3.000"),
        (12345.6, "12,346"),
        ("> 3", "> 3"),
    ],
)
def test_score(value: Any, text: str) -> None:
    assert words.score(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.6, "9.6 s"), (59.7, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (None, "–")],
)
def test_duration(seconds: Any, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("low", "text"),
    [(-0.00043, "−0.0004 to +0.072"), (0.0, "0.000 to +0.072"), (1e-5, "+0.00001 to +0.072")],
)
def test_on_which_side_of_0_an_interval_ends_is_seen(low: float, text: str) -> None:
    assert words.between({"low": low, "high": 0.072}) == text


def test_amounts() -> None:
    assert words.amount({"ratio": 0.25}) == "0.25 × the real rows"
    assert words.amount({"ratio": [0.25, 1.0], "where": []}) == "0.25 or 1 × the real rows"
    assert words.amount({"per_class": {"fraud": 5000}}) == "5,000 of fraud"
    assert words.amount({"balance": True}).startswith("every class") and words.amount(None) == "–"


def test_limits_promise_nothing() -> None:
    said = " ".join(words.limits(report(privacy={"copies": {}, "worst_attack": {}})))
    assert "copies, worst attack" in said and "no guarantee" in said
    assert "edited real ones" in " ".join(words.limits(report(privacy_exempt=True)))


def test_a_promise_says_what_was_spent_and_what_it_leaves_out() -> None:
    spent = {"epsilon": 2.981, "asked": 3.0, "delta": 1e-5, "neighbours": "one row more or less"}
    said = words.limits(report(privacy={"copies": {}}, differential_privacy=spent))
    assert any(
        "epsilon 2.981 of 3 asked, delta 1e-05" in line and "does not hold for" in line for line in said
    )
    assert not any("epsilon" in line for line in words.limits(report(privacy={"copies": {}})))


def of_images(**changes: Any) -> dict[str, Any]:
    return report(name="x", recipe={"source": {"kind": "image"}}, **changes)


def test_images_are_not_called_rows() -> None:
    assert words.answer(of_images()).startswith("A classifier trained with 1,200 synthetic images scores")
    assert "on real, unseen images: it helps" in words.answer(of_images())
    assert (
        words.verdict(of_images(verdict="withheld", rows={}))
        == "Not released: there are no synthetic images."
    )
    assert words.worth(of_images()) == "Their worth in real images is not known: it was not measured."
    assert words.measured(of_images()) == "The images were made by tvae: 1 × the real images."
    assert not any("row" in line for line in words.limits(of_images(privacy={"copies": {}})))
    say = nouns.sayer(of_images())
    assert say("A row counts; Rows and no row, a real row.") == (
        "An image counts; Images and no image, a real image."
    )
    assert say("Rowsham, arrows, distinct_rows") == "Rowsham, arrows, distinct_rows"
    assert nouns.sayer(report())("a row of rows") == "a row of rows"


def test_what_candidates_are_compared_with() -> None:
    none = {"chosen": None, "verdict": "withheld", "certified": None}
    assert words.verdict(report(**none)) == (
        "Not released: on validation rows, no candidate beat real rows alone."
    )
    assert words.verdict(of_images(**none, compared="classic")) == (
        "Not released: on validation images, no candidate beat real images with the best classic way."
    )
    assert "otherwise real images with the best classic way win" in page.render(
        of_images(compared="classic", gates=[], candidates=[{"generator": "vae"}])
    )


def test_what_a_user_calls_rows_stays_rows() -> None:
    per_class = {"rows of maize": {"real": 0.5, "augmented": 0.6}}
    found = page.render(of_images(utility={**report()["utility"], "per_class": per_class}, gates=[]))
    assert "<th>rows of maize</th>" in found and "Rejected images" in found and "Rejected rows" not in found
    assert "Rejected rows" in page.render(report(name="x", gates=[]))


def test_what_a_candidate_was_asked_for_and_why_it_was_not_taken() -> None:
    """A generator that is not doubted needs any gain; the others more than a standard error."""

    def tried(name: str, doubt: float, value: float = 0.004) -> dict[str, Any]:
        return {
            "generator": name,
            "parameters": {},
            "validation": {"doubt": doubt, "lift": {"value": value, "se": 0.005}},
        }

    asked = "if it gains more than one standard error there"
    assert words.asked_gain({"candidates": [tried("tvae", 1.0)]}) == asked
    assert words.asked_gain({"candidates": []}) == asked
    assert words.asked_gain({"candidates": [tried("class_words", 0.0)]}) == "if it gains at all there"
    both = {"candidates": [tried("class_words", 0.0), tried("edits", 1.0)]}
    assert words.asked_gain(both) == f"{asked} (class_words: if it gains at all)"
    assert words.outdone(tried("tvae", 1.0)["validation"]) == "gain within one standard error"
    assert words.outdone(tried("tvae", 1.0, -0.1)["validation"]) == "no gain"
    assert words.outdone(tried("class_words", 0.0, 0.0)["validation"]) == "no gain"
    assert words.outdone(tried("class_words", 0.0)["validation"]) == "another gains more for sure"
    assert words.outdone(tried("tvae", 1.0, 0.006)["validation"]) == "another gains more for sure"
