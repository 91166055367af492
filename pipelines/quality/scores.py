"""What classifiers said about the held-out rows, arm by arm: the raw material of every number about utility."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from leaven.pipelines.quality import metrics
from leaven.pipelines.task import Task


@dataclass
class Scores:
    """Outputs of every arm, learner and seed on one set of held-out rows.

    Attributes:
        metric, classes, positive: as in the task; `positive` is a class code.
        labels: class codes or target values of the held-out rows, (rows,).
        outputs: arm -> learner -> (seeds, rows, outputs). The last axis holds the score of the positive class, the
            decided class or the predicted value; for a ranking metric over more than two classes one score a class.
        trained: arm -> number of rows it was trained on.
        keys: a number per held-out row, uint64 (rows,), equal for rows that are alike; empty where it is not known.
    """

    metric: str
    classes: tuple[str, ...]
    positive: int
    labels: np.ndarray
    outputs: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    trained: dict[str, int] = field(default_factory=dict)
    keys: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))

    @classmethod
    def empty(cls, task: Task, labels: np.ndarray) -> "Scores":
        """Scores without any arm yet."""
        return cls(task.metric, task.classes, metrics.positive_index(task), labels)

    @property
    def arms(self) -> list[str]:
        return list(self.outputs)

    def scorer(self, outputs: np.ndarray) -> metrics.Scorer:
        """The metric of one (rows, outputs) array as a function of row weights."""
        return metrics.prepare(self.metric, self.labels, outputs, len(self.classes), self.positive)

    def values(self, arm: str) -> dict[str, np.ndarray]:
        """learner -> the metric of each seed, (seeds,)."""
        once = np.ones((len(self.labels), 1))
        return {
            learner: np.array([self.scorer(one)(once)[0] for one in seeds])
            for learner, seeds in self.outputs[arm].items()
        }

    def per_class(self, arm: str) -> np.ndarray:
        """Mean over learners and seeds of `metrics.per_class`, (classes,)."""
        size, positive = len(self.classes), self.positive
        learners = [
            np.mean(
                [metrics.per_class(self.metric, self.labels, one, size, positive) for one in seeds], axis=0
            )
            for seeds in self.outputs[arm].values()
        ]
        return np.mean(learners, axis=0)

    def save(self, path: Path) -> None:
        """Write as npz, without pickles."""
        arrays: dict[str, Any] = {}
        index: list[list[str]] = []
        for arm, learners in self.outputs.items():
            for learner, seeds in learners.items():
                arrays[f"output_{len(index)}"] = seeds
                index.append([arm, learner])
        header = {
            "metric": self.metric,
            "classes": list(self.classes),
            "positive": self.positive,
            "index": index,
            "trained": self.trained,
        }
        with Path(path).open("wb") as file:
            np.savez(file, header=np.array(json.dumps(header)), labels=self.labels, keys=self.keys, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Scores":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            header = json.loads(str(stored["header"]))
            scores = cls(header["metric"], tuple(header["classes"]), header["positive"], stored["labels"])
            for number, (arm, learner) in enumerate(header["index"]):
                scores.outputs.setdefault(arm, {})[learner] = stored[f"output_{number}"]
            scores.keys = stored["keys"]
        scores.trained = header["trained"]
        return scores

    @classmethod
    def merge(cls, *parts: "Scores") -> "Scores":
        """The arms of several scores of the same held-out rows together.

        Raises:
            ValueError: they do not score the same rows, or an arm stands in two of them.
        """
        first = parts[0]
        merged = cls(first.metric, first.classes, first.positive, first.labels, keys=first.keys)
        for part in parts:
            if part.metric != first.metric or not np.array_equal(part.labels, first.labels):
                raise ValueError("scores of different held-out rows or metrics cannot be merged")
            twice = set(part.outputs) & set(merged.outputs)
            if twice:
                raise ValueError(f"arm '{min(twice)}' stands in two of the scores to merge")
            merged.outputs.update(part.outputs)
            merged.trained.update(part.trained)
        return merged

    def renamed(self, names: dict[str, str]) -> "Scores":
        """The arms named as keys, under the names given as values: `{"smote": "classic"}`."""
        return Scores(
            self.metric,
            self.classes,
            self.positive,
            self.labels,
            {new: self.outputs[old] for old, new in names.items()},
            {new: self.trained.get(old, 0) for old, new in names.items()},
            self.keys,
        )
