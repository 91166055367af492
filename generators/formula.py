"""Arithmetic on columns, as a recipe says it: `price * quantity`, ``round(`net €` * 1.19, 2)``.

The text is parsed, never run: numbers, columns, + - * / **, brackets and the functions below are all there is.
Names that Python would not read (spaces, dots, keywords) stand between backticks.
"""

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

MOST_LETTERS = 2000
MOST = 1e300  # a number in a formula
DEEPEST = 300  # operations in one another; a sum of as many terms is as deep
_QUOTED = re.compile(r"`([^`]*)`")
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
}
_ONE: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "floor": np.floor,
    "ceil": np.ceil,
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
}
_MANY: dict[str, Any] = {"min": np.minimum, "max": np.maximum}
FUNCTIONS = (*_ONE, "round", *_MANY)


class Formula:
    """A parsed formula.

    Raises:
        ValueError: the text is not such arithmetic (one line that says where and why).
    """

    def __init__(self, text: str):
        self.text = text
        self._names: dict[str, str] = {}
        if len(text) > MOST_LETTERS:
            raise ValueError(f"is {len(text):,} letters long; at most {MOST_LETTERS:,} are read")
        try:
            self._tree = ast.parse(_QUOTED.sub(self._placeholder, text).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(
                f"'{text}' is not arithmetic on columns; odd names stand between backticks: `unit price` * 2"
            ) from error
        self.columns = list(dict.fromkeys(self._check(self._tree)))
        if not self.columns:
            raise ValueError(f"'{text}' names no column")

    def _placeholder(self, found: re.Match[str]) -> str:
        name = f"_quoted{len(self._names)}_"
        self._names[name] = found[1]
        return f" {name} "

    def _check(self, node: ast.AST, depth: int = 0) -> list[str]:
        """The columns below a node, in order; refuses what is no arithmetic."""
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"is nested too deeply: at most {DEEPEST} operations in one another are read")
        if isinstance(node, ast.Name):
            return [self._names.get(node.id, node.id)]
        number = node.value if isinstance(node, ast.Constant) else None
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            if abs(number) > MOST:
                raise ValueError(f"has a number beyond {MOST:g}")
            return []
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return self._check(node.left, depth) + self._check(node.right, depth)
        if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
            return self._check(node.operand, depth)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            self._call(node, node.func.id)
            return [name for argument in node.args for name in self._check(argument, depth)]
        written = ast.unparse(node)
        for name, quoted in self._names.items():
            written = written.replace(name, f"`{quoted}`")
        raise ValueError(
            f"'{written[:60]}' is not allowed; a formula has columns, numbers, + - * / ** and {', '.join(FUNCTIONS)}"
        )

    def _call(self, node: ast.Call, name: str) -> None:
        if name not in FUNCTIONS:
            raise ValueError(f"there is no function '{name}'; there are {', '.join(FUNCTIONS)}")
        given = len(node.args)
        if name in _ONE and given != 1:
            raise ValueError(f"'{name}' takes one value, not {given}")
        if name in _MANY and given < 2:
            raise ValueError(f"'{name}' takes at least two values, not {given}")
        if name == "round" and (given not in (1, 2) or (given == 2 and not _whole(node.args[1]))):
            raise ValueError(
                "'round' takes a value and, if wanted, a whole number of decimals: round(a / b, 2)"
            )

    def evaluate(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The value in each row, float (rows,); NaN where a column is missing or the result is no finite number."""
        with np.errstate(all="ignore"):
            made = np.asarray(self._value(self._tree, columns), dtype="float64")
        return np.where(np.isfinite(made), made, np.nan)

    def _value(self, node: Any, columns: Mapping[str, np.ndarray]) -> Any:
        if isinstance(node, ast.Name):
            return columns[self._names.get(node.id, node.id)]
        if isinstance(node, ast.Constant):
            return np.float64(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.BinOp):
            return _OPERATORS[type(node.op)](
                self._value(node.left, columns), self._value(node.right, columns)
            )
        if isinstance(node, ast.UnaryOp):
            return _OPERATORS[type(node.op)](self._value(node.operand, columns))
        name = node.func.id
        if name == "round":
            decimals = int(ast.literal_eval(node.args[1])) if len(node.args) == 2 else 0
            return np.round(self._value(node.args[0], columns), decimals)
        values = [self._value(argument, columns) for argument in node.args]
        if name in _MANY:
            made = values[0]
            for other in values[1:]:
                made = _MANY[name](made, other)
            return made
        return _ONE[name](values[0])


def _whole(node: ast.AST) -> bool:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return False
    return type(value) is int and -10 <= value <= 10
