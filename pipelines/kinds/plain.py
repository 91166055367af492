"""How a version keeps rows that need no other form than they have in a run."""

import pyarrow as pa


class Plain:
    """Rows stay as they are, so a version's files can be the run's.

    Attributes:
        same: whether rows stay as they are.
        group_rows: rows that are in memory at once, where files are written anew.
        shard_rows: rows that are sampled at once.
        formats: suffixes of the files that rows can be written into.
    """

    same = True
    group_rows = 65_536
    shard_rows = 50_000
    formats: tuple[str, ...] = (".parquet", ".csv")

    def schema(self, rows: pa.Schema) -> pa.Schema:
        """The columns as a version has them."""
        return rows

    def table(self, rows: pa.Table, made_by: tuple[str, int] | None = None) -> pa.Table:
        """The rows as a version has them."""
        return rows
