"""Worth in real rows: how many more real rows would have done as much for a classifier as the synthetic ones did.

Measured where more real rows are at hand: at half of them, with a generator that learned from that half. The
learning curve starts at the same half and adds the other real rows bit by bit, in several random orders, so the
curve and the augmented half differ in nothing but what was added.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.contract import Progress, silent
from leaven.generators.parallel import Each
from leaven.generators.seeds import derive
from leaven.pipelines.quality import bootstrap, utility
from leaven.pipelines.quality.scores import Scores
from leaven.pipelines.task import Task

FRACTIONS = (0.6, 0.7, 0.8, 0.9)  # of all real rows, between half and all
FEWER_FRACTIONS = (0.75,)
LEAST_SIGNAL = 2.0  # standard errors that the curve must gain from half to all to be read
ORDERS = ((2_000, 5), (20_000, 3))  # real rows up to which so many orders are tried; 2 beyond
TAIL = 0.025


def worth(
    kind: ModuleType | Any,
    schema: Any,
    task: Task,
    *,
    half: pd.DataFrame,
    full: pd.DataFrame,
    half_synthetic: pd.DataFrame,
    score: pd.DataFrame,
    learners: Sequence[Any],
    repeats: int,
    seed: int,
    max_rows: int,
    draws: int,
    threads: int,
    each: Each | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Read the score of half + synthetic off the real-only curve from half to all.

    Args:
        half: half of the real rows.
        full: all real rows, those of `half` among them.
        half_synthetic: rows of the generator fitted on `half`.
        score: held-out rows; the other arguments are those of `utility.score_arms` and `bootstrap.arms`.

    Returns:
        `worth_real_rows` {value, low, high}: numbers of real rows, or "> k" beyond the curve's end; all None with a
        `reason` where the curve cannot be read, or where `max_rows` hides what more real rows would do.
        `curve` [{rows, value, low, high}].
        `half` {rows, real, augmented}, the latter two {value, low, high, se}.
    """
    if len(full) > max_rows // 2:
        reason = f"there are {len(full)} real rows, and utility.max_rows lets an arm train on {max_rows // 2} of them"
        return {"worth_real_rows": _unread(reason), "curve": [], "half": None}
    rest = _without(full, half)
    rest = rest.iloc[_stratified_order(rest, task, derive("rest", seed))].reset_index(drop=True)
    slow = all(learner.even for learner in learners)  # networks, of which a fit takes seconds
    orders = 2 if slow else next((count for rows, count in ORDERS if len(full) <= rows), 2)
    fractions = FEWER_FRACTIONS if slow else FRACTIONS
    sizes = sorted({max(0, round(fraction * len(full)) - len(half)) for fraction in fractions})
    sizes = [size for size in sizes if 0 < size < len(rest)]
    steps = 3 + orders * len(sizes)
    done = 0

    def scored(
        name: str, reference: pd.DataFrame, extra: pd.DataFrame | None, count: int, own_seed: int
    ) -> Scores:
        nonlocal done
        arm = utility.Arm(name, [reference] if extra is None else [reference, extra])
        made = utility.score_arms(
            kind,
            schema,
            task,
            arms=[arm],
            reference=reference,
            score=score,
            learners=learners,
            repeats=count,
            seed=own_seed,
            max_rows=max_rows,
            threads=threads,
            each=each,
            progress=lambda share, text: progress((done + share) / steps, f"learning curve: {text}"),
        )
        done += 1
        return made

    parts = [
        scored("half", half, None, repeats, seed),
        scored("augmented", half, half_synthetic, repeats, seed),
        scored("all", pd.concat([half, rest], ignore_index=True), None, repeats, seed),
    ]
    permutations = [_stratified_order(rest, task, derive("order", seed, number)) for number in range(orders)]
    for size in sizes:
        by_order = []
        for number, permutation in enumerate(permutations):
            rows = pd.concat([half, rest.iloc[permutation[:size]]], ignore_index=True)
            by_order.append(scored(str(size), rows, None, 1, derive("curve", seed, number)))
        parts.append(_as_seeds(by_order))
    found = bootstrap.joint(Scores.merge(*parts), draws, seed)
    rows_at = np.array([0, *sizes, len(rest)])
    names = ["half", *[str(size) for size in sizes], "all"]
    progress(1.0, "worth in real rows read")
    return {
        "worth_real_rows": _read(rows_at, [found[name] for name in names], found["augmented"]),
        "curve": [
            {"rows": len(half) + int(added), **_interval(found[name])}
            for added, name in zip(rows_at, names, strict=True)
        ],
        "half": {
            "rows": len(half),
            "real": _interval(found["half"]),
            "augmented": _interval(found["augmented"]),
        },
    }


