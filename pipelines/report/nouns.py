"""What a report calls its rows: images and texts are not rows to people."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension
from jinja2.lexer import Token

Say = Callable[[str], str]
_NOUNS = {"image": "image", "text": "text"}  # of one row of a kind; others are rows


def sayer(report: Mapping[str, Any]) -> Say:
    """A function that turns our sentences on rows into sentences on what the report has."""
    noun = _NOUNS.get(((report.get("recipe") or {}).get("source") or {}).get("kind", "table"), "row")
    if noun == "row":
        return str
    article = "an" if noun[0] in "aeiou" else "a"
    said = {"row": noun, "rows": f"{noun}s", "a row": f"{article} {noun}"}
    said |= {row.capitalize(): other.capitalize() for row, other in said.items()}
    return lambda text: re.sub(r"\b([Aa] row|[Rr]ows?)\b", lambda found: said[found[0]], text)


class _Said(Extension):
    """Says the texts of a template itself, not what is put into them."""

    def filter_stream(self, stream: Any) -> Iterable[Token]:
        say = self.environment.say  # type: ignore[attr-defined]
        return self._each(stream, say)

    @staticmethod
    def _each(stream: Any, say: Say) -> Iterator[Token]:
        for token in stream:
            yield Token(token.lineno, "data", say(token.value)) if token.type == "data" else token


def teach(environment: Environment, say: Say) -> None:
    """Make an environment's templates use the noun; `said` is a filter for texts within expressions."""
    environment.extend(say=say)
    environment.filters["said"] = say
    environment.add_extension(_Said)
