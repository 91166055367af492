"""Init: the recipe that it writes loads, passes check on the same data, and says what it guessed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaven.generators.errors import InputError
from leaven.pipelines.check import check
from leaven.pipelines.init import init
from leaven.pipelines.recipe_file import load_recipe

RNG = np.random.default_rng(0)
COUNT = 300
NUMBERS = RNG.normal(size=COUNT).round(4)
LABELS = RNG.choice(["a", "b"], COUNT)

TABLES: dict[str, tuple[pd.DataFrame, str]] = {
    # name: table, expected target
    "by its name": (pd.DataFrame({"churn": LABELS, "x": NUMBERS, "z": LABELS}), "churn"),
    "the last one": (pd.DataFrame({"x": NUMBERS, "kind": LABELS}), "kind"),
    "not an identifier": (pd.DataFrame({"x": NUMBERS, "kind": LABELS, "customer_id": range(COUNT)}), "kind"),
    "not a class too rare": (
        pd.DataFrame({"x": NUMBERS, "kind": LABELS, "last": ["p"] * (COUNT - 1) + ["q"]}),
        "kind",
    ),
    "numbers": (pd.DataFrame({"a": NUMBERS, "price": NUMBERS * 2}), "price"),
    "odd names": (
        pd.DataFrame(
            {"a: b # c": NUMBERS, "q\"uo'te": LABELS, "yes": LABELS, "größe😀": LABELS, "- y": LABELS}
        ),
        "- y",
    ),
    "dates and marks": (
        pd.DataFrame(
            {
                "day": pd.date_range("2024-01-01", periods=COUNT).strftime("%d/%m/%Y"),
                "x": np.where(np.arange(COUNT) % 9, NUMBERS.astype(str), "?"),
                "target": LABELS,
            }
        ),
        "target",
    ),
}


@pytest.mark.parametrize("case", TABLES)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_loads_and_passes_check(case: str, form: str, tmp_path: Path) -> None:
    frame, target = TABLES[case]
    path = tmp_path / "data" / f"My table (v2).{form}"
    path.parent.mkdir()
    frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
    text = init(path, folder=tmp_path)
    (tmp_path / "recipe.yaml").write_text(text)
    recipe, folder = load_recipe(tmp_path / "recipe.yaml")
    assert recipe.name == "My-table-v2"
    assert recipe.task.target == target
    assert "guessed" in text
    report = check(recipe, folder)
    for column in report.columns:
        assert column.name in text and column.type in text
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data", "recipe.yaml"]


def test_a_target_that_is_said_is_taken(tmp_path: Path) -> None:
    frame = pd.DataFrame({"churn": LABELS, "x": NUMBERS, "z": LABELS})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    text = init(tmp_path / "rows.csv", "z", tmp_path)
    assert "  target: z\n" in text and "guessed" not in text
    with pytest.raises(InputError, match=r"no column 'zz'; did you mean 'z'"):
        init(tmp_path / "rows.csv", "zz")


def test_comments_cannot_be_left(tmp_path: Path) -> None:
    """A value with a line break or a YAML directive stays inside its comment."""
    frame = pd.DataFrame(
        {
            "x": np.where(LABELS == "a", "one\nname: taken", "two\x85store: taken"),
            "n": NUMBERS,
            "label": LABELS,
        }
    )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    path = tmp_path / "recipe.yaml"
    path.write_text(init(tmp_path / "rows.csv", folder=tmp_path))
    recipe, _ = load_recipe(path)
    assert (recipe.name, recipe.store) == ("rows", "data/store")


def test_nothing_to_predict(tmp_path: Path) -> None:
    pd.DataFrame({"id": range(50), "note": [f"note {i}" for i in range(50)]}).to_csv(
        tmp_path / "x.csv", index=False
    )
    with pytest.raises(InputError, match="no column could be a target"):
        init(tmp_path / "x.csv")
    with pytest.raises(InputError, match="is not there"):
        init(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("adult_train", "income"),
        ("german_credit", "class"),
        ("mammography", "label"),
        ("shoppers", "Revenue"),
    ],
)
def test_public_tables(name: str, target: str, shared_tables: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(init(shared_tables / f"{name}.csv.gz", folder=tmp_path))
    recipe, folder = load_recipe(path)
    assert (recipe.name, recipe.task.target) == (name, target)
    assert check(recipe, folder).warnings == []
