"""Recipes of some seconds for each kind, with their data: for benchmarks and tests that need many runs, not good ones.

Their learners and extractor are small on purpose; this module must be importable where they run.
"""

import csv
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

import leaven

KINDS = ("table", "image", "text")
HUNGER = 600  # rows: more than the table has, fewer than with synthetic ones
ROWS = {"table": 600, "text": 150}  # in all; the last third are for validation
_SHARED = """
split: {{validation_path: {kind}_validation.{end}, test: 0.4}}
amount: {{ratio: 2.0, shares: [natural]}}
shard_rows: 100
utility: {{repeats: 1, draws: 100, folds: 2, learners: ['{learner}']}}
budget: {{fit: 1m, total: 10m}}
device: cpu
threads: 1
"""
_RECIPES = {
    "table": """
source: {kind: table, path: table.csv}
task: {target: churn}
candidates: [{generator: smote}]
screen: {label_agreement: false}
gates: {worst_attack: false, copies: false, near_copies: false, lift: {min: -0.5}}
""",
    "image": """
source: {kind: image, path: image.npz}
candidates: [{generator: policy}]
screen: {near_copies: false, out_of_distribution: false, label_agreement: false}
quality: {extractor: 'tiny:extractor'}
""",
    "text": """
source: {kind: text, path: text.csv}
task: {target: label}
candidates: [{generator: edits}]
screen: {language: false, meaning: false, label_agreement: false}
""",
}


def _wait() -> None:
    while (hold := os.environ.get("LEAVEN_TINY_HOLD")) and Path(hold).exists():
        time.sleep(0.1)


def learner() -> Any:
    """A classifier that fits in milliseconds. It waits while there is a file at `LEAVEN_TINY_HOLD`."""
    from sklearn.naive_bayes import GaussianNB

    _wait()
    return GaussianNB()


def hungry() -> Any:
    """The same, but it knows nothing of fewer than `HUNGER` rows: so that more rows help, and are released."""
    from sklearn.naive_bayes import GaussianNB

    _wait()

    class Hungry(GaussianNB):  # type: ignore[misc]
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            self.full_ = len(y) >= HUNGER
            return super().fit(X, y, sample_weight)

        def predict_proba(self, X: Any) -> Any:
            said = super().predict_proba(X)
            return said if self.full_ else np.full_like(said, 1 / said.shape[1])

    return Hungry()


def extractor() -> Any:
    """Images as means of their quarters."""

    def features(pixels: np.ndarray) -> np.ndarray:
        count, height, width, channels = pixels.shape
        rows, columns = height // 4 * 4, width // 4 * 4
        cells = pixels[:, :rows, :columns].reshape(count, 4, rows // 4, 4, columns // 4, channels)
        return cells.mean(axis=(2, 4)).reshape(count, 16 * channels) / 255

    return features


def write(kind: str, folder: Path, extra: str = "") -> Path:
    """The recipe of a kind, named as the kind, with its data beside it. `extra`: further lines of YAML."""
    folder.mkdir(parents=True, exist_ok=True)
    data = Path(leaven.__file__).parent / "data"
    if kind == "image":
        shutil.copyfile(data / "digits.npz", folder / "image.npz")
        with np.load(data / "digits_test.npz") as held_out:
            np.savez(folder / "image_validation.npz", x=held_out["x"][:100], y=held_out["y"][:100])
    else:
        names = {"table": ["churn.csv"], "text": ["messages.csv", "messages_test.csv"]}[kind]
        rows = []
        for name in names:
            with (data / name).open(newline="", encoding="utf-8") as file:
                header, *found = csv.reader(file)
                rows += found
        rows = rows[: ROWS[kind]]
        cut = 2 * len(rows) // 3
        for name, part in ((kind, rows[:cut]), (f"{kind}_validation", rows[cut:])):
            with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([header, *part])
    recipe = folder / f"{kind}.yaml"
    shared = _SHARED.format(
        kind=kind,
        end="npz" if kind == "image" else "csv",
        learner={"table": "tiny:hungry", "image": "tiny:learner", "text": "tfidf"}[kind],
    )
    recipe.write_text(f"name: {kind}\n{_RECIPES[kind].strip()}\n{shared.strip()}\n{extra}")
    return recipe


def environment(**more: str) -> dict[str, str]:
    """This process's, with which another one can import this module."""
    here = str(Path(__file__).resolve().parent)
    known = os.environ.get("PYTHONPATH", "")
    paths = [here, *(part for part in known.split(os.pathsep) if part)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | more
