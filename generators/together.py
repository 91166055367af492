"""One training in several processes, a device each: each sees its part of every batch, and all take the same steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter


@dataclass(frozen=True)
class Together:
    """This process's place among those of one training. Weights stay equal in all of them, and so do decisions."""

    rank: int
    count: int
    device: str

    @classmethod
    def join(cls, device: str) -> "Together":
        """Meet the others that `torchrun` has started. `device`: `cpu`, or `cuda` for one GPU each."""
        import os

        from torch import distributed

        local = int(os.environ["LOCAL_RANK"])
        if device == "cuda":
            torch.cuda.set_device(local)
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
        return cls(
            distributed.get_rank(),
            distributed.get_world_size(),
            f"cuda:{local}" if device == "cuda" else device,
        )

    @property
    def first(self) -> bool:
        """Whether this is the process that decides, tells and keeps."""
        return self.rank == 0

    def part(self, places: Any) -> Any:
        """This process's share of a sequence."""
        return places[self.rank :: self.count]

    def average(self, parameters: Sequence[Parameter]) -> None:
        """Replace every gradient by its mean over the processes."""
        from torch import distributed

        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.count
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view(gradient.shape))

    def agree(self, number: float) -> float:
        """The first process's number, in all of them."""
        from torch import distributed

        shared: Tensor = torch.tensor([number], dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, 0)
        return float(shared)

    def leave(self) -> None:
        """End it."""
        from torch import distributed

        distributed.destroy_process_group()
