"""Columns of numbers as plain floats, and how finely they are written."""

import numpy as np
import pandas as pd

LARGEST_INTEGER = 2.0**63 - 1024  # the largest float below 2**63


def floats(series: pd.Series) -> np.ndarray:
    """A column of numbers as float (rows,), missing values as NaN."""
    return series.to_numpy(dtype="float64", na_value=np.nan)


def decimals_of(values: np.ndarray) -> int | None:
    """Decimals that the (present) numbers are written with, up to 10; None: more."""
    for decimals in range(11):
        if np.array_equal(np.round(values, decimals), values):
            return decimals
    return None
