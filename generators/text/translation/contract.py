"""What every translator is, and the name of what it has done."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from leaven.generators.errors import ModelError


class Translator(ABC):
    """Translates sentences from one language into another.

    Attributes:
        source, target: languages, as two letters.
        digest: of the model and of everything else that a translation depends on, so that one can be kept under it.
        learned_marks: whether it copies the placeholders of `masks`.
        known: words in small letters that it has learned, where that is known.
        batch: sentences that are best given at once.
        failed: why it translates no more, where some of a batch was translated before.
        told: what it took, where somebody has to pay for it.
    """

    source: str
    target: str
    digest: str
    learned_marks: bool = False
    known: frozenset[str] | None = None
    batch: int = 1_024
    failed: ModelError | None = None
    told: str = ""

    @abstractmethod
    def translate(self, sentences: Sequence[str], count: int) -> Sequence[list[str] | None]:
        """Translations of each sentence, best first, at most `count` and perhaps none; None where it is to be asked
        about again another time.

        What one sentence becomes depends on the other ones as little as the engine allows.

        Raises:
            ModelError: the engine itself fails (a row that cannot be translated has no translation).
        """
