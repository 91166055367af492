"""How a version keeps rows that need no other form than they have in a run."""

import pyarrow as pa


class Plain:
    """Rows stay as they are, so a version's files can be the run's.

    Attributes:
        same: whether rows stay as they are.
        group_rows: rows that are in memory at once, where files are written anew.
    """

    same = True
    group_rows = 65_536

    def schema(self, rows: pa.Schema) -> pa.Schema:
        """The columns as a version has them."""
        return rows

    def table(self, rows: pa.Table) -> pa.Table:
        """The rows as a version has them."""
        return rows
