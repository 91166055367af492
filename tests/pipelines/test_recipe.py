"""Recipes: what is wrong in one becomes one line that says where it stands and what was expected."""

import json
from pathlib import Path

import pytest

from leaven.generators.errors import InputError
from leaven.pipelines.recipe import Candidate, Recipe, called
from leaven.pipelines.recipe_file import load_recipe, schema_json

BASE = "name: churn\nsource: {kind: table, path: rows.csv}\ntask: {target: label}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text("age,label\n1,y\n2,n\n")
    return tmp_path


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "recipe.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_recipe_with_everything(folder: Path) -> None:
    text = BASE + (
        "split: {validation: 0.1, test: 0.3, seed: 8, group: house}\n"
        "constraints: [{kind: inequality, low: a, high: b}, {kind: range, column: a, minimum: 0}]\n"
        "candidates:\n  - generator: ctgan\n    epochs: 3\n  - generator: smote\n"
        "amount: {per_class: {1: 500}}\n"
        "screen: {label_agreement: false}\nutility: {repeats: 2}\n"
        "budget: {fit: 10m, total: 1.5h}\ngates: {lift: {min: -0.01}, copies: false}\n"
        "schedule: {cron: '0 3 * * 1'}\nstore: s3://bucket/prefix\n"
    )
    recipe, where = load_recipe(write(folder, text))
    assert where == folder
    assert recipe.budget.fit == 600 and recipe.budget.total == 5400
    assert recipe.amount.per_class == {"1": 500}
    assert recipe.candidates[0].parameters == {"epochs": 3}
    assert recipe.gates["copies"] is False


def test_defaults_and_overrides(folder: Path) -> None:
    path = write(folder, BASE)
    amount = load_recipe(path)[0].amount
    assert amount.ratio == "auto" and amount.shares == ["natural", "balanced"]
    assert load_recipe(path, ["amount.ratio=auto"])[0].amount == amount
    changes = [
        "split.seed=9",
        "amount.ratio=[0.5]",
        "candidates=[{generator: smote}]",
        "budget.fit=90s",
        "gates.lift=false",
    ]
    recipe, _ = load_recipe(path, changes)
    assert recipe.split.seed == 9
    assert recipe.amount.ratio == [0.5]
    assert recipe.candidates[0].generator == "smote"
    assert recipe.budget.fit == 90
    path = write(folder, BASE + "candidates: [{generator: ctgan, epochs: 3}]\n")
    assert load_recipe(path, ["candidates.0.epochs=7"])[0].candidates[0].parameters == {"epochs": 7}


def test_labels_and_marks_may_be_written_as_numbers(folder: Path) -> None:
    text = "name: x\nsource: {kind: table, path: rows.csv, missing: [-999], drop: [2020]}\n"
    text += "task: {target: 1, positive: true}\n"
    recipe, _ = load_recipe(write(folder, text))
    assert recipe.source.missing == ["-999"] and recipe.source.drop == ["2020"]
    assert recipe.task.target == "1" and recipe.task.positive == "True"


