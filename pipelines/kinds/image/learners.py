"""The classifier with which lift is measured on images: a small residual network, the same steps in every arm."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from leaven.pipelines.kinds.learner import pick
from leaven.pipelines.task import Task

STEPS, SMALL_STEPS = 1_000, 500  # batches of a training; and of small images, from which more teach nothing
SMALL = 16  # pixels a side
QUICK = 0.6  # of the steps, while candidates are compared


def steps(side: int) -> int:
    """Batches of a training, by the images' longer side in pixels."""
    return SMALL_STEPS if side <= SMALL else STEPS


@dataclass(frozen=True)
class Network:
    """`resnet.train` as a learner. It sees every class equally often, so that no share of classes moves a threshold."""

    name: str
    classes: int
    device: str = "cpu"
    share: float = 1.0  # of the steps
    uses: ClassVar[str] = "pixels"
    random: ClassVar[bool] = True
    even: ClassVar[bool] = True

    @property
    def beside(self) -> bool:
        """Whether several learn beside each other: not on a GPU, which one fills."""
        return self.device == "cpu"

    def quick(self) -> "Network":
        """The learner with fewer steps."""
        return replace(self, share=QUICK)

    def fit_predict(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray | None,
        X_score: np.ndarray,
        seed: int,
        threads: int,
        redraw: Any = None,
    ) -> np.ndarray:
        """Learn from images and predict others.

        Args:
            X: uint8 (images, height, width, channels), at least one.
            y: class codes (images,).
            weight: not used: every class counts the same already.
            X_score: uint8 images to score.
            seed: of weights and batches.
            threads: of the processor.
            redraw: changes the images of a batch; see `resnet.train`.

        Returns:
            Probabilities (images to score, classes), as if every class were as frequent.
        """
        from leaven.generators.image import resnet

        if len(np.unique(y)) == 1:
            return np.eye(self.classes)[np.full(len(X_score), int(y[0]))]
        made = resnet.train(
            X,
            y,
            self.classes,
            seed=seed,
            threads=threads,
            device=self.device,
            steps=round(self.share * steps(max(X.shape[1:3]))),
            redraw=redraw,
        )
        said = made.probabilities(X_score)
        absent = np.setdiff1d(np.arange(self.classes), y)
        said[:, absent] = 0.0
        return said / said.sum(axis=1, keepdims=True)


def learners(task: Task, names_asked: list[str] | None = None, device: str = "cpu") -> list[Any]:
    """The learners named, or the house's own; see `learner.pick`. A user's own estimator gets flat rows, 0 to 1."""
    known = {"resnet9": Network("resnet9", len(task.classes), device)}
    return pick(names_asked, known, task.type, len(task.classes))
