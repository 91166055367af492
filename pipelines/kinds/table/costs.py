"""About how long parts of a run on a table take. Measured on a machine with two cores."""

from dataclasses import dataclass

from leaven.pipelines.recipe import Candidate

# Seconds per row and column of one fit (and, where a generator trains in epochs, per epoch).
_FIT = {
    "autoregressive": 9e-5,
    "distillation": 1e-4,
    "gaussian_copula": 4e-5,
    "smote": 1e-6,
    "bootstrap": 1e-7,
    "independent_columns": 1e-6,
    "memoriser": 1e-6,
}
_EPOCH = {"tvae": 7.5e-6, "ctgan": 2.8e-5, "copula_gan": 3.0e-5}
_EPOCHS = 300
_SAMPLE = {"smote": 6e-5}  # seconds per row and column; the others:
_SAMPLE_OTHER = 4e-6
_LEARN = 6e-6  # seconds per row and column of one arm, all learners together
_LEARN_LEAST = 0.15  # seconds of one arm, however few its rows
_JUDGE = 5e-5  # seconds per row and column
_JUDGE_LEAST = 5.0
_JUDGE_ROWS = 10_000  # more are not looked at


@dataclass(frozen=True)
class Costs:
    """Of a table with so many columns; see `estimate.Costs`."""

    columns: int
    least_seeds: int
    quick: float = 0.4

    def fit(self, candidate: Candidate, rows: int, limit: float) -> float:
        """One fit, which `limit` stops."""
        cells = rows * self.columns
        if candidate.generator in _EPOCH:
            epochs = candidate.parameters.get("epochs", _EPOCHS)
            seconds = _EPOCH[candidate.generator] * cells * (epochs if isinstance(epochs, int) else _EPOCHS)
        elif candidate.generator in _FIT:
            seconds = 1.0 + _FIT[candidate.generator] * cells
        else:
            return limit
        return min(seconds, limit)

    def sample(self, candidate: Candidate, rows: int) -> float:
        """So many synthetic rows."""
        return _SAMPLE.get(candidate.generator, _SAMPLE_OTHER) * rows * self.columns

    def learn(self, rows: int) -> float:
        """An arm once."""
        return _LEARN_LEAST + _LEARN * rows * self.columns

    def judge(self, rows: int) -> float:
        """Fidelity, diversity, privacy and screen of one candidate."""
        return _JUDGE_LEAST + _JUDGE * min(rows, _JUDGE_ROWS) * self.columns