WRONG: dict[str, tuple[str, list[str]]] = {
    "unknown key": ("splt: {}", ["line 4", "'splt'", "did you mean 'split'"]),
    "unknown key inside": ("split: {tset: 0.2}", ["line 4", "'split.tset'", "did you mean 'test'"]),
    "key in the wrong place": ("target: label", ["line 4", "did you mean 'task.target'"]),
    "key far from all": ("zzzzqq: 1", ["line 4", "'zzzzqq'", "known here: amount,"]),
    "key twice": ("name: again", ["line 4", "'name' stands twice"]),
    "ratio 0": ("amount: {ratio: 0}", ["line 4", "amount.ratio", "found 0", "greater than 0"]),
    "ratio negative": ("amount: {ratio: [0.5, -1]}", ["amount.ratio.1", "found -1", "greater than 0"]),
    "ratio 1e12": ("amount: {ratio: 1e12}", ["amount.ratio", "less than or equal to 1000"]),
    "shares of rows": ("amount: {rows: 5, shares: balanced}", ["amount", "shares goes with ratio alone"]),
    "unknown shares": ("amount: {ratio: 1, shares: even}", ["amount.shares", "even"]),
    "no level": ("screen: {label_agreement: []}", ["screen.label_agreement", "is empty"]),
    "unknown level": ("screen: {label_agreement: lax}", ["screen.label_agreement", "lax", "strict"]),
    "ratio nan": ("amount: {ratio: .nan}", ["amount.ratio", "nan"]),
    "rows negative": ("amount: {rows: -5}", ["amount.rows", "-5"]),
    "two amounts": ("amount: {rows: 5, ratio: 1}", ["amount", "one of ratio, rows"]),
    "seed 2^70": (f"split: {{seed: {2**70}}}", ["split.seed", str(2**70), "4294967295"]),
    "seed negative": ("split: {seed: -1}", ["split.seed", "-1"]),
    "shares": ("split: {validation: 0.5, test: 0.5}", ["split", "100%"]),
    "wrong type": ("utility: {repeats: many}", ["utility.repeats", "'many'", "an integer"]),
    "not a mapping inside": ("split: 3", ["split", "found 3", "a mapping"]),
    "duration": ("budget: {fit: soon}", ["budget.fit", "'soon'", "10m"]),
    "generator": (
        "candidates: [{generator: ctgn}]",
        ["line 4", "candidates.0", "'ctgn'", "did you mean 'ctgan'"],
    ),
    "generator not named": ("candidates: [{epochs: 3}]", ["candidates.0.generator is missing"]),
    "generator as a word": ("candidates: ctgan", ["candidates", "'ctgan'", "[{generator: ctgan}]"]),
    "no candidates": ("candidates: []", ["candidates", "is empty"]),
    "parameter": (
        "candidates: [{generator: ctgan, epoch: 3}]",
        ["'candidates.0.epoch'", "did you mean 'epochs'"],
    ),
    "parameter's value": ("candidates: [{generator: ctgan, epochs: -3}]", ["candidates.0.epochs", "-3"]),
    "gate": ("gates: {lft: {min: 0}}", ["gates.lft", "did you mean 'lift'"]),
    "gate's key": ("gates: {lift: {mni: 0}}", ["'gates.lift.mni'", "did you mean 'min'"]),
    "gate's bound": ("gates: {lift: {max: 1}}", ["gates.lift", "min"]),
    "constraint": (
        "constraints: [{kind: rnge, column: a}]",
        ["constraints.0", "'rnge'", "did you mean 'range'"],
    ),
    "constraint's key": (
        "constraints: [{kind: inequality, low: a, hgh: b}]",
        ["'constraints.0.hgh'", "'high'"],
    ),
    "sum of one": ("constraints: [{kind: sum, total: a, parts: [b]}]", ["constraints.0.parts", "2 items"]),
    "sum with itself": (
        "constraints: [{kind: sum, total: a, parts: [a, b]}]",
        ["constraints.0", "'a' stands twice"],
    ),
    "formula that is code": (
        "constraints: [{kind: formula, column: a, expression: '__import__(`os`)'}]",
        ["constraints.0.expression", "no function '__import__'", "round"],
    ),
    "formula's syntax": (
        "constraints: [{kind: formula, column: a, expression: 'pm2.5 * 2'}]",
        ["constraints.0.expression", "'pm2.5 * 2' is not arithmetic", "backticks"],
    ),
    "device": ("device: gpu", ["device", "'gpu'", "'cuda'"]),
    "schedule": ("schedule: {}", ["schedule", "cron or interval"]),
    "syntax": ("split: [1", ["is not YAML"]),
    "tag": ("store: !!python/object/apply:os.system [ls]", ["store"]),
    "two targets": ("task: {target: other}", ["'task' stands twice"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_in_one_line(case: str, folder: Path) -> None:
    extra, words = WRONG[case]
    path = write(folder, BASE + extra + "\n")
    with pytest.raises(InputError) as raised:
        load_recipe(path)
    message = str(raised.value)
    print(f"{case:24} {message}")
    assert "\n" not in message and len(message) < 400
    assert message.startswith(str(path))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("- a\n- b\n", "found a list; expected a mapping"),
        ("just words\n", "found 'just words'; expected a mapping"),
        (b"name: caf\xe9\n", "line 1: byte 0xe9 is not UTF-8"),
        ("name: x\n", "source is missing"),
        ("name: ../up\nsource: {kind: table, path: rows.csv}\n", "name: found '../up'"),
        ("name: x\nsource: {kind: tabel, path: rows.csv}\n", "did you mean 'table'"),
        ("name: x\nsource: {kind: table, path: no.csv}\n", "source.path: there is no file 'no.csv'"),
        ("name: x\nsource: {kind: table}\n", "source.path is missing"),
        (BASE + "split: {test_path: no.csv}\n", "split.test_path: there is no file 'no.csv'"),
        ("a: &a [x]\n" * 1 + "b: [" + ",".join(["*a"] * 3) + "]\n", "unknown key"),
        ("name: x\n" + "a: {" * 80 + "}" * 80, "nested too deep"),
    ],
)  # fmt: skip
def test_files_that_are_no_recipe(content: str | bytes, words: str, folder: Path) -> None:
    with pytest.raises(InputError) as raised:
        load_recipe(write(folder, content))
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_aliases_that_explode_are_refused(folder: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(InputError, match="too large"):
        load_recipe(write(folder, "\n".join(lines) + "\n"))


def test_no_such_recipe(folder: Path) -> None:
    with pytest.raises(InputError, match="there is no such recipe"):
        load_recipe(folder / "none.yaml")
    with pytest.raises(InputError, match="is a folder"):
        load_recipe(folder)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("split.tset=0.3", ["--set split.tset", "did you mean 'test'"]),
        ("split.seed=abc", ["--set split.seed", "'abc'", "an integer"]),
        ("split.seed", ["--set split.seed", "key=value"]),
        ("=3", ["key=value"]),
        ("name.x=3", ["--set name.x", "nothing can be set inside"]),
        ("candidates.4.epochs=3", ["--set candidates.4.epochs", "there is no '4'"]),
        ("amount.ratio=[1", ["--set amount.ratio", "not YAML"]),
        ("candidates.0.epochs=-1", ["candidates.0.epochs", "-1"]),
    ],
)
def test_wrong_overrides(override: str, words: list[str], folder: Path) -> None:
    path = write(folder, BASE + "candidates: [{generator: ctgan, epochs: 2}]\n")
    with pytest.raises(InputError) as raised:
        load_recipe(path, [override])
    for word in words:
        assert word in str(raised.value)


