"""How a generator's rows are judged: the pipeline's own measures, each between its floor and its ceiling.

The floor is what fresh real rows give in place of the synthetic ones, the ceiling what train rows give whose columns
were shuffled one by one (for privacy: train rows drawn with replacement). Neither depends on the generator, so they
are measured once per table and seed.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

import leaven.pipelines
from leaven.generators.seeds import derive
from leaven.pipelines import kinds
from leaven.pipelines.quality import bootstrap, privacy, utility
from leaven.pipelines.quality.controls import Arms, independent_columns
from leaven.pipelines.quality.encode import Encoder
from leaven.pipelines.quality.fidelity import Neighbourhoods, Pairs, column_shapes, detection
from leaven.pipelines.quality.neighbours import nearest
from leaven.pipelines.quality.scores import Scores
from leaven.pipelines.threads import limited
from peers.tables import Table

FIDELITY_ROWS = 20_000  # rows on each side for shapes, trends and detection
NEIGHBOUR_ROWS = 10_000  # rows on each side for coverage and recall, and in the privacy attacks
DRAWS = 300  # bootstrap draws for the interval of a gap
RADII = 30  # quantiles over which beta-recall is averaged
LEARNER = "boosted_tree"

Numbers = dict[str, float]


@dataclass
class Judge:
    """Judges synthetic rows of one table. Make one per table and seed: the controls are measured once.

    Args:
        table: its train rows are what generators learned from, its test rows are the fresh ones.
        seed: of samples, folds and splits; equal seeds compare with the same real rows.
        threads: of numeric libraries, where that many pay.
        against: which real rows the synthetic ones are compared with by shapes, trends, detection and
            neighbourhoods; the others are the floor. `train` is the pipeline's definition; against `test` a
            generator wins nothing by repeating what it learned from.
    """

    table: Table
    seed: int
    threads: int = 2
    against: str = "train"
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.train, self.test = self.table.frame("train"), self.table.frame("test")
        self.real, self.fresh = (
            (self.train, self.test) if self.against == "train" else (self.test, self.train)
        )
        self.kind = kinds.get("table")

    @property
    def rows(self) -> int:
        """Synthetic rows that are needed: as many as there are train rows."""
        return len(self.train)

    def controls(self, folder: Path) -> dict[str, Numbers]:
        """Floor and ceiling: `{"floor": ..., "ceiling": ...}`, kept in `folder` and measured only once."""
        stamp, name = self._stamp(), f"controls-{self.against}-{self.seed}"
        file, scores = folder / f"{name}.json", folder / f"{name}.npz"
        if file.exists() and scores.exists() and json.loads(file.read_text())["stamp"] == stamp:
            self._kept["scores"] = Scores.load(scores)
            return json.loads(file.read_text())["controls"]
        bad = independent_columns(self.train, derive(self.seed, "independent"))
        self._kept["scores"] = self._scores(
            {"real": [self.train], "ceiling": [bad], "ceiling_augmented": [self.train, bad]}
        )
        values = {arm: self._value(self._kept["scores"], arm) for arm in self._kept["scores"].arms}
        floor = {**self._resemblance(self.fresh), "tstr": values["real"], "augmented": values["real"]}
        ceiling = self._resemblance(bad)
        ceiling |= {"tstr": values["ceiling"], "augmented": values["ceiling_augmented"]}
        self._kept["scores"].save(scores)
        found = {"floor": floor, "ceiling": ceiling}
        file.write_text(json.dumps({"stamp": stamp, "controls": found}, indent=1))
        return found

    def judge(self, synthetic: pd.DataFrame) -> dict[str, Any]:
        """All numbers of a generator's rows; call `controls` first.

        Returns:
            NAME -> value, `tstr_gap` and `lift` as {value, low, high} (real minus synthetic only, and real plus
            synthetic minus real: paired, 95 % intervals over test rows), and `privacy`: NAME -> {value, floor,
            ceiling, noise}.
        """
        first = synthetic.iloc[: len(self.train)]
        made = self._scores({"synthetic": [first], "augmented": [self.train, first]})
        scores = Scores.merge(self._kept["scores"], made)
        return {
            **self._resemblance(synthetic),
            "tstr": self._value(scores, "synthetic"),
            "augmented": self._value(scores, "augmented"),
            "tstr_gap": self._difference(scores, "real", "synthetic"),
            "lift": self._difference(scores, "augmented", "real"),
            "privacy": self._privacy(synthetic),
        }

    def _resemblance(self, rows: pd.DataFrame) -> Numbers:
        """Shapes, trends, detection, coverage and recall of any rows, with as many rows for all."""
        schema, seed = self.table.schema, self.seed
        size = min(len(self.real), len(self.fresh), FIDELITY_ROWS)
        if len(rows) < size:
            raise ValueError(f"{size:,} rows are compared, there are {len(rows):,}")
        arms = Arms.draw(self.real, rows, self.fresh, seed, size)
        encoder = Encoder.fit(schema, arms.reference)
        with limited(self.threads, size):
            found = {
                "column_shapes": column_shapes(encoder, arms.reference, arms.synthetic),
                "pair_trends": Pairs(encoder, arms.reference, derive(seed, "pairs")).error(arms.synthetic),
                "detection": detection(schema, arms.reference, arms.synthetic, derive(seed, "folds")),
            }
        small = min(size, NEIGHBOUR_ROWS)
        with limited(self.threads, len(self.train)):
            return found | reach(
                encoder, arms.reference.iloc[:small], arms.synthetic.iloc[:small], self._kept
            )

    def _scores(self, arms: dict[str, list[pd.DataFrame]]) -> Scores:
        return utility.score_arms(
            self.kind,
            self.table.schema,
            self.table.task,
            arms=[utility.Arm(name, frames) for name, frames in arms.items()],
            reference=self.train,
            score=self.test,
            learners=self.kind.learners(self.table.task, [LEARNER]),
            repeats=1,
            seed=derive(self.seed, "learners"),
            max_rows=2 * len(self.train),
            threads=self.threads,
        )

    def _value(self, scores: Scores, arm: str) -> float:
        return float(scores.values(arm)[LEARNER].mean())

    def _difference(self, scores: Scores, a: str, b: str) -> Numbers:
        task, seed = self.table.task, derive(self.seed, "bootstrap")
        found = bootstrap.difference([scores], a, b, task, DRAWS, seed)
        return {"value": found.value, "low": found.low, "high": found.high}

    def _privacy(self, synthetic: pd.DataFrame) -> dict[str, Numbers]:
        with limited(self.threads, len(self.train)):
            found = privacy.measure(
                self.table.schema,
                self.table.task,
                train=self.train,
                synthetic=synthetic,
                held_out=self.test,
                seed=self.seed,
                max_rows=NEIGHBOUR_ROWS,
            )
        names = ("copies", "near_copies", "worst_attack")
        return {name: {k: found[name][k] for k in ("value", "floor", "ceiling", "noise")} for name in names}

    def _stamp(self) -> str:
        sizes = [len(self.train), len(self.test), FIDELITY_ROWS, NEIGHBOUR_ROWS]
        stood = [self.table.train.stat().st_mtime, self.table.test.stat().st_mtime]
        return json.dumps([sizes, stood, LEARNER, code_digest(leaven.pipelines)])


def code_digest(package: ModuleType) -> str:
    """Of a package's code: what was measured with other code is measured again."""
    digest = hashlib.sha256()
    for path in sorted(Path(package.__path__[0]).rglob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def reach(
    encoder: Encoder, real: pd.DataFrame, rows: pd.DataFrame, kept: dict[str, Any] | None = None
) -> Numbers:
    """How much of the real rows the others reach: coverage (as `quality.diversity`) and beta-recall.

    Beta-recall (Alaa et al. 2022, in the space of the house's distances instead of a learned one): a real row is
    recalled at level b if some row is at least as near as the nearest real one, and that row is among the share b of
    rows nearest to their common centre; 1 minus how far the recall curve lies from the diagonal, 1 at best. Fresh
    real rows come out near a half. `kept` holds the real rows' balls over calls with the same real rows.
    """
    kept = {} if kept is None else kept
    if "balls" not in kept:
        balls = Neighbourhoods(encoder, real)
        own = nearest(balls.points, balls.points, 1, own=np.arange(len(real)))[0][:, 0]
        kept["balls"] = (balls, own)
    balls, own = kept["balls"]
    points = encoder.space(rows).astype(np.float64)
    distance, place = (found[:, 0] for found in nearest(balls.points, points, 1))
    outward = np.linalg.norm(points - points.mean(axis=0), axis=1)
    levels = np.linspace(0, 1, RADII)
    inside = outward[place][:, None] <= np.quantile(outward, levels)
    recalled = ((distance <= own)[:, None] & inside).mean(axis=0)
    return {
        "coverage": float((distance <= balls.radius).mean()),
        "beta_recall": float(1 - np.abs(levels - recalled).sum() / levels.sum()),
    }
