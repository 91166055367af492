"""What commands share: their options, the store, and where they print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from leaven.pipelines.store import Store

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's log too.")]
RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the recipe: budget.fit=5m."),
]
StorePlace = Annotated[
    str,
    typer.Option("--store", metavar="URI", envvar="LEAVEN_STORE", help="Folder or URI of the store."),
]
Reference = Annotated[
    str, typer.Argument(metavar="NAME[@VERSION]", help="The latest released one, or the one named.")
]
DEFAULT_STORE = "data/store"


def open_store(place: str) -> "Store":
    """The store at a path or URI."""
    from leaven.pipelines.store import Store

    return Store(place)


def results() -> "Console":
    """Standard output."""
    from rich.console import Console

    return Console()


def errors() -> "Console":
    """Standard error, for progress and errors."""
    from rich.console import Console

    return Console(stderr=True)
