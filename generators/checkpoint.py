"""The state of a fit in a folder, from which it goes on after a kill: tensors as safetensors, the rest as JSON."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from leaven.generators.contract import Budget

if TYPE_CHECKING:
    import torch

EVERY = 30.0  # seconds between two states


class Checkpoint:
    """Keeps networks, an optimizer (or several) and further tensors in the budget's folder, if it has one."""

    def __init__(
        self,
        budget: Budget,
        networks: Mapping[str, "torch.nn.Module"],
        optimizers: "torch.optim.Optimizer | Sequence[torch.optim.Optimizer]",
        others: Mapping[str, Sequence["torch.Tensor"]],
    ):
        self.budget, self.networks, self.others = budget, networks, others
        self.optimizers = optimizers if isinstance(optimizers, Sequence) else [optimizers]
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to keep the state."""
        return self.budget.checkpoint is not None and time.monotonic() - self._last >= EVERY

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep everything, with `state` (JSON-serialisable) beside; the folder is never seen half-written."""
        from safetensors.torch import save_file

        assert self.budget.checkpoint is not None
        target = self.budget.checkpoint
        making = target.with_name(f"{target.name}.{os.getpid()}")
        making.mkdir(parents=True)
        save_file(
            {name: value.detach().cpu().contiguous().clone() for name, value in self._tensors().items()},
            making / "state.safetensors",
        )
        numbers = {"state": dict(state), "elapsed": self.budget.elapsed}
        (making / "state.json").write_text(json.dumps(numbers))
        gone = target.with_name(f"{target.name}.old")
        if target.exists():
            shutil.rmtree(gone, ignore_errors=True)
            target.rename(gone)
        making.rename(target)
        shutil.rmtree(gone, ignore_errors=True)
        self._last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Take up what was kept last, in place; None where there is nothing."""
        import torch
        from safetensors.torch import load_file

        folder = self.budget.checkpoint
        if folder is None:
            return None
        gone = folder.with_name(f"{folder.name}.old")
        if not folder.exists() and gone.exists():  # killed between the two renames
            with contextlib.suppress(FileNotFoundError):  # another process of this training was first
                gone.rename(folder)
        if not (folder / "state.json").is_file():
            return None
        numbers = json.loads((folder / "state.json").read_text())
        kept = load_file(folder / "state.safetensors")
        for optimizer in self.optimizers:
            _wake(optimizer)
        with torch.no_grad():
            for name, value in self._tensors().items():
                value.copy_(kept[name])
        self.budget.before += numbers["elapsed"]
        state: dict[str, Any] = numbers["state"]
        return state

    def forget(self) -> None:
        """Drop what was kept."""
        if self.budget.checkpoint is not None:
            with contextlib.suppress(OSError):
                shutil.rmtree(self.budget.checkpoint)

    def _tensors(self) -> dict[str, "torch.Tensor"]:
        """Everything that is kept, by name."""
        import torch

        found: dict[str, torch.Tensor] = {}
        for name, network in self.networks.items():
            found |= {f"{name}/{key}": value for key, value in network.state_dict().items()}
        for name, tensors in self.others.items():
            found |= {f"{name}/{number}": value for number, value in enumerate(tensors)}
        for number, optimizer in enumerate(self.optimizers):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            for place, parameter in enumerate(parameters):
                for key, value in sorted(optimizer.state.get(parameter, {}).items()):
                    if torch.is_tensor(value):
                        found[f"optimizer{number}/{place}/{key}"] = value
        return found


def _wake(optimizer: "torch.optim.Optimizer") -> None:
    """Make an optimizer's state tensors, which it makes at its first step, without moving anything."""
    import torch

    rates = [group["lr"] for group in optimizer.param_groups]

    for group in optimizer.param_groups:
        group["lr"] = 0.0
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
