"""Training an any-order network on tokens: which columns each row shows, and when to stop."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.table.any_order import AnyOrder
from leaven.generators.training import Plan, train

LOOK_ROWS = 2_000  # held-out rows that are looked at
TARGETS = 64  # columns that a step predicts; of wider tables a random choice
MASK_CELLS = 6_000_000  # rows of a batch × targets × columns: bounds the masks' memory


@dataclass(frozen=True)
class Order:
    """How columns are shown.

    Of the rows in a batch, a share of `fixed` is learned in the columns' own order, in which rows are drawn, every
    second of them with the column `target` first instead of in its place, as rows of a class are drawn. The others
    are learned each in a random order. Besides, a share of `blind` of the columns is hidden, on average; but in a
    share of `whole` of the rows the target sees all other columns: the labels of drawn rows hang on that.
    """

    fixed: float = 0.6
    blind: float = 0.3
    whole: float = 0.25
    target: int | None = None


def masks(
    rows: int,
    columns: int,
    targets: Sequence[int],
    order: Order,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Which columns each target sees, 0 or 1, (rows, targets, columns): [b, t, i] = 1 where t sees i."""
    rank = torch.rand(rows, columns, generator=generator, device=device)
    plain = int(rows * order.fixed)
    rank[:plain] = torch.arange(columns, device=device) / columns
    if order.target is not None:
        rank[0:plain:2, order.target] = -1.0
    own = rank if len(targets) == columns else rank[:, list(targets)]
    seen = rank.unsqueeze(1) < own.unsqueeze(2)
    if order.blind:
        share = 2 * order.blind * torch.rand(rows, 1, 1, generator=generator, device=device)
        seen = seen & (torch.rand(rows, 1, columns, generator=generator, device=device) >= share)
    if order.target is not None and order.target in targets:
        place = list(targets).index(order.target)
        seen[: int(rows * order.whole), place] = torch.arange(columns, device=device) != order.target
    return seen.float()


def fit(
    network: AnyOrder,
    tokens: np.ndarray,
    *,
    target: int | None,
    target_weight: float,
    order: Order,
    epochs: float | None,
    batch_rows: int | None,
    rate: float,
    weight_decay: float,
    patience: int,
    half: bool,
    seed: int,
    budget: Budget,
    device: str,
    progress: Progress,
    name: str,
) -> Fit:
    """Train the network on tokens uint16 (rows, columns); a tenth of them, at most 2,000, is held out.

    The loss is the sum over columns of the negative log-likelihood in nats; that of column `target` counts
    `target_weight` times.
    """
    total, columns = tokens.shape
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(total)
    held_count = min(LOOK_ROWS, total // 10)
    held, own = shuffled[:held_count], shuffled[held_count:]
    size = batch_rows or int(np.clip(2 ** np.round(np.log2(max(len(own), 1) / 16)), 32, 1024))
    at_once = min(columns, TARGETS)
    size = max(1, min(size, len(own), MASK_CELLS // (columns * at_once)))
    steps = _steps(len(own), size, epochs) * columns // at_once
    every = max(10, min(steps // 15, 200))
    batches = _Batches(tokens, own, size, rng, device)
    generator = torch.Generator(device).manual_seed(seed)
    weights = [target_weight if j == target else 1.0 for j in range(columns)]
    looks = torch.from_numpy(tokens[np.sort(held)].astype(np.int64)).to(device)
    kind = torch.device(device).type

    def columns_loss(batch: Tensor, picked: list[int], seen: Tensor, scale: Sequence[float]) -> Tensor:
        with torch.autocast(kind, torch.bfloat16, enabled=half):
            logits = network(batch, seen, picked)
        parts = [
            functional.cross_entropy(own.float(), batch[:, j]) * scale[j]
            for j, own in zip(picked, logits, strict=True)
        ]
        return torch.stack(parts).sum() * columns / len(picked)

    def loss(step: int) -> Tensor:
        network.train()
        batch, picked = batches.next(), list(range(columns))
        if at_once < columns:
            picked = sorted(rng.choice(columns, at_once, replace=False).tolist())
        seen = masks(len(batch), columns, picked, order, generator, device)
        return columns_loss(batch, picked, seen, weights)

    def score() -> float:
        network.eval()
        again = torch.Generator(device).manual_seed(seed + 1)
        shown, summed = replace(order, blind=0.0), 0.0
        groups = [list(range(start, min(start + at_once, columns))) for start in range(0, columns, at_once)]
        with torch.no_grad():
            for part in looks.split(size):
                for group in groups:
                    seen = masks(len(part), columns, group, shown, again, device)
                    lost = columns_loss(part, group, seen, [1.0] * columns)
                    summed += float(lost) * len(part) * len(group) / columns
        return summed / len(looks)

    plan = Plan(steps=steps, rate=rate, every=every, patience=patience, weight_decay=weight_decay)
    report = train(
        network, loss, score if held_count >= 20 else None, plan, budget=budget, progress=progress, name=name
    )
    network.eval()
    return report


def _steps(rows: int, size: int, epochs: float | None) -> int:
    """Steps of `epochs`; by default 16 epochs, and on short tables 300 steps but at most 80 epochs."""
    epoch = rows / size
    if epochs is not None:
        return max(1, round(epochs * epoch))
    return max(1, round(max(16 * epoch, min(300, 80 * epoch))))


class _Batches:
    """Batches of token rows, in a new random order every epoch; on a GPU the whole table lies there if it fits."""

    ON_DEVICE = 2**33  # bytes

    def __init__(
        self, tokens: np.ndarray, rows: np.ndarray, size: int, rng: np.random.Generator, device: str
    ):
        self._rows, self._size, self._rng, self._place = rows, size, rng, len(rows)
        self._tokens, self._device = tokens, device
        self._whole = None
        if device.startswith("cuda") and tokens.nbytes <= self.ON_DEVICE:
            self._whole = torch.from_numpy(np.asarray(tokens).view(np.int16)).to(device)

    def next(self) -> Tensor:
        """The next batch, int64 (size, columns)."""
        if self._place + self._size > len(self._rows):
            self._rows, self._place = self._rng.permutation(self._rows), 0
        picked = self._rows[self._place : self._place + self._size]
        self._place += self._size
        if self._whole is not None:  # 16 bits were kept as signed ones
            return self._whole[torch.from_numpy(picked).to(self._device)].long() & 0xFFFF
        return torch.from_numpy(self._tokens[picked].astype(np.int64)).to(self._device)
