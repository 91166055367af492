"""Validation and test files of their own: no row of theirs is trained on, and none stands in both."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from leaven.generators.errors import InputError
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema
from leaven.pipelines import kinds
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.row_digest import row_digests
from leaven.pipelines.split_content import LEFT_OUT
from leaven.pipelines.stage import Record


class HeldOut:
    """The files that a source came with, beside its rows: `given` names them, `validation`, `test` or both."""

    def __init__(self, recipe: Recipe, source: Record, schema: Schema, given: list[str]):
        self._kind, self._schema = kinds.get(recipe.source.kind), schema
        self._paths = {part: source.path(f"{part}.parquet") for part in given}

    def leave_out_copies(self, digests: np.ndarray, parts: np.ndarray) -> list[str]:
        """Take rows that stand in one of the files out of `parts`, in place; the warnings.

        Args:
            digests: uint64 (rows,), of what tells rows apart.
            parts: int8 (rows,).
        """
        warnings = []
        for part in self._paths:
            copies = np.isin(digests, self._digests(part)) & (parts != LEFT_OUT)
            if copies.any():
                parts[copies] = LEFT_OUT
                warnings.append(
                    f"{int(copies.sum())} rows stand in the {part} file too and are not trained on"
                )
        return warnings

    def write(self, out: Path) -> list[str]:
        """Write the files as parts, without those validation rows that are test rows too: the last fits learn from
        validation. The warnings.

        Raises:
            InputError: no validation row is left.
        """
        for part, path in self._paths.items():
            shutil.copyfile(path, out / f"{part}.parquet")
        if len(self._paths) < 2:
            return []
        unseen, kept, found = self._digests("test"), 0, 0
        with pq.ParquetWriter(out / "validation.parquet", self._schema.arrow()) as writer:
            for batch in Rows(self._paths["validation"], self._schema).batches():
                keep = ~np.isin(self._of(batch), unseen)
                kept, found = kept + int(keep.sum()), found + len(keep)
                writer.write_table(batch.filter(pa.array(keep)))
        if not kept:
            raise InputError(
                "split.validation_path: all of its rows stand in the test file too; expected others"
            )
        told = "rows of the validation file stand in the test file too and are left out of validation"
        return [f"{found - kept} {told}"] if kept < found else []

    def _digests(self, part: str) -> np.ndarray:
        return np.concatenate(
            [np.empty(0, np.uint64), *map(self._of, Rows(self._paths[part], self._schema).batches())]
        )

    def _of(self, batch: pa.Table) -> np.ndarray:
        return row_digests(self._kind.compared_by(batch, self._schema))
