"""Tables and lines as a terminal shows them, and as a pipe gets them."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

Cells = list[dict[str, str]]  # rows of a table: heading -> text

# Headings of columns that hold words; the others hold numbers and stand to the right.
_LEFT = {"training rows", "gate", "generator", "amount", "verdict", "effect", "version", "name", "date",
         "number", "what", "column", "type", "", "latest", "chosen", "bound", "gates failed", "why not", "why",
         "stage"}  # fmt: skip


def print_table(console: "Console", cells: Cells, title: str = "") -> None:
    """Aligned columns: with colour on a terminal; in a pipe plain, and never broken into several lines."""
    if not cells:
        return
    if title:
        console.print(f"\n{title}", style="bold", highlight=False)
    if console.is_terminal:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        for heading in cells[0]:
            # Numbers stay whole; names, the first column, give way where the terminal is narrow.
            table.add_column(
                heading, justify=_side(heading), overflow="fold", no_wrap=_side(heading) == "right"
            )
        for row in cells:
            table.add_row(*(Text(text, style=_style(text)) for text in row.values()))
        console.print(table)
        return
    if not title:
        plain(console)
    widths = {
        heading: max(len(row[heading]) for row in [*cells, {h: h for h in cells[0]}]) for heading in cells[0]
    }
    for row in [{heading: heading for heading in cells[0]}, *cells]:
        parts = [
            text.ljust(widths[heading]) if _side(heading) == "left" else text.rjust(widths[heading])
            for heading, text in row.items()
        ]
        plain(console, "  ".join(parts).rstrip())


def _side(heading: str) -> Any:
    return "left" if heading in _LEFT else "right"


def _style(text: str) -> str:
    return {"FAILED": "bold red", "withheld": "yellow", "released": "green", "passed": "green"}.get(text, "")


def plain(console: "Console", text: str = "", style: str | None = None) -> None:
    """A line as it is: no markup, no wrapping in a pipe."""
    console.print(text, markup=False, highlight=False, soft_wrap=not console.is_terminal, style=style)


def print_json(value: Any) -> None:
    """A result for programs, on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))
