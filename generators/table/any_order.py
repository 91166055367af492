"""A network that predicts any column of a row from any subset of the others.

Each column's value is a token. What is known of a row is a sum over its columns of the known value's embedding or
of the column's sign for "unknown"; from it, one residual network per column gives that column's distribution. So
one model has the conditionals of every order of the columns, as in Uria, Murray and Larochelle, "A Deep and
Tractable Density Estimator" (ICML 2014), and as TabularARGN (Tiwald et al. 2025) trains them on tables.

Cells of numbers are ordered: their embeddings, and the weights of their logits, are sums over hat functions of
several widths plus a small part of their own, so that a cell learns from its neighbours.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

OWN = 0.2  # the part of an ordered cell's weights that it shares with no other
WIDEST = 33  # hat functions at the finest level


class AnyOrder(nn.Module):
    """The network. Shapes: B rows, D columns, H hidden units, K tokens of a column."""

    offsets: Tensor  # where each column's tokens start in `values()`, (D,)

    def __init__(
        self, sizes: Sequence[int], ordered: Sequence[int], hidden: int, blocks: int, dropout: float = 0.0
    ):
        """`sizes`: tokens per column. `ordered`: how many of a column's tokens, from the first, are ordered."""
        super().__init__()
        self.sizes, self.hidden, self.dropout = list(sizes), hidden, dropout
        self.register_buffer("offsets", torch.tensor([0, *sizes[:-1]]).cumsum(0), persistent=False)
        columns = len(sizes)
        self.basis: list[str | None] = []
        embeddings, heads, shifts = [], [], []
        for number, (size, run) in enumerate(zip(sizes, ordered, strict=True)):
            width, scale = size, 1.0
            if run > 2:
                basis = _hats(run, size)
                self.register_buffer(f"basis_{number}", basis, persistent=False)
                width, scale = basis.shape[1], float(basis.pow(2).sum(1).mean().sqrt())
            self.basis.append(f"basis_{number}" if run > 2 else None)
            embeddings.append(nn.Parameter(torch.randn(width, hidden) * 0.5 / math.sqrt(columns) / scale))
            heads.append(nn.Parameter(torch.randn(width, hidden) * 0.02))
            shifts.append(nn.Parameter(torch.zeros(size)))
        self.embeddings, self.heads = nn.ParameterList(embeddings), nn.ParameterList(heads)
        self.shifts = nn.ParameterList(shifts)
        self.unknown = nn.Parameter(torch.randn(columns, hidden) * 0.1)
        self.target = nn.Parameter(torch.randn(columns, hidden) * 0.1)
        self.into = nn.ParameterList([_square(columns, hidden) for _ in range(blocks)])
        self.out = nn.ParameterList([_square(columns, hidden) for _ in range(blocks)])
        self.bias = nn.ParameterList([nn.Parameter(torch.zeros(columns, 1, hidden)) for _ in range(blocks)])

    def begin(self, tokens: np.ndarray) -> None:
        """Start from the shares of each column's tokens, uint16 (rows, D), instead of equal ones."""
        with torch.no_grad():
            for column, (shift, size) in enumerate(zip(self.shifts, self.sizes, strict=True)):
                counts = np.bincount(tokens[:, column], minlength=size) + 0.5
                shift.copy_(torch.from_numpy(np.log(counts / counts.sum())))

    def _weights(self, kind: nn.ParameterList, column: int) -> Tensor:
        name = self.basis[column]
        return kind[column] if name is None else getattr(self, name) @ kind[column]

    def values(self) -> Tensor:
        """The embedding of every token of every column less the column's sign for "unknown", (sum of K, H)."""
        return torch.cat(
            [self._weights(self.embeddings, j) - self.unknown[j] for j in range(len(self.sizes))]
        )

    def start(self) -> Tensor:
        """What is known of a row of which nothing is known, (H,)."""
        return self.unknown.sum(0)

    def forward(self, tokens: Tensor, known: Tensor, targets: Sequence[int]) -> list[Tensor]:
        """Logits of the columns `targets`, each (B, K).

        Args:
            tokens: int (B, D).
            known: (B, targets, D): 1 where the target [b, t] may see column [b, ·, i].
            targets: numbers of columns.
        """
        embedded = functional.embedding(tokens + self.offsets, self.values())
        dtype = torch.get_autocast_dtype(embedded.device.type) if _autocast(embedded) else embedded.dtype
        state = torch.bmm(known.to(dtype), embedded.to(dtype))
        every = len(targets) == len(self.sizes)
        columns = slice(None) if every else torch.tensor(targets, device=tokens.device)
        state = state + (self.start() + self.target[columns]).to(dtype)
        states = self._network(state.transpose(0, 1).contiguous(), columns).unbind(0)
        return [self.logits(own, j) for own, j in zip(states, targets, strict=True)]

    def column(self, known: Tensor, column: int) -> Tensor:
        """Logits (B, K) of one column, given the sum of `start` and the known tokens' `values`, (B, H)."""
        state = (known + self.target[column]).unsqueeze(0)
        if _autocast(state):
            state = state.to(torch.get_autocast_dtype(state.device.type))
        return self.logits(self._network(state, slice(column, column + 1))[0], column)

    def _network(self, state: Tensor, columns: slice | Tensor) -> Tensor:
        """(columns, B, H) -> (columns, B, H)."""
        for into, out, bias in zip(self.into, self.out, self.bias, strict=True):
            inner = functional.layer_norm(state, (self.hidden,))
            inner = functional.silu(torch.bmm(inner, into[columns]) + bias[columns].to(inner.dtype))
            if self.dropout:
                inner = functional.dropout(inner, self.dropout, self.training)
            state = state + torch.bmm(inner, out[columns])
        return functional.silu(functional.layer_norm(state, (self.hidden,)))

    def logits(self, state: Tensor, column: int) -> Tensor:
        """(B, H) -> (B, K)."""
        return functional.linear(state, self._weights(self.heads, column), self.shifts[column])


def _autocast(tensor: Tensor) -> bool:
    return torch.is_autocast_enabled(tensor.device.type)


def _square(columns: int, hidden: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(columns, hidden, hidden) / math.sqrt(hidden))


def _hats(run: int, size: int) -> Tensor:
    """Token -> its own part, and hat functions over the first `run` tokens, from 3 of them to `WIDEST`."""
    own = np.eye(size) * OWN
    own[run:, run:] = np.eye(size - run)
    place = np.arange(run) / (run - 1)
    parts, knots = [own], 3
    while knots <= min(WIDEST, run // 2):
        hats = np.zeros((size, knots))
        hats[:run] = np.clip(1 - np.abs(place[:, None] - np.linspace(0, 1, knots)) * (knots - 1), 0, 1)
        parts.append(hats)
        knots = 2 * knots - 1
    return torch.tensor(np.concatenate(parts, axis=1), dtype=torch.float32)
