"""Drawing rows from an any-order network: whatever is known of a row stays, the rest is drawn column by column."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from leaven.generators.table.any_order import AnyOrder

CHUNK = {
    "cpu": 8192,
    "cuda": 65_536,
}  # rows drawn at once: what fits a processor's cache, or keeps a GPU busy
PROPOSALS = 8  # per row, where several columns are held to sets

Mask = Callable[[int, np.ndarray, np.ndarray], np.ndarray | None]
"""(column, tokens, rows' numbers) -> weights (rows, tokens) that depend on what was drawn, or None."""


@dataclass
class Asked:
    """What is asked of the drawn rows.

    weights: column -> share of each token that will do, (tokens,), where not every one does
    first: columns that are drawn first, those of conditions, single values before sets
    single: those of them that are held to one token
    jointly: those that several proposals are made for, since several are held to sets
    mask: what was drawn before, as weights
    drawn: told what was drawn: column, rows' numbers, tokens
    order: in which the other columns are drawn
    """

    weights: Mapping[int, np.ndarray]
    first: Sequence[int] = ()
    single: Sequence[int] = ()
    jointly: Sequence[int] = ()
    mask: Mask | None = None
    drawn: Callable[[int, np.ndarray, np.ndarray], None] | None = None
    order: Sequence[int] = field(default_factory=list)


class Drawer:
    """Draws tokens from a fitted network. Seeded; the same bytes for the same rows, device and threads."""

    def __init__(self, network: AnyOrder, device: str, half: bool):
        self.network = network.eval()
        self.device, self.half = torch.device(device), half
        self._offsets = network.offsets.cpu().numpy()
        with torch.no_grad():
            self._values = network.values().float()
            self._start = network.start().float()

    def draw(self, tokens: np.ndarray, known: np.ndarray, asked: Asked, seed: int) -> np.ndarray:
        """Fill in what is not known.

        Args:
            tokens: (rows, columns); overwritten where not known.
            known: bool (rows, columns).
            asked: conditions and order.
            seed: of all draws.

        Returns:
            `tokens`, int64 (rows, columns).
        """
        generator = torch.Generator(self.device).manual_seed(seed)
        cast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)
        with torch.no_grad(), cast:
            state = self._state(tokens, known)
            left = list(asked.first) + [j for j in asked.order if j not in set(asked.first)]
            if asked.jointly:
                for column in asked.single:
                    self._column(column, np.arange(len(tokens)), tokens, state, asked, generator)
                    known[:, column] = True
                state = self._propose(tokens, known, state, asked, generator)
            for column in left:
                rows = np.flatnonzero(~known[:, column])
                if len(rows):
                    self._column(column, rows, tokens, state, asked, generator)
        return tokens

    def _state(self, tokens: np.ndarray, known: np.ndarray) -> Tensor:
        """What is known of each row, (rows, H)."""
        state = self._start.expand(len(tokens), -1).clone()
        for column in np.flatnonzero(known.any(axis=0)):
            rows = torch.from_numpy(np.flatnonzero(known[:, column])).to(self.device)
            mine = torch.from_numpy(tokens[known[:, column], column] + self._offsets[column]).to(self.device)
            state.index_add_(0, rows, self._values[mine])
        return state

    def _column(
        self,
        column: int,
        rows: np.ndarray,
        tokens: np.ndarray,
        state: Tensor,
        asked: Asked,
        generator: torch.Generator,
    ) -> Tensor:
        """Draw one column of some rows; returns the chance that the condition held, (rows,)."""
        place = torch.from_numpy(rows).to(self.device)
        every = len(rows) == len(state)
        logits = self.network.column(state if every else state[place], column).float()
        weights = functional.softmax(logits, dim=-1)
        if column in asked.weights:
            share = torch.from_numpy(asked.weights[column].astype(np.float32)).to(self.device)
            weights = weights * share
        if asked.mask is not None and (held := asked.mask(column, tokens, rows)) is not None:
            masked = weights * torch.from_numpy(held.astype(np.float32)).to(self.device)
            some = masked.sum(-1, keepdim=True) > 0  # else the row is drawn again later
            weights = torch.where(some, masked, weights)
        ends = weights.cumsum(-1)
        chance = ends[:, -1]
        if column in asked.weights:  # so unlikely that it underflows: by the share alone
            ends = torch.where(chance[:, None] > 0, ends, share.cumsum(-1).expand_as(ends))
        at = torch.rand(len(rows), 1, generator=generator, device=self.device) * ends[:, -1:]
        # The first end above the point; at the last end itself, the last token with a weight.
        top = ends[:, -1:].contiguous()
        drawn = torch.minimum(
            torch.searchsorted(ends, at, right=True), torch.searchsorted(ends, top, right=False)
        ).squeeze(-1)
        tokens[rows, column] = drawn.cpu().numpy()
        change = self._values[drawn + int(self._offsets[column])]
        if every:
            state += change
        else:
            state.index_add_(0, place, change)
        if asked.drawn is not None:
            asked.drawn(column, rows, tokens[rows, column])
        return chance

    def _propose(
        self,
        tokens: np.ndarray,
        known: np.ndarray,
        state: Tensor,
        asked: Asked,
        generator: torch.Generator,
    ) -> Tensor:
        """Draw the columns of conditions jointly: several proposals per row, resampled by their chance.

        Drawn one after the other, a column would not know of the set that a later one is held to (sampling
        importance resampling, Rubin 1987).
        """
        count = len(tokens)
        many = np.repeat(tokens, PROPOSALS, axis=0)
        states = state.repeat_interleave(PROPOSALS, dim=0)
        chance = torch.ones(len(many), device=self.device)
        every = np.arange(len(many))
        own = Asked(weights=asked.weights)
        for column in asked.jointly:
            chance = chance * self._column(column, every, many, states, own, generator)
        total = chance.double().cumsum(0)
        if float(total[-1]) > 0:
            point = (torch.arange(count, device=self.device) + 0.5) / count * total[-1]
            shift = torch.rand(1, generator=generator, device=self.device).double() - 0.5
            picked = torch.searchsorted(total, (point + shift * total[-1] / count).clamp(min=0), right=True)
            picked = picked.clamp(max=len(many) - 1)
        else:
            picked = torch.arange(0, len(many), PROPOSALS, device=self.device)
        mix = torch.randperm(count, generator=generator, device=self.device)
        picked = picked[mix]
        chosen = picked.cpu().numpy()
        for column in asked.jointly:
            tokens[:, column] = many[chosen, column]
            known[:, column] = True
            if asked.drawn is not None:
                asked.drawn(column, np.arange(count), tokens[:, column])
        return states[picked]
