"""A language model behind an endpoint as a translator."""

from collections.abc import Sequence

from leaven.generators.errors import ModelError
from leaven.generators.seeds import derive
from leaven.generators.text.asking import EndpointWriter
from leaven.generators.text.calls import key
from leaven.generators.text.endpoint import Endpoint
from leaven.generators.text.prompts import prompt
from leaven.generators.text.translation.contract import Translator

VERSION = 1  # of the prompt


class ByEndpoint(Translator):
    """Asks for the translations of each sentence, by a seed that the sentence makes."""

    def __init__(self, endpoint: Endpoint, source: str, target: str):
        """`endpoint`: shared by both directions, so that its budget counts both."""
        self.source, self.target = source, target
        self._endpoint, self._count = endpoint, 1
        self._writer = EndpointWriter(endpoint, self._prompt)
        self.batch = self._writer.batch
        self.digest = key(self._writer.digest, VERSION).hex()

    def translate(self, sentences: Sequence[str], count: int) -> list[list[str] | None]:
        """Translations; None where the endpoint gave none, or its budget was used up."""
        self._count = count
        seeds = [derive("translate", self.source, self.target, sentence) for sentence in sentences]
        found = self._writer.write(sentences, seeds)
        return [None if texts is None else texts[:count] for texts in found]

    @property
    def failed(self) -> ModelError | None:  # type: ignore[override]
        """Why the endpoint answers no more."""
        return self._writer.failed

    @property
    def told(self) -> str:  # type: ignore[override]
        """What it took so far."""
        # The endpoint's, not this direction's: the other one may have used it up.
        over = "its budget ended it before all sentences were translated; " if self._endpoint.over else ""
        return over + self._writer.told()

    def _prompt(self, sentence: str) -> str:
        return prompt(
            "translate",
            VERSION,
            source=self.source,
            target=self.target,
            count=str(self._count),
            text=sentence,
        )
