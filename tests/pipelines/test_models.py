"""Models that a recipe names by their folders: where they are looked for, and by what they are known."""

from pathlib import Path
from typing import Any

import pytest

from leaven.pipelines import models
from leaven.pipelines.fit import fit, fit_name
from leaven.pipelines.recipe import Candidate, Recipe

from .test_fit import Clocked, run, train  # noqa: F401 (a fixture)


def recipe(**parts: Any) -> Recipe:
    given = {"source": {"kind": "text", "path": "rows.csv"}, "task": {"target": "label"}}
    return Recipe.model_validate({"name": "a", **given, **parts})


def candidate(**parameters: Any) -> Candidate:
    return Candidate.model_validate({"generator": "clocked", **parameters})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("en-fr", "fr-en"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "weights").write_text(name)
    return tmp_path


def test_they_count_from_the_recipe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (folder / "marian").mkdir()
    named = {
        "models/{source}-{target}": f"{folder}/models/{{source}}-{{target}}",
        "models": f"{folder}/models",
        "~/models": f"{folder}/models",
        f"{folder}/models": f"{folder}/models",
        "org/name": "org/name",
        "~nobody-of-that-name/models": "~nobody-of-that-name/models",
        "../nowhere/{source}": "../nowhere/{source}",
        "marian": "marian",
    }
    asked = recipe(
        candidates=[{"generator": "paraphrase", "model": name} for name in named],
        screen={"toxicity": "models"},
        utility={"learners": ["tfidf", *(f"transformer:{name}" for name in named)]},
    )
    placed = models.placed(asked, folder)
    assert placed.candidates != "auto"
    assert [one.parameters["model"] for one in placed.candidates] == list(named.values())
    assert placed.utility.learners == ["tfidf", *(f"transformer:{name}" for name in named.values())]
    assert placed.screen.toxicity == f"{folder}/models"


def test_what_is_in_them_counts_not_where_they_lie(folder: Path) -> None:
    def known() -> tuple[dict[str, Any], str]:
        one = candidate(translator=f"{folder}/models/{{source}}-{{target}}")
        return models.identity(one), fit_name("fold0", one)

    before = known()
    assert str(folder) not in repr(before)
    folder = folder.rename(folder.with_name("elsewhere"))
    assert known() == before
    (folder / "models" / "en-fr" / "weights").write_text("others")
    assert known() != before
    assert models.identity(candidate(translator="embedded", epochs=3)) == {
        "generator": "clocked",
        "translator": "embedded",
        "epochs": 3,
    }


def test_other_content_is_fitted_anew(
    folder: Path,
    tmp_path: Path,
    train: list[Path],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("leaven.generators.catalog.get", lambda name, kind=None: lambda *_: Clocked())
    one = candidate(model=f"{folder}/models/en-fr")

    def fitted() -> Path:
        return fit(run(tmp_path / "work"), one, train, part="fold0", seconds=60).folder

    first = fitted()
    assert fitted() == first
    (folder / "models" / "en-fr" / "weights").write_text("others")
    assert fitted() != first
