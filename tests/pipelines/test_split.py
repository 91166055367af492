"""Split: stratified, whole units on one side, the same rows to the same part whatever their order and company."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.generators.errors import InputError
from leaven.generators.rows import Rows
from leaven.pipelines.ingest import ingest, load_schema
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.split import fold_paths, split
from leaven.pipelines.stage import Record

PARTS = ("train", "validation", "test")


def table(count: int, seed: int = 0, minority: float = 0.3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "number": rng.normal(size=count).round(6),
            "group": [f"g{i}" for i in rng.integers(0, max(count // 8, 4), count)],
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 100, count), "D"),
            "label": np.where(rng.random(count) < minority, "ill", "well"),
        }
    )


def divide(frame: pd.DataFrame, folder: Path, *, previous: Path | None = None, **parts: Any) -> Record:
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / "rows.csv", index=False)
    target = parts.pop("target", "label")
    recipe = Recipe.model_validate(
        {"name": "x", "source": {"kind": "table", "path": "rows.csv"}, "task": {"target": target}, **parts}
    )
    source = ingest(recipe, folder, folder / "work")
    record = split(recipe, source, folder / "work", previous)
    record.result["schema"] = load_schema(source)
    return record


def part(record: Record, name: str) -> pd.DataFrame:
    return Rows(record.path(f"{name}.parquet"), record.result["schema"]).frame()


def keys(frame: pd.DataFrame) -> set[str]:
    return set(frame.astype(str).agg("|".join, axis=1))


def test_every_row_once_and_classes_alike(tmp_path: Path) -> None:
    frame = table(1000)
    record = divide(frame, tmp_path)
    assert record.result["rows"] == {"train": 600, "validation": 200, "test": 200}
    whole = pd.concat([part(record, name) for name in PARTS])
    assert sorted(whole["number"]) == sorted(frame["number"])
    share = (frame["label"] == "ill").mean()
    for name in PARTS:
        assert (part(record, name)["label"] == "ill").mean() == pytest.approx(share, abs=0.005)


def test_the_same_rows_in_another_order_go_to_the_same_parts(tmp_path: Path) -> None:
    frame = table(400)
    one = divide(frame, tmp_path / "one")
    other = divide(frame.sample(frac=1, random_state=1), tmp_path / "other")
    for name in (*PARTS, "half"):
        assert keys(part(one, name)) == keys(part(other, name))


def test_another_seed_another_split(tmp_path: Path) -> None:
    frame = table(400)
    one = divide(frame, tmp_path / "one")
    other = divide(frame, tmp_path / "other", split={"seed": 8})
    assert keys(part(one, "test")) != keys(part(other, "test"))


def test_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    frame = table(200)
    frame = pd.concat([frame] * 3, ignore_index=True)
    frame["customer_id"] = np.arange(len(frame)) + 1000  # an identifier does not make a row another one
    record = divide(frame, tmp_path)
    columns = ["number", "group", "day", "label"]
    seen = [keys(part(record, name)[columns]) for name in PARTS]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]
    for k in range(record.result["folds"]):
        learn, score = fold_paths(record, k)
        schema = record.result["schema"]
        assert not keys(Rows(learn, schema).frame()[columns]) & keys(Rows(score, schema).frame()[columns])
    assert "67% of the rows repeat others" in " ".join(record.result["warnings"])


def test_one_row_a_thousand_times_leaves_the_shares_alone(tmp_path: Path) -> None:
    frame = pd.concat([table(1000), table(1).sample(400, replace=True)], ignore_index=True)
    record = divide(frame, tmp_path)
    assert record.result["rows"]["test"] == pytest.approx(280, abs=3)
    assert record.result["rows"]["validation"] == pytest.approx(280, abs=3)


@pytest.mark.parametrize("target", ["label", "number"])
def test_groups_stay_on_one_side(target: str, tmp_path: Path) -> None:
    record = divide(table(600), tmp_path, split={"group": "group"}, target=target)
    groups = [set(part(record, name)["group"]) for name in PARTS]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert record.result["rows"]["test"] == pytest.approx(120, abs=20)
    for k in range(record.result["folds"]):
        learn, score = fold_paths(record, k)
        schema = record.result["schema"]
        assert not set(Rows(learn, schema).frame()["group"]) & set(Rows(score, schema).frame()["group"])


def test_test_rows_are_the_latest(tmp_path: Path) -> None:
    record = divide(table(600), tmp_path, split={"time": "day"})
    days = {name: part(record, name)["day"] for name in PARTS}
    assert days["train"].max() < days["validation"].min()
    assert days["validation"].max() < days["test"].min()
    assert record.result["rows"]["test"] == pytest.approx(120, abs=12)
    assert record.result["folds"] > 1
    for k in range(record.result["folds"]):
        learn, score = fold_paths(record, k)
        schema = record.result["schema"]
        assert Rows(learn, schema).frame()["day"].max() < Rows(score, schema).frame()["day"].min()


def test_regression_is_stratified_by_its_target(tmp_path: Path) -> None:
    frame = table(1000)
    record = divide(frame, tmp_path, target="number")
    for name in PARTS:
        assert part(record, name)["number"].median() == pytest.approx(frame["number"].median(), abs=0.15)
        assert part(record, name)["number"].std() == pytest.approx(frame["number"].std(), abs=0.15)


@pytest.mark.parametrize("how", [{}, {"group": "group"}])
def test_a_grown_source_keeps_its_assignments(how: dict, tmp_path: Path) -> None:
    frame = table(800)
    first = divide(frame[:500], tmp_path, split=how)
    kept = tmp_path / "assignments.parquet"
    kept.write_bytes(first.path("assignments.parquet").read_bytes())
    grown = divide(frame.sample(frac=1, random_state=3), tmp_path, previous=kept, split=how)
    for name in PARTS:
        assert keys(part(first, name)) <= keys(part(grown, name))
    assert grown.result["rows"]["test"] == pytest.approx(160, abs=8 if not how else 30)

    # Unchanged: the very same folder; and the same bytes where that is gone.
    chained = tmp_path / "chained.parquet"
    chained.write_bytes(grown.path("assignments.parquet").read_bytes())
    again = divide(frame.sample(frac=1, random_state=3), tmp_path, previous=chained, split=how)
    assert again.folder == grown.folder
    grown.folder.rename(tmp_path / "elsewhere")
    remade = divide(frame.sample(frac=1, random_state=3), tmp_path, previous=chained, split=how)
    assert [file.sha256 for file in remade.files] == [file.sha256 for file in grown.files]


def test_growing_by_single_rows_fills_all_parts(tmp_path: Path) -> None:
    frame = table(160)
    kept = tmp_path / "assignments.parquet"
    record = divide(frame[:100], tmp_path)
    for count in range(110, 161, 10):
        kept.write_bytes(record.path("assignments.parquet").read_bytes())
        record = divide(frame[:count], tmp_path, previous=kept)
    assert record.result["rows"]["test"] == pytest.approx(32, abs=2)
    assert record.result["rows"]["validation"] == pytest.approx(32, abs=2)


def test_later_rows_never_train_for_earlier_test_rows(tmp_path: Path) -> None:
    frame = table(600).sort_values("day")
    first = divide(frame[:400], tmp_path, split={"time": "day"})
    kept = tmp_path / "assignments.parquet"
    kept.write_bytes(first.path("assignments.parquet").read_bytes())
    grown = divide(frame, tmp_path, previous=kept, split={"time": "day"})
    assert part(grown, "train")["day"].max() < part(grown, "test")["day"].min()
    assert part(grown, "test")["day"].min() == part(first, "test")["day"].min()
    assert "cuts of the first run are kept" in " ".join(grown.result["warnings"])


def test_files_given_are_taken_and_their_copies_left_out(tmp_path: Path) -> None:
    frame = table(500)
    held_out = pd.concat([table(60, seed=9), frame[:7]])
    held_out.to_csv(tmp_path / "test.csv", index=False)
    record = divide(frame, tmp_path, split={"test_path": "test.csv"})
    assert record.result["rows"]["test"] == 67
    assert record.result["rows"]["train"] + record.result["rows"]["validation"] == 493
    assert "7 rows stand in the test file too" in " ".join(record.result["warnings"])
    assert not keys(part(record, "train")) & keys(part(record, "test"))


def test_no_row_of_a_validation_file_stands_in_the_test_file(tmp_path: Path) -> None:
    """The last fits learn from validation rows."""
    both = table(60, seed=9)
    both[:40].to_csv(tmp_path / "validation.csv", index=False)
    both[20:].to_csv(tmp_path / "test.csv", index=False)
    paths = {"validation_path": "validation.csv", "test_path": "test.csv"}
    record = divide(table(500), tmp_path, split=paths)
    assert (record.result["rows"]["validation"], record.result["rows"]["test"]) == (20, 40)
    assert not keys(part(record, "validation")) & keys(part(record, "test"))
    assert "20 rows of the validation file stand in the test file too" in " ".join(record.result["warnings"])
    both[20:].to_csv(tmp_path / "validation.csv", index=False)
    with pytest.raises(InputError, match="all of its rows stand in the test file"):
        divide(table(500), tmp_path, split=paths)


@pytest.mark.parametrize(("minority", "folds"), [(5, 4), (9, 5)])
def test_every_fold_scores_every_class(minority: int, folds: int, tmp_path: Path) -> None:
    frame = table(200, minority=0)
    frame.loc[frame.index[:minority], "label"] = "ill"
    record = divide(frame, tmp_path)
    drawings = record.result["drawings"]
    assert record.result["folds"] == folds * drawings and drawings == 4
    scored: list[pd.DataFrame] = []
    for k in range(folds * drawings):
        if k % folds == 0:
            scored = []
        learn, score = fold_paths(record, k)
        frames = [Rows(paths, record.result["schema"]).frame() for paths in (learn, score)]
        assert all(set(one["label"]) == {"ill", "well"} for one in frames)
        assert not keys(frames[0]) & keys(frames[1])
        scored.append(frames[1])
        if k % folds == folds - 1:
            assert keys(pd.concat(scored)) == keys(part(record, "train")) | keys(part(record, "validation"))
    assert "rows of class 'ill' only" in " ".join(record.result["warnings"])


def test_many_validation_rows_need_no_folds(tmp_path: Path) -> None:
    record = divide(table(5200), tmp_path)
    assert record.result["folds"] == 1
    assert fold_paths(record, 0) == ([record.path("train.parquet")], record.path("validation.parquet"))
    assert len(part(record, "half")) == pytest.approx(2080, abs=2)
    assert keys(part(record, "half")) <= keys(part(record, "train")) | keys(part(record, "validation"))


def test_a_class_in_one_group_cannot_be_split(tmp_path: Path) -> None:
    frame = table(300)
    frame["label"] = np.where(frame["group"] == "g1", "ill", "well")
    with pytest.raises(
        InputError, match=r"class 'ill' of column 'label' has no row in the \w+ part \(split by 'group'\)"
    ):
        divide(frame, tmp_path, split={"group": "group"})


def test_a_class_of_copies_cannot_be_split(tmp_path: Path) -> None:
    frame = table(300, minority=0)
    ill = frame[:1].assign(label="ill").sample(20, replace=True)
    with pytest.raises(
        InputError, match=r"class 'ill' of column 'label' has no row in the \w+ part; it has 20 rows"
    ):
        divide(pd.concat([frame, ill]), tmp_path)


def test_missing_times_are_refused(tmp_path: Path) -> None:
    frame = table(300)
    frame.loc[5, "day"] = pd.NaT
    with pytest.raises(InputError, match=r"split.time: column 'day' has missing values"):
        divide(frame, tmp_path, split={"time": "day"})