def test_secrets_are_not_repeated(folder: Path) -> None:
    for extra in (
        "api_key: sk-very-secret",
        "store: {password: sk-very-secret}",
        "device: https://me:sk-very-secret@host",
    ):
        with pytest.raises(InputError) as raised:
            load_recipe(write(folder, BASE + extra + "\n"))
        assert "sk-very-secret" not in str(raised.value)


@pytest.mark.parametrize(
    "part, words",
    [
        ({"candidates": [{"generator": "smoote"}]}, "did you mean 'smote'"),
        ({"candidates": [{"generator": "ctgan", "epoch": 3}]}, "epoch"),
        ({"source": {"kind": "table", "path": "none.csv"}}, "there is no file 'none.csv'"),
        ({}, "label"),  # it has two rows
    ],
)
def test_a_recipe_of_a_program_is_looked_at_as_a_file_s(
    part: dict[str, object], words: str, folder: Path
) -> None:
    import leaven

    given = {"name": "x", "source": {"kind": "table", "path": "rows.csv"}}
    before = sorted(folder.iterdir())
    with pytest.raises(InputError, match=words):
        leaven.run(Recipe.model_validate(given | part), folder=folder)
    assert sorted(folder.iterdir()) == before


def test_json_schema_is_current() -> None:
    path = Path(__file__).parents[2] / "docs" / "recipe.schema.json"
    assert path.read_text() == schema_json(), "write it anew: schema_json() of leaven.pipelines.recipe_file"
    schema = json.loads(path.read_text())
    assert set(schema["properties"]) == set(Recipe.model_fields)
    parts = [definition for definition in schema["$defs"].values() if "properties" in definition]
    assert all(part.get("additionalProperties") is (part["title"] == "Candidate") for part in parts)


def test_a_label_is_short_and_a_name_in_full_is_not() -> None:
    """An endpoint is its model, many entries are their number; what tells fits apart says all."""
    endpoint = {"url": "http://localhost:8000/v1", "model": "small", "max_tokens": 9}
    one = Candidate(generator="paraphrase", endpoint=endpoint, alternatives=2)  # type: ignore[call-arg]
    assert one.label == "paraphrase(endpoint=small, alternatives=2)"
    assert called(one.generator, one.parameters) == f"paraphrase(endpoint={endpoint}, alternatives=2)"
    words = Candidate(generator="class_words", meanings={"a": "x", "b": "y"})  # type: ignore[call-arg]
    assert words.label == "class_words(meanings=2 entries)"
    assert Candidate(generator="tvae", epochs=3).label == "tvae(epochs=3)"  # type: ignore[call-arg]
    assert Candidate(generator="smote").label == "smote"
