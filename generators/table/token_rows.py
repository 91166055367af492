"""Train rows as a matrix of tokens: in memory, or, for long tables, in a file that is read as it is needed."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from leaven.generators.constraints import Constraint
from leaven.generators.contract import Progress
from leaven.generators.rows import Rows, to_frame
from leaven.generators.table.prepare import Preparation
from leaven.generators.table.vocabulary import Vocabulary

IN_MEMORY = 2**29  # bytes of tokens; a longer matrix is kept in a temporary file


class TokenRows:
    """Tokens uint16 (rows, columns), and the file they may lie in, which goes with the object."""

    def __init__(self, tokens: np.ndarray, folder: "tempfile.TemporaryDirectory[str] | None" = None):
        self.tokens, self._folder = tokens, folder

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def of_frame(cls, frame: pd.DataFrame, vocabulary: Vocabulary, preparation: Preparation) -> "TokenRows":
        """Tokens of rows in memory."""
        return cls(vocabulary.encode(frame, preparation)[0])

    @classmethod
    def stream(
        cls,
        rows: Rows,
        vocabulary: Vocabulary,
        preparation: Preparation,
        *,
        constraints: list[tuple[Constraint, object]],
        most: int,
        progress: Progress,
        name: str,
    ) -> "TokenRows":
        """Tokens of the first `most` rows that keep the constraints, read batch by batch."""
        total, width = min(len(rows), most), len(vocabulary.columns)
        folder = None
        if total * width * 2 > IN_MEMORY:
            folder = tempfile.TemporaryDirectory(prefix="leaven-tokens-")
            tokens: np.ndarray = np.memmap(
                Path(folder.name) / "tokens", dtype=np.uint16, mode="w+", shape=(total, width)
            )
        else:
            tokens = np.empty((total, width), dtype=np.uint16)
        filled = 0
        for batch in rows.batches():
            frame = to_frame(batch, rows.schema)
            for constraint, learned in constraints:
                frame = frame[constraint.holds(frame, learned)].reset_index(drop=True)
            take = min(len(frame), total - filled)
            if take:
                tokens[filled : filled + take] = vocabulary.encode(frame.iloc[:take], preparation)[0]
                filled += take
            progress(float("nan"), f"{name}: read {filled:,} of {total:,} train rows")
            if filled == total:
                break
        return cls(tokens[:filled], folder)
