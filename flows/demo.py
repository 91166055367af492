"""`leaven demo`: the sample recipes that come with the package."""

from collections.abc import Sequence
from pathlib import Path

from leaven.generators.errors import InputError

RECIPES = {"table": "churn.yaml", "image": "digits.yaml", "text": "messages.yaml"}


def recipes(kinds: Sequence[str]) -> list[Path]:
    """The sample recipes of the given kinds of data; of all that there are when none is given.

    Raises:
        InputError: no such demo.
    """
    import leaven.data

    folder = Path(leaven.data.__file__).resolve().parent
    for kind in kinds:
        if kind not in RECIPES:
            raise InputError(f"demo '{kind}': there is no such demo; there is: {', '.join(RECIPES)}")
    return [folder / RECIPES[kind] for kind in dict.fromkeys(kinds or RECIPES)]