def _read(
    rows: np.ndarray, curve: list[tuple[float, np.ndarray]], augmented: tuple[float, np.ndarray]
) -> dict[str, Any]:
    """Where the augmented score meets the curve, by value and by draw."""
    values = np.array([value for value, _ in curve])
    drawn = np.stack([draws for _, draws in curve])
    gain, error = values[-1] - values[0], (drawn[-1] - drawn[0]).std()
    if not gain > LEAST_SIGNAL * error:
        reason = (
            f"the learning curve is too noisy: {rows[-1]} more real rows change the score by {gain:+.4f}, "
            f"with a standard error of {error:.4f}"
        )
        return _unread(reason)
    read = [_place(rows, drawn[:, draw], augmented[1][draw]) for draw in range(drawn.shape[1])]
    # A quantile between a number and infinity would be neither.
    low, high = np.quantile(read, [TAIL, 1 - TAIL], method="inverted_cdf")
    value = _place(rows, values, augmented[0])
    return {
        name: f"> {rows[-1]}" if np.isinf(found) else round(float(found))
        for name, found in (("value", value), ("low", min(low, value)), ("high", max(high, value)))
    }


def _unread(reason: str) -> dict[str, Any]:
    return {"value": None, "low": None, "high": None, "reason": reason}


def _place(rows: np.ndarray, curve: np.ndarray, reached: float) -> float:
    """Rows at which the smoothed curve reaches a score: 0 at or below its start, infinite beyond its end."""
    smooth = _monotone(rows, curve)
    if reached <= smooth[0]:
        return 0.0
    if reached > smooth[-1]:
        return float("inf")
    upper = int(np.argmax(smooth >= reached))
    lower = upper - 1
    share = (reached - smooth[lower]) / (smooth[upper] - smooth[lower])
    return float(rows[lower] + share * (rows[upper] - rows[lower]))


def _monotone(rows: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """The curve made to rise (isotonic regression)."""
    from scipy.optimize import isotonic_regression

    return isotonic_regression(curve).x


def _interval(found: tuple[float, np.ndarray]) -> dict[str, float]:
    value, draws = found
    low, high = np.quantile(draws, [TAIL, 1 - TAIL])
    return {"value": float(value), "low": float(low), "high": float(high), "se": float(draws.std())}


def _without(full: pd.DataFrame, half: pd.DataFrame) -> pd.DataFrame:
    """Rows of `full` that are not in `half`; of equal rows, as many stay as `full` has more."""
    keys = [pd.util.hash_pandas_object(_hashable(frame), index=False) for frame in (full, half)]
    numbered = [pd.MultiIndex.from_arrays([key, key.groupby(key).cumcount()]) for key in keys]
    return full[~numbered[0].isin(numbered[1])].reset_index(drop=True)


def _hashable(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts of all cells: equal cells hash equally, whatever the column's type."""
    return frame.astype(object).where(frame.notna(), None).map(str)


def _stratified_order(rows: pd.DataFrame, task: Task, seed: int) -> np.ndarray:
    """A random order of which every beginning has about the classes of the whole."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    if task.type == "regression" or not len(rows):
        return order
    labels = rows[task.target].map(str).iloc[order].reset_index(drop=True)
    place = labels.groupby(labels).cumcount() + rng.random()
    return order[np.argsort((place / labels.map(labels.value_counts())).to_numpy(), kind="stable")]


def _as_seeds(parts: list[Scores]) -> Scores:
    """One arm scored on several subsets of rows: each subset is to it what a seed is to a random learner."""
    first = parts[0]
    joined = Scores(first.metric, first.classes, first.positive, first.labels, trained=first.trained)
    for arm, learners in first.outputs.items():
        joined.outputs[arm] = {
            learner: np.concatenate([part.outputs[arm][learner] for part in parts]) for learner in learners
        }
    return joined
