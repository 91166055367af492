"""About how long parts of a run on texts take. Measured on a machine with two cores."""

from dataclasses import dataclass

from leaven.pipelines.recipe import Candidate

_FIT = {"back_translation": 0.02, "edits": 1e-4, "class_words": 1e-3}  # seconds a text
_START = 3.0  # to load a model
_SAMPLE = 5e-5
_LEARN, _LEARN_CLASS, _LEARN_LEAST = (
    2e-4,
    4e-6,
    0.2,
)  # seconds a text; a text and class; of an arm, however few
_ENCODE = 3e-3  # seconds a text, once
_JUDGE_LEAST = 10.0


@dataclass(frozen=True)
class Costs:
    """Of texts; see `estimate.Costs`."""

    least_seeds: int
    quick: float = 1.0

    def fit(self, candidate: Candidate, rows: int, limit: float) -> float:
        """One fit, which `limit` stops."""
        return min(limit, _START + _FIT.get(candidate.generator, 0.1) * rows)

    def sample(self, candidate: Candidate, rows: int) -> float:
        """So many synthetic texts."""
        return _SAMPLE * rows

    def learn(self, rows: int) -> float:
        """An arm once; each new text is encoded once."""
        return _LEARN_LEAST + (_LEARN + _ENCODE / 4) * rows

    def judge(self, rows: int) -> float:
        """Fidelity, diversity, privacy and screen of one candidate."""
        return _JUDGE_LEAST + _ENCODE * min(rows, 5_000)
