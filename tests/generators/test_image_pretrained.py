"""Train images changed by a pretrained diffusion model: a tiny one of random weights, built on the spot."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators.conditions import parse
from leaven.generators.contract import Budget
from leaven.generators.errors import ConditionError, FitError, InputError
from leaven.generators.image.pixels import to_array, to_column
from leaven.generators.image.pretrained import Pretrained
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema

from .tiny_diffusion import SIDE, build

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

COLOUR, GREY = (12, 12, 3), (10, 10, 1)
QUICK = {"steps": 8, "guidance": 2.0, "strength": [0.3, 0.9]}


def schema(shape: tuple[int, int, int]) -> Schema:
    image = Column(name="image", type="image", shape=shape)
    return Schema(columns=(image, Column(name="label", type="category")), target="label")


def written(path: Path, shape: tuple[int, int, int], count: int = 30) -> Rows:
    """Two thirds dark images, one third light ones."""
    rng = np.random.default_rng(0)
    labels = np.where(np.arange(count) % 3 < 2, "dark", "light").astype(object)
    base = np.where(labels == "dark", 40, 200)[:, None, None, None]
    pixels = np.clip(base + rng.normal(0, 20, (count, *shape)), 0, 255).astype(np.uint8)
    frame = pd.DataFrame({"image": to_column(pixels), "label": labels})
    pq.write_table(to_arrow(frame, schema(shape)), path)
    return Rows(path, schema(shape))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return written(tmp_path_factory.mktemp("images") / "train.parquet", COLOUR)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("model") / "tiny")


def fitted(rows: Rows, model: Path | str, **parameters: Any) -> Pretrained:
    made = Pretrained({**QUICK, "model": str(model), **parameters})
    made.fit(rows, seed=1, threads=1)
    return made


def pixels_of(frame: pd.DataFrame, shape: tuple[int, int, int] = COLOUR) -> np.ndarray:
    return to_array(frame["image"], shape)


@pytest.fixture(scope="module")
def plain(rows: Rows, model: Path) -> Pretrained:
    return fitted(rows, model)


def test_rows_are_changed_train_rows(rows: Rows, plain: Pretrained) -> None:
    made = plain.sample(24, seed=2)
    assert list(made.columns) == ["image", "label", "_source_row"]
    assert to_arrow(made, rows.schema).schema == rows.schema.arrow()
    real = rows.frame()
    assert (real["label"].to_numpy()[made["_source_row"]] == made["label"]).all()
    changed = (pixels_of(made) != pixels_of(real)[made["_source_row"]]).any(axis=(1, 2, 3))
    assert changed.all()
    assert 0 < (made["label"] == "light").mean() < 0.7


def test_classes_that_are_asked_for(rows: Rows, plain: Pretrained) -> None:
    made = plain.sample(5, seed=1, conditions=parse(["label=light"], rows.schema))
    assert set(made["label"]) == {"light"}
    with pytest.raises(ConditionError, match="no class meets"):
        plain.sample(1, seed=1, conditions=parse(["label=grey"], rows.schema))
    assert len(plain.sample(0, seed=1)) == 0


def test_a_row_depends_on_its_seed_and_place_alone(rows: Rows, plain: Pretrained, tmp_path: Path) -> None:
    first = plain.sample(9, seed=3)
    plain.sample(4, seed=8)
    pd.testing.assert_frame_equal(first, plain.sample(9, seed=3))
    assert not first.equals(plain.sample(9, seed=4))
    plain.save(tmp_path)
    pd.testing.assert_frame_equal(first, Pretrained.load(tmp_path).sample(9, seed=3))
    # The rows of one batch share the number of steps, and do not share noise.
    batched = fitted(rows, plain.parameters.model, batch=4).sample(9, seed=3)
    apart = np.abs(pixels_of(batched).astype(int) - pixels_of(first))
    assert apart.max() <= 1 and (apart > 0).mean() < 0.01


def test_strength_is_how_far_from_the_source(rows: Rows, model: Path) -> None:
    real = pixels_of(rows.frame()).astype(float)
    apart = []
    for strength in (0.05, 0.9):
        made = fitted(rows, model, strength=strength, steps=20).sample(12, seed=2)
        apart.append(np.abs(pixels_of(made) - real[made["_source_row"]]).mean())
    assert apart[0] < 0.8 * apart[1]


def test_strengths_of_a_range_and_of_a_choice(rows: Rows, model: Path) -> None:
    ranged = Pretrained({"model": str(model), "strength": [0.2, 0.6], "steps": 10})
    assert {ranged._steps(seed) for seed in range(100)} == {2, 3, 4, 5, 6}
    chosen = Pretrained({"model": str(model), "strength": [0.1, 0.5, 1.0], "steps": 10})
    assert {chosen._steps(seed) for seed in range(100)} == {1, 5, 10}


def test_grey_images_go_through_a_colour_model(tmp_path: Path, model: Path) -> None:
    made = fitted(written(tmp_path / "grey.parquet", GREY), model, side=24).sample(3, seed=1)
    assert pixels_of(made, GREY).shape == (3, *GREY)


@pytest.mark.parametrize(
    ("adapt", "steps", "rate", "falls"), [("lora", 40, 0.02, 0.02), ("textual_inversion", 80, 0.2, 0.0005)]
)
def test_the_model_learns_the_train_images(
    rows: Rows,
    model: Path,
    plain: Pretrained,
    tmp_path: Path,
    adapt: str,
    steps: int,
    rate: float,
    falls: float,
) -> None:
    if adapt == "lora":
        pytest.importorskip("peft")
    taught = {"adapt": adapt, "adapt_steps": steps, "adapt_rate": rate, "rank": 4}
    made, again = (Pretrained({**QUICK, "model": str(model), **taught}) for _ in range(2))
    report = made.fit(rows, seed=1, threads=1)
    assert report.steps == steps and report.rows == 30 and report.stopped_by == "done"
    held = [look["held_out"] for look in report.losses]
    assert min(held) < (1 - falls) * held[0]
    drawn = made.sample(6, seed=3)
    assert not drawn.equals(plain.sample(6, seed=3))
    if adapt == "lora":  # the other one is fitted twice where the clock ends it
        again.fit(rows, seed=1, threads=1)
        pd.testing.assert_frame_equal(drawn, again.sample(6, seed=3))
    made.save(tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 100_000  # the model is not among it
    pd.testing.assert_frame_equal(drawn, Pretrained.load(tmp_path).sample(6, seed=3))


def test_the_clock_ends_the_training_and_a_replay_repeats_it(rows: Rows, model: Path) -> None:
    settings = {**QUICK, "model": str(model), "adapt": "textual_inversion", "adapt_steps": 100_000}
    first, second = Pretrained(settings), Pretrained(settings)
    report = first.fit(rows, seed=1, threads=1, budget=Budget(3.0))
    assert report.stopped_by == "budget" and 0 < report.steps < 100_000
    assert any("budget" in note for note in report.notes)
    second.fit(rows, seed=1, threads=1, budget=Budget(steps=report.steps))
    pd.testing.assert_frame_equal(first.sample(3, seed=2), second.sample(3, seed=2))


def test_words_reach_the_model(rows: Rows, model: Path, plain: Pretrained) -> None:
    named = fitted(rows, model, names={"dark": "bright grey"}, prompt="an image of {label}")
    assert named._prompts(learned=False) == ["an image of bright grey", "an image of light"]
    assert not named.sample(4, seed=3).equals(plain.sample(4, seed=3))


def test_refused_images_are_drawn_anew(rows: Rows, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = fitted(rows, model)
    straight = made.sample(6, seed=3)
    draw, calls = made._drawn, []

    def refusing(sources: np.ndarray, taken: int, seeds: list[int]) -> Any:
        images, _ = draw(sources, taken, seeds)
        calls.append(len(sources))
        return images, np.full(len(sources), len(calls) <= 2)

    monkeypatch.setattr(made, "_drawn", refusing)
    drawn = made.sample(6, seed=3)
    same = (pixels_of(drawn) == pixels_of(straight)).all(axis=(1, 2, 3))
    assert len(calls) == 8 and same.sum() == 5
    assert (rows.frame()["label"].to_numpy()[drawn["_source_row"]] == drawn["label"]).all()
    monkeypatch.setattr(made, "_drawn", lambda sources, *_: (made.pixels[sources], np.ones(1, dtype=bool)))
    with pytest.raises(FitError, match="safety checker refused 5 images in a row of the class"):
        made.sample(1, seed=3)


def test_out_of_gpu_memory_halves_the_batch(rows: Rows, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    made = Pretrained({**QUICK, "model": str(model)})
    draw = Pretrained._drawn

    def small(self: Pretrained, sources: np.ndarray, taken: int, seeds: list[int]) -> Any:
        if len(sources) > 2:
            raise torch.OutOfMemoryError("too much")
        return draw(self, sources, taken, seeds)

    monkeypatch.setattr(Pretrained, "_drawn", small)
    monkeypatch.setattr("leaven.generators.image.pretrained_model.precision", lambda *_: torch.float32)
    monkeypatch.setattr("diffusers.DiffusionPipeline.to", lambda self, *_: self)
    report = made.fit(rows, seed=1, threads=1, device="cuda")
    assert made.batch == 2
    assert report.notes == ["GPU memory holds 2 images of this model at once, not 8: the batch was halved"]
    assert len(made.sample(5, seed=1)) == 5
    monkeypatch.setattr(made, "_drawn", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("too much")))
    with pytest.raises(FitError, match="even for one image; a smaller side may fit"):
        made.sample(5, seed=1)


def test_a_model_in_the_hub_s_cache(
    rows: Rows, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, repository = "0123456789abcdef" * 2 + "01234567", tmp_path / "models--someone--tiny"
    shutil.copytree(model, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    made = fitted(rows, "someone/tiny")
    (saved := tmp_path / "saved").mkdir()
    made.save(saved)
    told = json.loads((saved / "model.json").read_text())
    assert told == {"name": "someone/tiny", "commit": commit, "digest": None, "most": None}
    (repository / "refs" / "main").write_text("f" * 40)  # the branch moves on; the commit is still here
    pd.testing.assert_frame_equal(made.sample(3, seed=1), Pretrained.load(saved).sample(3, seed=1))
    shutil.rmtree(repository)
    with pytest.raises(InputError, match=f"someone/tiny at {commit} is neither a folder here nor in"):
        Pretrained.load(saved)


def test_another_model_in_its_place_is_noticed(rows: Rows, model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = shutil.copytree(model, tmp_path / "model")
    made = fitted(rows, model)
    (saved := tmp_path / "saved").mkdir()
    made.save(saved)
    weights = load_file(path := model / "unet" / "diffusion_pytorch_model.safetensors")
    save_file({**weights, "conv_in.bias": weights["conv_in.bias"] + 0.1}, path)
    with pytest.raises(InputError, match="is another one than the generator was fitted with"):
        Pretrained.load(saved)


def test_pickled_weights_are_refused_unless_trusted(rows: Rows, model: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "pickled"
    shutil.copytree(model, folder)
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(InputError, match=r"pickled weights only for vae, .*unsafe: true"):
        fitted(rows, folder)
    trusted = fitted(rows, folder, unsafe=True).sample(2, seed=1)
    pd.testing.assert_frame_equal(trusted, fitted(rows, model).sample(2, seed=1))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"model": "/no/such/folder"}, "expected a folder with model_index.json.* is not there"),
        ({"model": "no/such-model"}, "no/such-model is neither a folder here nor in the Hugging Face cache"),
        ({"model": "no such model"}, "no such model is neither a folder here nor in"),
        ({"names": {"drak": "night"}}, "names: 'drak' is no class; there are dark, light"),
        ({"side": 25}, "side: this model takes multiples of 2; found 25"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    rows: Rows, model: Path, wrong: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told) as raised:
        fitted(rows, **{"model": model, **wrong})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"strength": 1.2}, "above 0 and at most 1; found 1.2"),
        ({"strength": [0.0, 0.5]}, "above 0 and at most 1; found 0.0"),
        ({"strength": [0.8, 0.2]}, "a range from low to high"),
        ({"strength": []}, "found none"),
        ({"prompt": "a {lable}"}, "only {label} can be filled in"),
        ({"prompt": "a {label"}, "cannot be filled in"),
        ({"prompt": "a photo", "adapt": "textual_inversion"}, "needs {label}"),
        ({"model": ""}, "at least 1 character"),
    ],
)
def test_parameters_that_cannot_be(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Pretrained({"model": "tiny", **wrong})


def test_a_broken_model_and_one_of_another_kind(rows: Rows, model: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(model, tmp_path / "broken")
    index = json.loads((broken / "model_index.json").read_text())
    (broken / "model_index.json").write_text(json.dumps({**index, "_class_name": "DDPMPipeline"}))
    with pytest.raises(InputError, match="cannot be used for image-to-image"):
        fitted(rows, broken)
    (broken / "model_index.json").write_text("{")
    with pytest.raises(InputError, match="is no JSON"):
        fitted(rows, broken)


def test_without_diffusers(rows: Rows, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = sys.modules["importlib.util"].find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "diffusers" else find(name, *rest)
    )
    with pytest.raises(FitError, match=r"needs diffusers: pip install 'leaven\[pretrained\]'"):
        fitted(rows, model)


def test_sizes(plain: Pretrained) -> None:
    from leaven.generators.image.pretrained_model import side_of

    assert side_of(plain.pipeline, None) == SIDE
