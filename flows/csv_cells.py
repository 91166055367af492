"""Cells of CSV exports that a spreadsheet would run as a formula."""

import pandas as pd

from leaven.generators.schema import Schema

# https://owasp.org/www-community/attacks/CSV_Injection
STARTS = ("=", "+", "-", "@", "\t", "\r")
MARK = "'"


def unrunnable(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The frame with `'` before each free text that begins like a formula.

    Labels and categories stay: they are the source's own, and must stay equal to it.
    """
    texts = {column.name: frame[column.name] for column in schema.columns if column.type == "text"}
    return frame.assign(
        **{
            name: values.mask(values.str.startswith(STARTS).fillna(False).astype(bool), MARK + values)
            for name, values in texts.items()
            if name in frame
        }
    )
