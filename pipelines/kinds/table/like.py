"""A file of rows with missing cells -> typed rows, read as the columns of a version are."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from leaven.generators.errors import InputError
from leaven.generators.rows import Rows, to_frame
from leaven.generators.schema import Schema
from leaven.pipelines.kinds.table.infer import understand
from leaven.pipelines.kinds.table.reader import check_names, open_source, survey
from leaven.pipelines.kinds.table.write_rows import Source, read_values
from leaven.pipelines.recipe import Source as SourceRecipe
from leaven.pipelines.recipe_errors import nearest


def read_like(path: Path, schema: Schema, how: SourceRecipe, real: Sequence[Path]) -> pd.DataFrame:
    """Typed rows of a CSV or Parquet file, with those of the schema's columns that it has, in the schema's order.

    Args:
        path: the file.
        schema: names and types of the version's columns.
        how: delimiter, encoding and texts that mean missing, as in the recipe.
        real: real rows; a category that none of them has is refused.

    Raises:
        InputError: names file, row and column of a value that does not fit, or a column that is not known.
    """
    source = open_source(path, how.model_copy(update={"drop": []}), "--like")
    check_names(source)
    for name in source.names:
        if name not in schema:
            raise InputError(f"{path.name}: column '{name}' is not known; {nearest(name, schema.names)}")
    names = [name for name in schema.names if name in source.names]

    def locate(row: int) -> str:
        return f"{path.name} {source.unit} {source.lines([row])[row]}"

    found = survey(source, names, None, how.missing)
    understood = []
    for name in names:
        one = understand(
            found[name], schema[name].type, target=True, locate=locate, delimiter=source.delimiter
        )
        missing = tuple(dict.fromkeys([*how.missing, *one.missing]))
        understood.append(dataclasses.replace(one, column=schema[name], missing=missing))
    table = pa.concat_tables(list(source.batches())).combine_chunks()
    columns: dict[str, pa.Array] = {}
    for one in understood:
        name = one.column.name
        raw = pa.concat_arrays(table.column(name).chunks)
        columns[name], wrong = read_values(raw, one)
        _refuse(source, name, raw, wrong, f"is not of type {one.column.type}")
    kinds = {name: schema[name].type for name in names}
    known = _known([name for name in names if kinds[name] == "category"], real, schema)
    for name, values in known.items():
        texts = columns[name].to_pylist()
        strange = np.array([text is not None and text not in values for text in texts], dtype=bool)
        if strange.any():
            text = texts[int(np.argmax(strange))]
            some = sorted(values)[:10_000]
            _refuse(source, name, columns[name], strange, f"no real row has; {nearest(text, some)[:200]}")
    return to_frame(pa.table(columns), schema)


def _known(names: Sequence[str], real: Iterable[Path], schema: Schema) -> dict[str, set[str]]:
    """The values that real rows have in columns of categories."""
    known: dict[str, set[str]] = {name: set() for name in names}
    for path in real:
        for batch in Rows(path, schema).batches():
            for name in names:
                known[name].update(batch.column(name).unique().to_pylist())
    return {name: {text for text in values if text is not None} for name, values in known.items()}


def _refuse(source: Source, name: str, raw: pa.Array, wrong: np.ndarray, what: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{source.path.name} {source.unit} {source.lines([row])[row]}: column '{name}' has "
            f"{str(raw[row].as_py())[:80]!r}, which {what}"
        )
