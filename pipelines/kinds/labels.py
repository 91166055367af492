"""Labels as numbers."""

import numpy as np
import pandas as pd

from leaven.pipelines.task import Task


def codes(task: Task, labels: pd.Series) -> np.ndarray:
    """Codes int64 (rows,) in the order of `task.classes`, -1 for any other label and where it is missing."""
    found, distinct = pd.factorize(labels)  # missing is -1
    place = {label: code for code, label in enumerate(task.classes)}
    return np.array([place.get(str(value), -1) for value in distinct] + [-1], dtype=np.int64)[found]
