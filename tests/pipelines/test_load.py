"""A training job reads a release: a small classifier is trained through each of the ways to load one."""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest

import leaven
from leaven.generators.errors import InputError
from leaven.pipelines import load


def accuracy(train: pd.DataFrame, test: pd.DataFrame) -> float:
    """Of a tree on the two columns that tell, on real test rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    def features(frame: pd.DataFrame) -> np.ndarray:
        height = frame["height"].to_numpy(dtype=float, na_value=np.nan)
        return np.column_stack([height, (frame["été|ville"] == "Zürich").astype(float)])

    model = HistGradientBoostingClassifier(max_iter=20).fit(features(train), train["ill"].astype(str))
    return float(model.score(features(test), test["ill"].astype(str)))


def test_pandas(released: Path) -> None:
    train, test = leaven.load(released), leaven.load(released, split="test")
    assert len(train) == 360 and len(test) == 150 and list(train) == list(test)
    assert train["number of visits"].dtype == "Int64" and train["seen"].dtype == "datetime64[us]"
    assert accuracy(train, test) > 0.85
    plain = pd.concat(
        pd.read_parquet(released / "data" / part) for part in ("real/train.parquet", "synthetic")
    )
    assert len(plain) == 300 and accuracy(plain, pd.read_parquet(released / "data/real/test.parquet")) > 0.85


def test_pyarrow(released: Path) -> None:
    table = leaven.load(released, format="arrow")
    test = pyarrow.dataset.dataset(released / "data/real/test.parquet").to_table()
    assert table.schema.names == test.schema.names and table.schema.types == test.schema.types
    assert accuracy(table.to_pandas(), test.to_pandas()) > 0.85
    made = pyarrow.dataset.dataset(released / "data" / "synthetic").to_table()
    assert made.num_rows == 100 and "_generator" in made.column_names


def test_datasets(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()

    def load(config: str, **options: Any) -> Any:
        return datasets.load_dataset(str(released), config, cache_dir=str(tmp_path), **options)

    real, made, both = load("real"), load("synthetic"), load("augmented")
    assert {split: len(rows) for split, rows in real.items()} == {"train": 200, "validation": 60, "test": 150}
    assert {split: len(rows) for split, rows in made.items()} == {"train": 100}
    assert len(both["train"]) == 360 and both["train"].features == made["train"].features
    assert len(both["test"]) == 150
    # Real rows have no provenance: their columns are filled with nothing, not refused.
    assert both["train"][0]["_generator"] is None and both["train"][359]["_generator"] == "smote"
    assert "_generator" not in real["test"].features
    assert both["train"][0] | {"_generator": 0, "_seed": 0, "_source_row": 0} == real["train"][0] | {
        "_generator": 0,
        "_seed": 0,
        "_source_row": 0,
    }
    assert accuracy(load("augmented", split="train").to_pandas(), real["test"].to_pandas()) > 0.85


def test_torch(released: Path) -> None:
    import torch
    from torch.utils.data import DataLoader

    torch.manual_seed(0)
    mixed = leaven.mix(released, ratio=0.25, seed=3)
    assert len(mixed) == 325 and int(mixed.synthetic.sum()) == 65
    x, y = mixed[0]
    assert (
        x.dtype == torch.float32 and y.dtype == torch.int64 and x.shape == (len(mixed.encoder.feature_names),)
    )
    assert not any("id" in name.split("_") for name in mixed.encoder.feature_names), (
        "identifiers are no features"
    )
    model = torch.nn.Linear(len(x), len(mixed.classes))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(5):
        for features, target in DataLoader(mixed, batch_size=32, shuffle=True):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(features), target).backward()
            optimiser.step()
    features, target = mixed.held_out("test").tensors
    assert (model(features).argmax(1) == target).float().mean() > 0.85


def test_mix_is_seeded_and_fits_its_encoder_on_real_rows_alone(released: Path) -> None:
    import torch

    same, again, other = (leaven.mix(released, 0.25, seed) for seed in (1, 1, 2))
    assert torch.equal(same.features, again.features) and not torch.equal(same.features, other.features)
    none = leaven.mix(released, 0)
    assert len(none) == 260 and torch.equal(none.features, same.features[:260])
    assert none.features[:, 0].mean().abs() < 1e-5
    assert len(leaven.mix(released)) == 360
    with pytest.raises(InputError, match=r"ratio 2: 520 synthetic rows for 260 real ones.*at most 0\.385"):
        leaven.mix(released, 2)


def test_names_versions_and_stores(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = small.release(tmp_path)
    bad = small.release(tmp_path, verdict="withheld", synthetic=small.synthetic[:1])
    assert len(leaven.load("blobs", store=tmp_path, split="synthetic")) == 100
    monkeypatch.setenv("LEAVEN_STORE", str(tmp_path))
    assert len(leaven.load("blobs", bad.version, split="synthetic")) == 50
    assert len(leaven.load(f"blobs@{good.version}", split="synthetic")) == 100
    assert len(leaven.load("blobs", split="real")) == 260
    with pytest.raises(InputError, match="did you mean 'blobs'"):
        leaven.load("blob")
    with pytest.raises(InputError, match="no version's folder"):
        leaven.load(tmp_path)
    with pytest.raises(InputError, match="there are: augmented"):
        leaven.load("blobs", split="all")  # type: ignore[arg-type]


def test_provenance_on_request(released: Path) -> None:
    frame = leaven.load(released, provenance=True)
    assert frame["_generator"].isna().sum() == 260 and set(frame["_seed"].dropna()) == {10, 11}
    assert not any(name.startswith("_") for name in leaven.load(released))


def test_more_rows_from_a_released_generator(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    class Known:
        @classmethod
        def load(cls, directory: Path) -> "Known":
            return cls()

        def sample(self, count: int, *, seed: int, conditions: Any, offset: int) -> pd.DataFrame:
            calls.append((count, seed, [str(condition) for condition in conditions], offset))
            return leaven.load(released.path, split="train").head(count)

    (tmp_path / "generator").mkdir()
    (tmp_path / "generator" / "model.json").write_text("{}")
    released = small.release(tmp_path, generator=tmp_path / "generator")
    monkeypatch.setattr("leaven.generators.catalog.get", lambda name, kind: Known)
    frame = leaven.sample("blobs", 30, ["ill=yes"], seed=5, store=tmp_path, screened=False)
    assert len(frame) == 30 and frame["number of visits"].dtype == "Int64"
    options = {"seed": 5, "store": tmp_path, "screened": False}
    assert leaven.sample("blobs", 30, ["ill=yes"], format="arrow", **options).num_rows == 30
    assert calls[0] == calls[1] and calls[0][2:] == (["ill=yes"], 104), "identifiers follow the released rows"
    with pytest.raises(InputError, match="no column"):
        leaven.sample("blobs", 3, ["size=4"], store=tmp_path)
    with pytest.raises(InputError, match="at least 1"):
        leaven.sample("blobs", 0, store=tmp_path)


def test_importing_leaven_is_light() -> None:
    script = (
        "import sys, time; t = time.process_time(); import leaven; s = time.process_time() - t;"
        "heavy = {'pandas', 'torch', 'numpy', 'pyarrow', 'prefect', 'sklearn', 'pydantic'} & set(sys.modules);"
        "assert not heavy and s < 0.2, (heavy, s); assert leaven.Recipe.__name__ == 'Recipe' and 'load' in dir(leaven)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = leaven.lod


def test_a_newer_version_is_waited_for(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "POLL_SECONDS", 0.05)
    name, now = released.parent.parent.name, released.name
    with pytest.raises(InputError, match=f"not newer than {now}"):
        leaven.load(name, store=released.parents[2], newer_than=now, wait=0.1)
    assert len(leaven.load(name, store=released.parents[2], newer_than=f"{name}@2020")) == 360

    def publish() -> None:
        shutil.copytree(released.parents[1], tmp_path / name)

    timer = threading.Timer(0.3, publish)
    timer.start()
    begun = time.monotonic()
    assert load.find(name, store=tmp_path, wait=30).id == now
    assert 0.2 < time.monotonic() - begun < 20
    timer.join()
