"""About how long parts of a run on images take. Measured on a machine with two cores that multiplies bfloat16."""

from dataclasses import dataclass

from leaven.pipelines.kinds.image.learners import steps
from leaven.pipelines.recipe import Candidate

# Seconds of a step of 64 images of 32 x 32 pixels on one core.
_STEP = {"diffusion": 0.2, "vae": 0.1, "gan": 0.15, "autoregressive": 0.12, "distillation": 0.04}
_NETWORKS = {"distillation": 2}  # that learn beside each other
_USUAL = 20_000  # steps
_FEW, _FEW_STEPS = 1_000, 3_000  # up to so many images training stops by itself after about so many
_BLIND, _BLIND_STEPS = 40, 500  # and so few are learned from for so long
_SAMPLE = {
    "diffusion": 7e-3,
    "autoregressive": 4e-3,
    "distillation": 2e-3,
    "policy": 2e-4,
}  # seconds an image
_SAMPLE_OTHER = 1e-3
_LEARN_STEP = 0.04
_JUDGE, _JUDGE_LEAST = 2e-3, 20.0  # seconds an image, and however few


@dataclass(frozen=True)
class Costs:
    """Of images of so many pixels a side, on so many threads; see `estimate.Costs`."""

    side: int
    threads: int
    quick: float = 1.2  # fewer steps, but more seeds

    @property
    def _size(self) -> float:
        """Against 32 x 32 pixels."""
        return (self.side / 32) ** 2

    @property
    def _learned(self) -> float:
        """As `_size`, for a classifier, which halves large images at once."""
        return self._size if self.side <= 32 else 0.8 + 0.2 * self._size

    def fit(self, candidate: Candidate, rows: int, limit: float) -> float:
        """One fit, which `limit` stops."""
        name = candidate.generator
        if name == "pretrained":
            return limit
        asked = candidate.parameters.get("steps")
        if name == "distillation":
            taken, size = (asked if isinstance(asked, int) else 1_000), self._learned
            rounds = -(-_NETWORKS[name] // self.threads) + 0.2
            return min(limit, rounds * taken * _STEP[name] * size)
        usual = _BLIND_STEPS if rows < _BLIND else _FEW_STEPS if rows <= _FEW else _USUAL
        taken = min(asked, usual) if isinstance(asked, int) else usual
        return min(limit, 1.0 + taken * _STEP.get(name, 0.0) * self._size / min(2, self.threads))

    def sample(self, candidate: Candidate, rows: int) -> float:
        """So many synthetic images."""
        return _SAMPLE.get(candidate.generator, _SAMPLE_OTHER) * rows * max(0.1, self._size)

    def learn(self, rows: int) -> float:
        """An arm once: the steps are the same however many images there are."""
        return _LEARN_STEP * steps(self.side) * self._learned / self.threads

    def judge(self, rows: int) -> float:
        """Fidelity, diversity, privacy and screen of one candidate."""
        return _JUDGE_LEAST + _JUDGE * rows * self._learned
