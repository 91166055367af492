"""UnmaskingTrees (McCarter 2024; utrees) with their defaults."""

from typing import Any

from harness import Request, run
from matrix import Matrix
from utrees import UnmaskingTrees


def fit(request: Request) -> tuple[Any, dict[str, Any]]:
    matrix = Matrix(request)
    kinds = ["categorical"] * matrix.coded
    kinds += ["integer" if whole else "continuous" for whole in matrix.whole[matrix.coded :]]
    settings: dict[str, Any] = {"random_state": request.seed} | request.parameters
    settings["xgboost_kwargs"] = {"n_jobs": request.threads} | settings.get("xgboost_kwargs", {})
    model = UnmaskingTrees(**settings).fit(matrix.values, quantize_cols=kinds)
    return (model, matrix), {}


def sample(made: Any, count: int, seed: int, request: Request) -> Any:
    model, matrix = made
    model.random_state_.seed(seed)
    return matrix.frame(model.generate(n_generate=count))


if __name__ == "__main__":
    run(fit, sample)
