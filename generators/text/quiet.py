"""Without the bars and words of transformers, which are not for the people who run us."""

import contextlib
import warnings
from collections.abc import Iterator

from leaven.generators.errors import LeavenError, ModelError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, warnings or hints of transformers in the block."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


@contextlib.contextmanager
def loading(what: str, name: str, wrong: type[LeavenError] = ModelError) -> Iterator[None]:
    """Load the model `name` of transformers in the block, quietly.

    Raises:
        LeavenError: (as `wrong` says) it cannot be loaded; the line begins with `what`, that asked for it.
    """
    try:
        with quiet():
            yield
    except Exception as error:  # transformers raises whatever its parts do
        told = " ".join(str(error).split())[:200]
        raise wrong(f"{what}: the model '{name}' cannot be loaded: {told}") from None
