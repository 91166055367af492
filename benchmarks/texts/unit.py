"""One cell under one seed: the recipe's choice made as the pipeline makes it, then the arms on test texts."""

import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lift.stages import chosen, record, stages_alone

from leaven.flows.trials import Trials
from leaven.generators.contract import silent
from leaven.pipelines.assess import first, score
from leaven.pipelines.choose import Choice
from leaven.pipelines.quality.utility import Arm, Duplicate
from leaven.pipelines.recipe import Candidate, Recipe, Screen
from leaven.pipelines.run import Run
from texts.cells import Cell, draw

SCREENS = (
    "copies",
    "near_copies",
    "duplicates",
    "length",
    "entities",
    "language",
    "meaning",
    "label_agreement",
)
TRANSLATED = Candidate(generator="back_translation")
UNSCREENED = dict.fromkeys(SCREENS, False)


@dataclass(frozen=True)
class Asked:
    """What to measure in every cell: where the texts are, and what of the recipe is not default."""

    data: Path
    recipe: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What a record's numbers depend on."""
        return {"recipe": self.recipe}


def measure(asked: Asked, cell: Cell, seed: int) -> dict[str, Any]:
    """The record of one cell and seed.

    Returns:
        `arms`: name -> learner -> the task's metric on test texts, of `real`, `edits` (the best on validation),
        `duplicates` and `augmented` with the best candidate's texts, `unscreened` (as many, without any screen),
        `translated` (back-translation by the embedded models, without any screen) and `leaven`: `augmented` where it
        was chosen, else `real`. `chosen`, `trials`, `seconds`.
    """
    begun = time.monotonic()
    train, test = draw(asked.data, cell, seed)
    with tempfile.TemporaryDirectory(prefix="text-lift-") as place, stages_alone():
        folder = Path(place)
        train.to_json(folder / "real.jsonl", orient="records", lines=True)
        test.to_json(folder / "test.jsonl", orient="records", lines=True)
        recipe = Recipe.model_validate(
            {
                "name": "lift",
                "source": {"kind": "text", "path": "real.jsonl"},
                "split": {"test_path": "test.jsonl", "seed": seed},
                "device": "cpu",
                **asked.recipe,
            }
        )
        trials, choice = chosen(recipe, folder)
        found = _arms(trials, choice)
    found["leaven"] = found.get("augmented", found["real"]) if choice.chosen is not None else found["real"]
    return {
        "cell": cell.name,
        "seed": seed,
        "settings": asked.settings,
        "rows": {"real": len(train), "test": len(test)},
        "arms": found,
        **record(trials, choice, begun),
    }


def _arms(trials: Trials, choice: Choice) -> dict[str, dict[str, float]]:
    """Every arm's score on test texts, learner by learner."""
    run = trials.run
    paths = [trials.parts.path("train.parquet"), trials.parts.path("validation.parquet")]
    real, test = run.frame(*paths), run.frame(trials.parts.path("test.parquet"))
    classic = run.kind.classic_arms(run.task, run.schema, real, [], run.seed("classic"), run.recipe)
    arms = [Arm("real", [real])]
    arms += [replace(arm, name="edits") for arm in classic if arm.name == choice.classic]
    final = trials.again(choice, paths, "certify") if choice.best is not None else ""
    if not isinstance(final, str) and final[1].rows_kept:
        synthetic = first(run, final[1].kept, final[1].rows_kept, len(real))
        arms += [
            Arm("augmented", [real, synthetic]),
            Arm("duplicates", [real], resample=Duplicate(real, synthetic, run.task)),
        ]
        unscreened = {"unscreened": choice.best.candidate, "translated": TRANSLATED}
        for name, candidate in unscreened.items():
            frame = _unscreened(trials, choice, candidate, paths, len(real), len(synthetic))
            arms += [] if frame is None else [Arm(name, [real, frame])]
    scores = score(run, arms, real, test, silent)
    return {
        arm.name: {name: float(np.mean(values)) for name, values in scores.values(arm.name).items()}
        for arm in arms
    }


def _unscreened(
    trials: Trials, choice: Choice, candidate: Candidate, paths: list[Path], real: int, most: int
) -> pd.DataFrame | None:
    """A candidate's texts as they come, in the largest of its amounts, but `most` of them; None if there are none."""
    assert choice.best is not None
    off = Screen.model_validate({**trials.run.recipe.screen.model_dump(), **UNSCREENED})
    run: Run = replace(trials.run, recipe=trials.run.recipe.model_copy(update={"screen": off}))
    plain = Trials(run, trials.workers, trials.parts, trials.tried)
    plan = max((way.plan for way in plain._ways(candidate, paths)), key=lambda plan: plan.rows)
    best = choice.best.model_copy(update={"candidate": candidate, "plan": plan, "screen": off})
    final = plain.again(choice.model_copy(update={"best": best}), paths, "unscreened")
    if isinstance(final, str) or not final[1].rows_kept:
        return None
    return first(run, final[1].kept, min(most, final[1].rows_kept), real)
