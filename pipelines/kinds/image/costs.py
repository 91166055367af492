"""About how long parts of a run on images take. Measured on a machine with two cores that multiplies bfloat16."""

from dataclasses import dataclass

from leaven.generators import catalog
from leaven.pipelines.kinds.image.learners import QUICK
from leaven.pipelines.kinds.image.learners import steps as steps_of
from leaven.pipelines.recipe import Candidate

# Seconds of a step of 64 images of 32 x 32 pixels on one core.
_STEP = {"diffusion": 0.2, "vae": 0.1, "gan": 0.15, "autoregressive": 0.12, "distillation": 0.04}
_FEW, _FEW_STEPS = 1_000, 3_000  # up to so many images training stops by itself after about so many
_BLIND, _BLIND_STEPS = 40, 500  # and so few are learned from for so long
_TO_THE_END = ("gan", "distillation")  # what takes all its steps
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
    least_seeds: int
    quick: float = QUICK

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
        if name not in _STEP:
            return limit if name == "pretrained" else 1.0
        fields = catalog.parameters(name, "image").model_fields

        def asked(field: str) -> int:
            value = candidate.parameters.get(field)
            return value if isinstance(value, int) else int(fields[field].default)

        steps, usual = asked("steps"), _BLIND_STEPS if rows < _BLIND else _FEW_STEPS
        if name not in _TO_THE_END and rows <= _FEW:
            steps = min(steps, usual)
        if name == "distillation":  # networks beside each other, before them two short ones
            rounds = -(-asked("networks") // self.threads) + 0.2
            return min(limit, rounds * steps * _STEP[name] * self._learned)
        return min(limit, 1.0 + steps * _STEP[name] * self._size / min(2, self.threads))

    def sample(self, candidate: Candidate, rows: int) -> float:
        """So many synthetic images."""
        return _SAMPLE.get(candidate.generator, _SAMPLE_OTHER) * rows * max(0.1, self._size)

    def learn(self, rows: int) -> float:
        """An arm once: the steps are the same however many images there are."""
        return _LEARN_STEP * steps_of(self.side) * self._learned / self.threads

    def judge(self, rows: int) -> float:
        """Fidelity, diversity, privacy and screen of one candidate."""
        return _JUDGE_LEAST + _JUDGE * rows * self._learned
