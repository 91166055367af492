"""Sample and screen until the rows that were asked for are there: rounds of shards, each screened."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from leaven.generators.contract import Progress, silent
from leaven.generators.parallel import Each
from leaven.pipelines import models, stage
from leaven.pipelines.amounts import Order, Plan, Shard, shards
from leaven.pipelines.recipe import Candidate, Screen
from leaven.pipelines.run import Run
from leaven.pipelines.sample import sample
from leaven.pipelines.screen import for_role, screen
from leaven.pipelines.stage import Record
from leaven.pipelines.ways import settled_screen

ROUNDS = 4  # a first round and up to three that make up for rejected rows
# Where levels are tried, the first round has so many times the rows, if they are no more than LITTLE.
ROOM, LITTLE = 3, 2_000
SPARE = 1.1  # a further round asks for so many times the rows that it should take
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
    screened: list[Record] = field(default_factory=list)  # those of the screen

    @property
    def asked(self) -> int:
        """Rows that were asked for."""
        return self.rows_kept + self.missing

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
    level: Screen | None = None,
    sample_shards: SampleShards | None = None,
    each: Each | None = None,
    progress: Progress = silent,
) -> Made:
    """The plan's rows, screened at one of the recipe's levels (the first one when left out).

    All levels judge the same rows in the first round. `sample_shards` makes the shards of one round, in any order or
    place; `each` judges them, in any place.

    Raises:
        ConditionError: rows that meet a condition of the plan cannot be made.
    """
    make_shards = sample_shards or (
        lambda part_of: [sample(run, candidate, model, plan, s, part=part) for s in part_of]
    )
    made = Made()
    level = level or run.recipe.screen.levels()[0]
    wanted = [order.rows for order in plan.orders]
    orders = [
        order.model_copy(update={"rows": _room(run, candidate, plan) * order.rows}) for order in plan.orders
    ]
    index = offset = 0
    for turn in range(ROUNDS):
        cut = shards(tuple(orders), run.recipe.shard_rows, index, offset)
        records = list(make_shards(cut))
        screened = _screen(
            run,
            candidate,
            train,
            records,
            cut,
            orders,
            wanted,
            level,
            earlier=list(made.screened),
            part=part,
            role=model.result["role"],
            turn=turn,
            each=each,
            progress=progress,
        )
        sampled = [path for record in records for path in record.paths("rows.parquet")]
        if turn == 0:
            made.sampled = sampled
        made.records += [*records, screened]
        made.screened.append(screened)
        made.kept += screened.paths("kept/*.parquet")
        made.rejected += screened.paths("rejected.parquet")
        made.reasons.update(screened.result["rejected"])
        made.rows_sampled += screened.result["sampled"]
        made.rows_kept += screened.result["kept"]
        made.seconds_sample += sum(record.seconds for record in records)
        made.seconds_screen += screened.seconds
        index, offset = index + len(cut), offset + sum(shard.rows for shard in cut)
        orders, wanted = _top_up(orders, wanted, screened.result["taken_by_order"])
        if not orders:
            break
    made.missing = plan.rows - made.rows_kept
    return made


def _room(run: Run, candidate: Candidate, plan: Plan) -> int:
    """How many times the rows to ask for at first: of few rows rather too many, since a round costs more than they do.

    The same at every level of the screen, which then judge the same rows.
    """
    levels = settled_screen(run.recipe, candidate.generator).levels()
    return ROOM if plan.rows <= LITTLE and len(levels) > 1 else 1


def _top_up(orders: list[Order], wanted: list[int], taken: list[int]) -> tuple[list[Order], list[int]]:
    """What to ask for in the next round, and how much of it is wanted, from what this round's orders kept."""
    again, short = [], []
    for order, rows, kept in zip(orders, wanted, taken, strict=True):
        share = kept / order.rows
        if kept < rows and share >= LEAST_YIELD:
            asked = math.ceil(min(SPARE / share, 1 / LEAST_YIELD) * (rows - kept))
            again.append(Order(rows=asked, conditions=order.conditions))
            short.append(rows - kept)
    return again, short


def _screen(
    run: Run,
    candidate: Candidate,
    train: list[Path],
    records: list[Record],
    cut: list[Shard],
    orders: list[Order],
    wanted: list[int],
    level: Screen,
    *,
    earlier: list[Record],
    part: str,
    role: str,
    turn: int,
    each: Each | None,
    progress: Progress,
) -> Record:
    shards_of = _shards_of(orders, cut)

    def make(out: Path) -> dict[str, object]:
        counts = screen(
            run.kind,
            run.schema,
            run.task,
            for_role(run.recipe, role),
            train=train,
            shards=[path for record in records for path in record.paths("rows.parquet")],
            out=out,
            seed=run.seed("screen", part),
            threads=run.recipe.threads,
            level=level,
            quotas=list(zip(shards_of, wanted, strict=True)),
            earlier=[path for record in earlier for path in record.paths("kept/*.parquet")],
            each=each,
            progress=progress,
        )
        kept = iter([pq.read_metadata(path).num_rows for path in sorted((out / "kept").glob("*.parquet"))])
        return {**counts, "taken_by_order": [sum(next(kept) for _ in range(count)) for count in shards_of]}

    config = {
        "screen": level.model_dump(mode="json", exclude={"reject_file"}),
        "constraints": run.lineage["constraints"],
        "orders": [order.model_dump(mode="json") for order in orders],
        "wanted": wanted,
        "role": role,
        "seed": run.seed("screen", part),
        "threads": run.recipe.threads,
    }
    inputs = {record.stage: record.digest for record in records}
    if run.recipe.screen.reject_file is not None:  # what it holds counts, not where it lies
        inputs["marked"] = stage.file_digest(Path(run.recipe.screen.reject_file))
    if run.recipe.screen.toxicity:
        inputs["toxicity"] = models.content(run.recipe.screen.toxicity)
    inputs |= {f"earlier{n}": record.digest for n, record in enumerate(earlier)}
    inputs |= {f"train{n}": stage.file_digest(path) for n, path in enumerate(train)}
    name = f"screen-{part}-{candidate.generator}-{turn}"
    return stage.run(run.work, name, inputs=inputs, config=config, make=make)


def _shards_of(orders: list[Order], cut: list[Shard]) -> list[int]:
    """How many shards each order has: they stand in the order of their orders."""
    counts, position = [], 0
    for order in orders:
        start, left = position, order.rows
        while left > 0:
            left -= cut[position].rows
            position += 1
        counts.append(position - start)
    return counts
