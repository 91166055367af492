"""ForestDiffusion (Jolicoeur-Martineau et al. 2024) with its defaults: flow, one model per class of the target.

Its columns are put with the coded ones first: it tells dummy columns apart by the digits of their numbers.
"""

from typing import Any

import numpy as np
from ForestDiffusion import ForestDiffusionModel
from harness import Request, run
from matrix import Matrix


def fit(request: Request) -> tuple[Any, dict[str, Any]]:
    matrix = Matrix(request)
    values, coded = matrix.values, matrix.coded
    label = None
    place = matrix.names.index(request.target)
    if request.task == "classification":
        label = values[:, place]
        values = np.delete(values, place, axis=1)
        coded -= place < coded
    whole = [flag for name, flag in zip(matrix.names, matrix.whole, strict=True) if name != request.target]
    if label is None:
        whole = matrix.whole
    levels = [len(np.unique(column[~np.isnan(column)])) for column in values[:, :coded].T]
    settings: dict[str, Any] = {
        "label_y": label,
        "cat_indexes": [n for n in range(coded) if levels[n] > 2],
        "bin_indexes": [n for n in range(coded) if levels[n] <= 2],
        "int_indexes": [n for n in range(coded, values.shape[1]) if whole[n]],
        "n_jobs": request.threads,
        "seed": request.seed,
    }
    return (ForestDiffusionModel(values, **settings | request.parameters), matrix, place), {}


def sample(made: Any, count: int, seed: int, request: Request) -> Any:
    model, matrix, place = made
    np.random.seed(seed)
    values = model.generate(batch_size=count)
    if request.task == "classification":  # the label comes last
        values = np.insert(values[:, :-1], place, values[:, -1], axis=1)
    return matrix.frame(values)


if __name__ == "__main__":
    run(fit, sample)
