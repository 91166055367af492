"""Peers that are not in Leaven's own environment: what they need, and an environment of its own for each."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


@dataclass(frozen=True)
class Peer:
    """A peer's worker script, what pip installs for it, and what it is.

    `constrained`: with the project's constraints (for the same torch); otherwise it may need other versions.
    `told`: it is told the time limit and ends by itself; others are ended from outside, and tried again on
    `fewer` of the train rows. `unwanted`: removed again after installing. `default`: whether it runs when no peers
    are named.
    """

    worker: str
    requirements: tuple[str, ...]
    about: str
    constrained: bool = False
    told: bool = False
    fewer: int | None = None
    unwanted: tuple[str, ...] = ()
    default: bool = True


# Where an upper bound stands, the peer calls what newer versions have removed.
PEERS = {
    "mostlyai_engine": Peer(
        "mostlyai_engine",
        ("mostlyai-engine==2.7.3", "pyarrow"),
        "MOSTLY AI's TabularARGN, defaults",
        constrained=True,
        told=True,
        # Beside torch's CPU wheel pip may take a torchvision for CUDA, which cannot be imported; tables need neither.
        unwanted=("torchvision", "torchaudio"),
    ),
    "arf": Peer(
        "adversarial_forest",
        ("arfpy==0.1.1", "numpy<2.4", "pandas<3", "pyarrow"),
        "adversarial random forests (arfpy), defaults",
        fewer=3_000,
    ),
    "unmasking_trees": Peer(
        "unmasking_trees",
        ("utrees==0.3.0", "scikit-learn<1.6", "xgboost<3", "pandas<3", "pyarrow"),
        "UnmaskingTrees (utrees), defaults",
    ),
    "forest_diffusion": Peer(
        "forest_diffusion",
        ("ForestDiffusion==1.0.6", "pandas<3", "pyarrow"),
        "ForestDiffusion, flow, one model per class, defaults",
    ),
}


def python_of(name: str, folder: Path) -> Path:
    """The interpreter of a peer's environment, which is made the first time or when its requirements changed.

    Raises:
        subprocess.CalledProcessError: pip could not install it.
    """
    peer, home = PEERS[name], folder.resolve() / name
    python, stamp = home / "bin" / "python", home / "installed.json"
    if stamp.exists() and json.loads(stamp.read_text()) == list(peer.requirements):
        return python
    print(f"making an environment for {name} in {home}: {' '.join(peer.requirements)}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if peer.constrained:
        pip += ["-c", str(CONSTRAINTS)]
    subprocess.run([*pip, *peer.requirements], check=True)
    if peer.unwanted:
        subprocess.run(
            [str(python), "-m", "pip", "uninstall", "--quiet", "--yes", *peer.unwanted], check=True
        )
    stamp.write_text(json.dumps(list(peer.requirements)))
    return python
