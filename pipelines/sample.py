"""Sample: a fitted generator -> one shard of synthetic rows in Parquet."""

import functools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from leaven.generators.contract import SOURCE, Generator
from leaven.generators.rows import to_arrow
from leaven.generators.schema import Column, Schema
from leaven.generators.seeds import derive
from leaven.pipelines import models, stage
from leaven.pipelines.amounts import Plan, Shard
from leaven.pipelines.fit import load
from leaven.pipelines.recipe import Candidate
from leaven.pipelines.run import Run
from leaven.pipelines.stage import Record

COLUMNS = (("_generator", pa.string()), (SOURCE, pa.int64()), ("_seed", pa.int64()))


def sample(run: Run, candidate: Candidate, model: Record, plan: Plan, shard: Shard, *, part: str) -> Record:
    """Make one shard. Its bytes depend on the run's lineage, the candidate, the amount, the seed and its index.

    Raises:
        ConditionError: rows that meet the shard's conditions cannot be made.
    """
    seed = run.seed("sample", models.identity(candidate), plan.amount, part, shard.index)

    def make(out: Path) -> dict[str, object]:
        generator = _generator(
            candidate.model_dump_json(), model.folder, model.digest, run.recipe.source.kind
        ).to(run.device)
        frame = generator.sample(shard.rows, seed=seed, conditions=shard.conditions, offset=shard.offset)
        assert generator.schema is not None
        table = marked(to_arrow(frame, generator.schema), candidate.generator, seed, frame.get(SOURCE))
        pq.write_table(table, out / "rows.parquet")
        return {"rows": len(frame)}

    config = {
        "candidate": candidate.model_dump(mode="json"),
        "shard": shard.model_dump(mode="json"),
        "seed": seed,
        **({} if run.device == "cpu" else {"device": run.device}),
    }
    name = f"sample-{part}-{candidate.generator}-{shard.index:05d}"
    return stage.run(run.work, name, inputs={"model": model.digest}, config=config, make=make)


def with_sources(schema: Schema) -> Schema:
    """The columns with the train row that an editor started from, which all synthetic rows have."""
    source = Column(name=SOURCE, type="integer", nullable=True)
    return Schema(columns=(*schema.columns, source), target=schema.target)


def marked(table: pa.Table, generator: str, seed: int, sources: Any = None) -> pa.Table:
    """The rows with the three columns that say where a synthetic row comes from.

    `sources`: the train row that each row started from, where an editor made it.
    """
    values = {"_generator": generator, SOURCE: None, "_seed": seed}
    for name, kind in COLUMNS:
        given = sources if name == SOURCE and sources is not None else [values[name]] * table.num_rows
        table = table.append_column(name, pa.array(given, kind))
    return table


@functools.lru_cache(maxsize=2)
def _generator(candidate: str, folder: Path, digest: str, kind: str) -> Generator:
    """The loaded generator, kept for the next shard of this process."""
    record = Record(stage="fit", inputs={}, config={}, code="", folder=folder)
    return load(Candidate.model_validate_json(candidate), record, kind)


def shard_seed(name: str, version: str, seed: int, index: int) -> int:
    """The seed of a shard that is sampled on demand from a released generator."""
    return derive("on-demand", name, version, seed, index)
