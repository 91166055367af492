"""How often does the 95 % interval of the lift cover the true lift? It should 95 times in 100.

    python benchmarks/interval_coverage.py [--simulations 400] [--test-rows 300 1000] [--metrics roc_auc macro_f1]

A planted process (two classes, 30 % positive, six numbers) makes real rows and synthetic ones that help (fresh rows
of the process), change nothing much (real rows with a little noise) or harm (labels flipped in 40 %). Two learners,
one of them random, train on both arms by the pipeline's own `score_arms`.

- fixed: one train set; each simulation draws new test rows and seeds.
- redrawn: each simulation also draws new train and synthetic rows, and so has a truth of its own.

The truth of a simulation is the lift on very many test rows and seeds, other seeds than the interval is made from.
Finished lines are kept in the file named by --results and not computed again.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Column, Schema
from leaven.generators.seeds import derive
from leaven.pipelines import kinds
from leaven.pipelines.quality import bootstrap, utility
from leaven.pipelines.quality.scores import Scores
from leaven.pipelines.task import Task

NUMBERS = [f"x{number}" for number in range(6)]
SCHEMA = Schema(
    columns=(*(Column(name=name, type="number") for name in NUMBERS), Column(name="y", type="category")),
    target="y",
)
TRAIN_ROWS = SYNTHETIC_ROWS = 120
# Test rows and seeds of the truth: one truth for all simulations can be sharper than one for each.
POOLS = {"fixed": (20_000, 240), "redrawn": (8_000, 35)}
REPEATS = 5  # seeds that an interval is made from, as in the pipeline's default
EFFECTS = ("helps", "nothing", "hurts")


class RandomFeatures:
    """A cheap random learner: ridge regression on 15 random tanh features. Its seed matters."""

    def __init__(self, random_state: int = 0):
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"random_state": self.random_state}

    def set_params(self, **values: Any) -> "RandomFeatures":
        self.random_state = values["random_state"]
        return self

    def fit(self, X: np.ndarray, y: np.ndarray) -> "RandomFeatures":
        rng = np.random.default_rng(self.random_state)
        self._weights, self._shift = rng.normal(size=(X.shape[1], 15)) / 2, rng.normal(size=15)
        self.classes_ = np.unique(y)
        hidden = self._hidden(X)
        signed = np.where(y == self.classes_[-1], 1.0, -1.0)
        self._out = np.linalg.solve(hidden.T @ hidden + np.eye(hidden.shape[1]), hidden.T @ signed)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.classes_[(self.decision_function(X) > 0).astype(int)]

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        return 3 * self._hidden(X) @ self._out

    def _hidden(self, X: np.ndarray) -> np.ndarray:
        return np.column_stack([np.tanh(X @ self._weights + self._shift), np.ones(len(X))])


def process(rows: int, seed: int) -> pd.DataFrame:
    """The planted process."""
    rng = np.random.default_rng(seed)
    positive = rng.random(rows) < 0.3
    values = rng.normal(size=(rows, len(NUMBERS))) + 0.4 * positive[:, None]
    values[:, 0] *= np.where(positive, 1.5, 1.0)
    frame = pd.DataFrame(values, columns=NUMBERS)
    frame["y"] = np.where(positive, "yes", "no").astype(object)
    return frame


def synthetic(effect: str, real: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Rows with a known effect."""
    rng = np.random.default_rng(seed)
    if effect == "nothing":
        made = real.iloc[rng.integers(0, len(real), SYNTHETIC_ROWS)].reset_index(drop=True)
        return made.assign(**{name: made[name] + 0.05 * rng.normal(size=len(made)) for name in NUMBERS})
    made = process(SYNTHETIC_ROWS, derive("synthetic", seed))
    if effect == "hurts":
        flip = rng.random(len(made)) < 0.4
        made["y"] = np.where(flip, np.where(made["y"] == "yes", "no", "yes"), made["y"]).astype(object)
    return made


def pool(effect: str, metric: str, seed: int, pool_rows: int, pool_seeds: int) -> tuple[Scores, Task]:
    """Both arms on very many held-out rows under very many seeds."""
    task = Task(target="y", type="classification", metric=metric, classes=("no", "yes"), positive="yes")
    kind = kinds.get("table")
    real = process(TRAIN_ROWS, derive("real", seed))
    extra = synthetic(effect, real, derive("extra", seed))
    scores = utility.score_arms(
        kind,
        SCHEMA,
        task,
        arms=[utility.Arm("real", [real]), utility.Arm("augmented", [real, extra])],
        reference=real,
        score=process(pool_rows, derive("pool", seed)),
        learners=kind.learners(task, ["logistic_regression", f"{__name__}:RandomFeatures"]),
        repeats=pool_seeds,
        seed=derive("learners", seed),
        max_rows=10_000,
        threads=1,
    )
    return scores, task


