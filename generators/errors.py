"""Errors that a person can act on. Each is one line: what, where, what was found, what was expected."""

RESUMES = "what was finished is kept, a rerun resumes"  # where that is so, the line ends with it


class LeavenError(Exception):
    """Base of every error raised on purpose. `exit_code` is what the command line returns."""

    exit_code = 1


class InputError(LeavenError):
    """The recipe, the data or an option is wrong; nothing was written."""

    exit_code = 2


class ConditionError(InputError):
    """A condition on sampled rows cannot be met (unknown column or value, or the generator never makes it)."""


class FitError(LeavenError):
    """A generator could not be fitted; the other candidates go on."""


class StoreError(LeavenError):
    """The store cannot be read or written."""


class ModelError(FitError):
    """A model that somebody named cannot be used, or fails: a translator, a language model, an endpoint."""
