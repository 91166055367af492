"""The task as understood from recipe and data: what the classifier predicts and how it is scored."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Task(BaseModel):
    """Classification: `classes` are the labels as text, in sorted order. `positive` is set for two classes."""

    model_config = ConfigDict(frozen=True)

    target: str
    type: Literal["classification", "regression"]
    metric: str
    classes: tuple[str, ...] = ()
    positive: str | None = None