def part(scores: Scores, rows: np.ndarray, seeds: np.ndarray) -> Scores:
    """Some rows and some seeds of the pool."""
    outputs = {
        arm: {
            learner: made[:, rows] if len(made) == 1 else made[np.ix_(seeds, rows)]
            for learner, made in learners.items()
        }
        for arm, learners in scores.outputs.items()
    }
    return replace(scores, labels=scores.labels[rows], outputs=outputs)


def mean_lift(values: dict[str, dict[str, np.ndarray]], seeds: np.ndarray) -> float:
    """The lift over given seeds, learners counting equally."""
    gains = []
    for learner, augmented in values["augmented"].items():
        gap = augmented - values["real"][learner]
        gains.append(gap[0] if len(gap) == 1 else gap[seeds].mean())
    return float(np.mean(gains))


def simulate(
    mode: str, effect: str, metric: str, sizes: list[int], simulations: int, draws: int, seed: int
) -> list[dict[str, Any]]:
    """One line for each number of test rows."""
    start = time.monotonic()
    seen: dict[int, list[tuple[bool, float, float]]] = {size: [] for size in sizes}
    truths = []
    scores: Scores | None = None
    values: dict[str, dict[str, np.ndarray]] = {}
    for simulation in range(simulations):
        if scores is None or mode == "redrawn":
            pool_rows, pool_seeds = POOLS[mode]
            own = derive(seed, simulation if mode == "redrawn" else 0)
            scores, task = pool(effect, metric, own, pool_rows, pool_seeds)
            values = {arm: scores.values(arm) for arm in scores.arms}
        rng = np.random.default_rng(derive("draw", seed, mode, effect, metric, simulation))
        shuffled = rng.permutation(pool_seeds)
        truth = mean_lift(values, shuffled[REPEATS:])
        truths.append(truth)
        for size in sizes:
            # Stratified, as the pipeline splits.
            rows = np.concatenate(
                [
                    rng.choice(np.flatnonzero(scores.labels == code), round(size * share), replace=False)
                    for code, share in ((0, 0.7), (1, 0.3))
                ]
            )
            found = bootstrap.difference(
                [part(scores, rows, shuffled[:REPEATS])], "augmented", "real", task, draws, simulation
            )
            seen[size].append((found.low <= truth <= found.high, found.high - found.low, found.se))
    return [
        {
            "mode": mode,
            "effect": effect,
            "metric": metric,
            "test_rows": size,
            "simulations": simulations,
            "true_lift": float(np.mean(truths)),
            "coverage": float(np.mean([one[0] for one in seen[size]])),
            "width": float(np.mean([one[1] for one in seen[size]])),
            "seconds": round(time.monotonic() - start, 1),
        }
        for size in sizes
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--modes", nargs="+", default=["fixed", "redrawn"], choices=["fixed", "redrawn"])
    parser.add_argument("--metrics", nargs="+", default=["roc_auc", "macro_f1"])
    parser.add_argument("--test-rows", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("interval_coverage.json"))
    options = parser.parse_args()
    done = json.loads(options.results.read_text()) if options.results.exists() else {}
    print("| train rows | effect | metric | test rows | true lift | coverage | mean width |")
    print("|---|---|---|---|---|---|---|")
    for mode in options.modes:
        for metric in options.metrics:
            for effect in EFFECTS:
                asked = [
                    mode,
                    effect,
                    metric,
                    options.test_rows,
                    options.simulations,
                    options.draws,
                    options.seed,
                ]
                key = json.dumps(asked)
                if key not in done:
                    done[key] = simulate(
                        mode,
                        effect,
                        metric,
                        options.test_rows,
                        options.simulations,
                        options.draws,
                        options.seed,
                    )
                    options.results.write_text(json.dumps(done, indent=1))
                for line in done[key]:
                    print(
                        f"| {mode} | {effect} | {metric} | {line['test_rows']} | {line['true_lift']:+.4f} "
                        f"| {line['coverage']:.1%} | {line['width']:.4f} |",
                        flush=True,
                    )
    lines = [line for of in done.values() for line in of]
    total = np.average([line["coverage"] for line in lines], weights=[line["simulations"] for line in lines])
    print(f"all: {total:.1%} of {sum(line['simulations'] for line in lines)} intervals cover the truth")


if __name__ == "__main__":
    main()
