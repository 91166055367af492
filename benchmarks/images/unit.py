"""One cell under one seed: the recipe's choice made as the pipeline makes it, then the arms on test images."""

import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from lift.stages import chosen, record, stages_alone

from images.cells import Cell, draw
from leaven.flows.trials import Trials
from leaven.generators.contract import silent
from leaven.pipelines.assess import first, score
from leaven.pipelines.quality.utility import Arm
from leaven.pipelines.recipe import Recipe


@dataclass(frozen=True)
class Asked:
    """What to measure in every cell: where the images are, seeds of the classifier on test images, the recipe."""

    data: Path
    repeats: int = 2
    recipe: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What a record's numbers depend on."""
        return {"repeats": self.repeats, "recipe": self.recipe}


def measure(asked: Asked, cell: Cell, seed: int) -> dict[str, Any]:
    """The record of one cell and seed.

    Returns:
        `arms`: name -> the task's metric on test images, of `real`, `classic` (the best on validation) and, where a
        candidate made any, `synthetic_only`, `augmented` and `classic_augmented` with the best candidate's images;
        `leaven`: `classic_augmented` where it was chosen, else `classic`. `chosen`, `trials`, `seconds`.
    """
    begun = time.monotonic()
    (x, y), (test_x, test_y) = draw(asked.data, cell, seed)
    with tempfile.TemporaryDirectory(prefix="image-lift-") as place, stages_alone():
        folder = Path(place)
        np.savez(folder / "real.npz", x=x, y=y)
        np.savez(folder / "test.npz", x=test_x, y=test_y)
        recipe = Recipe.model_validate(
            {
                "name": "lift",
                "source": {"kind": "image", "path": "real.npz"},
                "split": {"test_path": "test.npz", "seed": seed},
                **asked.recipe,
            }
        )
        trials, choice = chosen(recipe, folder)
        found = _arms(asked, trials, choice)
    own = found.get("classic_augmented") if choice.chosen is not None else None
    found["leaven"] = found["classic"] if own is None else own
    return {
        "cell": cell.name,
        "seed": seed,
        "settings": asked.settings,
        "rows": {"real": len(x), "test": len(test_x)},
        "arms": found,
        **record(trials, choice, begun),
    }


def _arms(asked: Asked, trials: Trials, choice: Any) -> dict[str, float]:
    """Every arm's score on test images."""
    run = trials.run
    paths = [trials.parts.path("train.parquet"), trials.parts.path("validation.parquet")]
    real, test = run.frame(*paths), run.frame(trials.parts.path("test.parquet"))

    def classic(name: str, extra: list[Any]) -> Arm:
        arms = run.kind.classic_arms(run.task, run.schema, real, extra, run.seed("classic"), run.recipe)
        return replace(next(arm for arm in arms if arm.name == choice.classic), name=name)

    arms = [Arm("real", [real]), classic("classic", [])]
    final = trials.again(choice, paths, "certify") if choice.best is not None else ""
    if not isinstance(final, str) and final[1].rows_kept:
        synthetic = first(run, final[1].kept, final[1].rows_kept, len(real))
        arms += [
            Arm("synthetic_only", [synthetic]),
            Arm("augmented", [real, synthetic]),
            classic("classic_augmented", [synthetic]),
        ]
    utility = run.recipe.utility.model_copy(update={"repeats": asked.repeats})
    again = replace(run, recipe=run.recipe.model_copy(update={"utility": utility}))
    scores = score(again, arms, real, test, silent)
    return {
        arm.name: float(np.mean([values.mean() for values in scores.values(arm.name).values()]))
        for arm in arms
    }
