"""A training in several processes: it learns what one learns, says what goes wrong, and ends when nobody waits."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest

from leaven.generators.contract import Budget
from leaven.generators.errors import FitError
from leaven.generators.image import network
from leaven.generators.image.diffusion import Diffusion
from leaven.generators.image.pixels import to_array, to_column
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema

SHAPE = (8, 8, 1)
SCHEMA = Schema(
    columns=(Column(name="image", type="image", shape=SHAPE), Column(name="label", type="category")),
    target="label",
)
SETTINGS: dict[str, Any] = {
    "width": 16,
    "blocks": 1,
    "batch": 16,
    "steps": 150,
    "rate": 3e-3,
    "augment": 0.0,
    "devices": 2,
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Dark and light images."""
    rng = np.random.default_rng(0)
    pixels = np.concatenate([rng.integers(0, 60, (60, *SHAPE)), rng.integers(190, 256, (60, *SHAPE))])
    labels = np.repeat(np.array(["dark", "light"], dtype=object), 60)
    path = tmp_path_factory.mktemp("images") / "train.parquet"
    frame = pd.DataFrame({"image": to_column(pixels.astype(np.uint8)), "label": labels})
    pq.write_table(to_arrow(frame, SCHEMA), path)
    return Rows(path, SCHEMA)


def test_two_processes_learn_what_one_does(rows: Rows, tmp_path: Path) -> None:
    said: list[tuple[float, str]] = []
    made = Diffusion(SETTINGS)
    report = made.fit(
        rows, seed=1, threads=2, progress=lambda share, text: said.append((share, text)), budget=Budget(300)
    )
    assert report.steps == 150 and report.stopped_by == "done" and report.rows == 120
    assert len(report.losses) >= 1 and any("step 100" in text for _, text in said)
    images = made.sample(40, seed=2)
    light = to_array(images["image"], SHAPE).mean((1, 2, 3)) > 127
    assert ((images["label"] == "light") == light).all()
    made.save(tmp_path)
    pd.testing.assert_frame_equal(images, Diffusion.load(tmp_path).sample(40, seed=2))
    # Half of every batch each: the same images are learned from, with other noise, so the loss is much the same.
    alone = Diffusion({**SETTINGS, "devices": 1}).fit(rows, seed=1, threads=1)
    assert report.losses[-1]["held_out"] == pytest.approx(alone.losses[-1]["held_out"], rel=0.25)


def test_what_goes_wrong_in_a_process_is_said(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Diffusion(SETTINGS)
    monkeypatch.setattr(
        broken.parameters, "rate", -1.0
    )  # refused by the processes, which read what they are given
    with pytest.raises(FitError, match=r"diffusion: ValidationError: .*rate .* \(on 2 devices\)"):
        broken.fit(rows, seed=1, threads=2)
    with pytest.raises(ValueError, match="a batch of 16 images cannot be shared evenly by 3 devices"):
        Diffusion({**SETTINGS, "devices": 3})
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(FitError, match="devices: 2 are asked for; this machine has 1 GPUs"):
        Diffusion(SETTINGS).fit(rows, seed=1, device="cuda")


def test_they_end_with_the_process_that_asked(rows: Rows, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from leaven.generators.rows import Rows\n"
        "from leaven.generators.schema import Schema; from leaven.generators.image.diffusion import Diffusion\n"
        "schema = Schema.model_validate_json(sys.argv[2])\n"
        "Diffusion({'width': 16, 'devices': 2, 'batch': 16, 'steps': 10**6}).fit(\n"
        "    Rows(Path(sys.argv[1]), schema), seed=1, progress=lambda share, text: print(text, flush=True))\n"
    )
    asking = subprocess.Popen(
        [sys.executable, "-c", code, str(rows.paths[0]), SCHEMA.model_dump_json()],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert asking.stdout is not None
    while "step 100" not in asking.stdout.readline():
        assert asking.poll() is None
    started = psutil.Process(asking.pid).children(recursive=True)
    assert len(started) >= 3  # torchrun and two that learn
    os.kill(asking.pid, signal.SIGKILL)
    asking.wait()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive


def test_processes_see_the_parts_of_a_batch() -> None:
    from leaven.generators.together import Together

    pixels = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), dtype=np.uint8)
    labels = np.resize([0, 1], 40)
    whole = network.Data(pixels, labels, 8, 3, "cpu")
    parts = [network.Data(pixels, labels, 8, 3, "cpu", Together(rank, 2, "cpu")) for rank in range(2)]
    for step in range(6):
        seen = [part.batch(step) for part in parts]
        together = sorted(float(value) for images, _, _ in seen for value in images[:, 0, 0, 0])
        assert together == sorted(float(value) for value in whole.batch(step)[0][:, 0, 0, 0])
        assert seen[0][2].initial_seed() != seen[1][2].initial_seed()
