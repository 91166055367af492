"""Formulas: what they compute, and that nothing but arithmetic is read."""

import numpy as np
import pytest

from leaven.generators.formula import Formula

COLUMNS = {
    "a": np.array([1.0, 4.0, np.nan]),
    "b": np.array([2.0, -3.0, 1.0]),
    "net €": np.array([1.234, 2.0, 0.0]),
    "class": np.array([1.0, 0.0, 0.0]),
}


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("a + b * 2", [5, -2, np.nan]),
        ("-a ** 2 / (b - 1)", [-1, 4, np.nan]),
        ("round(`net €` * 1.19, 2)", [1.47, 2.38, 0]),
        ("`class` + 1", [2, 1, 1]),
        ("min(a, b, 1.5) + max(b, 0)", [3, -3, np.nan]),
        ("floor(b / 2) + ceil(b / 2) + abs(b)", [4, 0, 2]),
        ("sqrt(a)+exp(0 * b)+log(1)", [2, 3, np.nan]),
        ("b / `class`", [2, np.nan, np.nan]),  # no finite number: missing
        ("9 ** 9 ** 9 * b", [np.nan, np.nan, np.nan]),
    ],
)
def test_computes(text: str, made: list[float]) -> None:
    np.testing.assert_allclose(Formula(text).evaluate(COLUMNS), made)


def test_names_its_columns_once_in_order() -> None:
    assert Formula("b * `net €` - b + abs(a)").columns == ["b", "net €", "a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a +", "is not arithmetic"),
        ("pm2.5 * 2", "between backticks"),
        ("1 + 2", "names no column"),
        ("__import__('os').system('ls')", "is not allowed"),
        ("a.real", "'a.real' is not allowed"),
        ("`net €`[0]", r"'`net €`\[0\]' is not allowed"),
        ("[x for x in a]", "is not allowed"),
        ("lambda: a", "is not allowed"),
        ("a if b else a", "is not allowed"),
        ("a // b", "is not allowed"),
        ("a > b", "is not allowed"),
        ("a + True", "'True' is not allowed"),
        ("a + 'x'", "is not allowed"),
        ("eval(a)", "no function 'eval'"),
        ("log(a, b)", "takes one value, not 2"),
        ("min(a)", "at least two values"),
        ("round(a, b)", "whole number of decimals"),
        ("log(a, base=b)", "is not allowed"),
        ("max(*a)", "is not allowed|at least two"),
        ("(" * 500 + "a" + ")" * 500, "is not arithmetic"),
        ("a" * 3000, "letters long"),
        ("-" * 1900 + "a", "nested"),
        ("a + 1" + "0" * 400, "has a number beyond"),
    ],
)
def test_refuses_what_is_not_arithmetic(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        Formula(text)
    assert "\n" not in str(raised.value)
