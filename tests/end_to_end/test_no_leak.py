"""No generator, filter, feature extractor or choice can reach a test row: they work with the test rows gone."""

from pathlib import Path

import pytest
from end_to_end import planted

from leaven.pipelines.assess import assess, baseline, class_counts
from leaven.pipelines.choose import Tried, choose
from leaven.pipelines.fit import fit
from leaven.pipelines.ingest import ingest
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.run import Run
from leaven.pipelines.split import fold_paths, split
from leaven.pipelines.synthesize import synthesize
from leaven.pipelines.ways import ways


@pytest.mark.slow
def test_everything_before_certify_works_without_test_rows(tmp_path: Path) -> None:
    planted.process(400, 1).to_csv(tmp_path / "rows.csv", index=False)
    recipe = Recipe.model_validate(
        {
            "name": "leak",
            "source": {"kind": "table", "path": "rows.csv"},
            "task": {"target": "y"},
            "candidates": [{"generator": "smote"}],
            "amount": {"ratio": 0.5},
            "utility": {"repeats": 1, "learners": ["logistic_regression"], "draws": 100, "folds": 2},
        }
    )
    digests = []
    for gone in (False, True):
        work = tmp_path / f"work-{gone}"
        source = ingest(recipe, tmp_path, work)
        parts = split(recipe, source, work, None)
        run = Run.start(recipe, work, source, 4e9)
        if gone:
            # Neither the test rows nor the source that still holds them may be read from here on.
            parts.path("test.parquet").unlink()
            source.path("rows.parquet").unlink()
        train, held_out = fold_paths(parts, 0)
        base = baseline(run, train, held_out, fold=0)
        tried = Tried(run.candidates(300)[0])
        asked = ways(recipe, run.schema, run.task, class_counts(run, train))
        model = fit(run, tried.candidate, train, part="fold0", seconds=60)
        made = [
            synthesize(run, tried.candidate, model, way.plan, train, part="fold0", level=way.screen)
            for way in asked
        ]
        numbered = dict(enumerate(zip(asked, made, strict=True)))
        record = assess(run, tried.candidate, numbered, train, held_out, fold=0, role="sampler")
        tried.add(asked, model, made, record)
        choice = choose(run, [base], [tried], 300)
        digests.append(
            [model.digest, *(part.digest for one in made for part in one.records), choice.model_dump_json()]
        )
    assert digests[0] == digests[1]


def test_parts_share_no_row(tmp_path: Path) -> None:
    frame = planted.process(300, 1)
    # Exact duplicates must not end up on two sides.
    doubled = frame._append(frame.head(100), ignore_index=True)  # type: ignore[operator]
    doubled.to_csv(tmp_path / "rows.csv", index=False)
    recipe = Recipe.model_validate(
        {"name": "leak", "source": {"kind": "table", "path": "rows.csv"}, "task": {"target": "y"}}
    )
    source = ingest(recipe, tmp_path, tmp_path / "work")
    parts = split(recipe, source, tmp_path / "work", None)
    run = Run.start(recipe, tmp_path / "work", source, 4e9)
    seen = {
        name: set(run.frame(parts.path(f"{name}.parquet")).itertuples(index=False, name=None))
        for name in ("train", "validation", "test")
    }
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["validation"]
    assert not seen["validation"] & seen["test"]
    assert sum(parts.result["rows"].values()) == 400
