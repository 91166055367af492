"""A share of rows that are copies, with its controls."""

from typing import Any

import numpy as np


def share(copied: np.ndarray, floor: float, ceiling: float, controls: int, what: str) -> dict[str, Any]:
    """A share of rows that are copies, bool (rows,); `controls` is how many real rows the floor was read from."""
    # Never 0: nothing seen in n rows is still about 1 in n.
    spread = floor * (1 - floor) + 1 / controls
    return {
        "value": float(copied.mean()),
        "floor": floor,
        "ceiling": ceiling,
        "better": "lower",
        "what": what,
        "noise": float(np.sqrt(spread * (1 / len(copied) + 1 / controls))),
    }
