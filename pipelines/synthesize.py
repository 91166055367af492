"""Sample and screen until the rows that were asked for are there: rounds of shards, each screened."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from leaven.generators.contract import Progress, silent
from leaven.pipelines import stage
from leaven.pipelines.amounts import Order, Plan, Shard, shards
from leaven.pipelines.recipe import Candidate
from leaven.pipelines.run import Run
from leaven.pipelines.sample import sample
from leaven.pipelines.screen import screen
from leaven.pipelines.stage import Record

ROUNDS = 4  # a first round and up to three that make up for rejected rows
LEAST_YIELD = 0.05  # a lower yield is not chased: the report says how many rows are missing

SampleShards = Callable[[Sequence[Shard]], Sequence[Record]]


@dataclass
class Made:
    """Synthetic rows of one plan, before and after the screen."""

    sampled: list[Path] = field(default_factory=list)  # the first round, before screening
    kept: list[Path] = field(default_factory=list)
    rejected: list[Path] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    rows_sampled: int = 0
    rows_kept: int = 0
    missing: int = 0  # rows that were asked for and could not be kept
    seconds_sample: float = 0.0
    seconds_screen: float = 0.0
    records: list[Record] = field(default_factory=list)

    def notes(self) -> list[str]:
        """What the report must say of these rows."""
        if not self.missing:
            return []
        return [
            f"{self.missing:,} of the {self.missing + self.rows_kept:,} rows asked for did not pass the screen"
        ]


def synthesize(
    run: Run,
    candidate: Candidate,
    model: Record,
    plan: Plan,
    train: list[Path],
    *,
    part: str,
    sample_shards: SampleShards | None = None,
    progress: Progress = silent,
) -> Made:
    """The plan's rows, screened. `sample_shards` makes the shards of one round, in any order or place.

    Raises:
        ConditionError: rows that meet a condition of the plan cannot be made.
    """
    make_shards = sample_shards or (
        lambda part_of: [sample(run, candidate, model, plan, s, part=part) for s in part_of]
    )
    made = Made()
    orders = list(plan.orders)
    index = offset = 0
    for turn in range(ROUNDS):
        cut = shards(tuple(orders), run.recipe.shard_rows, index, offset)
        records = list(make_shards(cut))
        screened = _screen(
            run, candidate, train, records, orders, cut, part=part, turn=turn, progress=progress
        )
        sampled = [path for record in records for path in record.paths("rows.parquet")]
        if turn == 0:
            made.sampled = sampled
        made.records += [*records, screened]
        made.kept += screened.paths("kept/*.parquet")
        made.rejected += screened.paths("rejected.parquet")
        made.reasons.update(screened.result["rejected"])
        made.rows_sampled += screened.result["sampled"]
        made.rows_kept += screened.result["kept"]
        made.seconds_sample += sum(record.seconds for record in records)
        made.seconds_screen += screened.seconds
        index, offset = index + len(cut), offset + sum(shard.rows for shard in cut)
        orders = _top_up(orders, screened.result["taken_by_order"])
        if not orders:
            break
    made.missing = plan.rows - made.rows_kept
    return made


def _top_up(orders: list[Order], taken: list[int]) -> list[Order]:
    """What to ask for in the next round, from what this round's orders kept."""
    again = []
    for order, kept in zip(orders, taken, strict=True):
        short = order.rows - kept
        share = kept / order.rows
        if short > 0 and share >= LEAST_YIELD:
            again.append(Order(rows=short, conditions=order.conditions))
    return again


def _screen(
    run: Run,
    candidate: Candidate,
    train: list[Path],
    records: list[Record],
    orders: list[Order],
    cut: list[Shard],
    *,
    part: str,
    turn: int,
    progress: Progress,
) -> Record:
    def make(out: Path) -> dict[str, object]:
        counts = screen(
            run.kind,
            run.schema,
            run.task,
            run.recipe,
            train=train,
            shards=[path for record in records for path in record.paths("rows.parquet")],
            out=out,
            seed=run.seed("screen", part),
            threads=run.recipe.threads,
            progress=progress,
        )
        kept = [pq.read_metadata(path).num_rows for path in sorted((out / "kept").glob("*.parquet"))]
        by_order = _by_order(orders, cut, kept)
        return {**counts, "taken_by_order": by_order}

    config = {
        "screen": run.recipe.screen.model_dump(mode="json"),
        "constraints": run.lineage["constraints"],
        "orders": [order.model_dump(mode="json") for order in orders],
        "seed": run.seed("screen", part),
        "threads": run.recipe.threads,
    }
    inputs = {record.stage: record.digest for record in records}
    inputs |= {f"train{n}": stage.file_digest(path) for n, path in enumerate(train)}
    name = f"screen-{part}-{candidate.generator}-{turn}"
    return stage.run(run.work, name, inputs=inputs, config=config, make=make)


def _by_order(orders: list[Order], cut: list[Shard], kept: list[int]) -> list[int]:
    """Rows kept for each order: shards stand in the order of their orders."""
    taken, position = [], 0
    for order in orders:
        left, count = order.rows, 0
        while left > 0:
            left -= cut[position].rows
            count += kept[position]
            position += 1
        taken.append(count)
    return taken
