"""DP-SGD for the any-order network, with Opacus' optimizer and each row's gradient length found without storing it.

Each step takes every row with the same chance (Poisson sampling), cuts each row's gradient to a length, adds them up
and adds Gaussian noise. The gradients themselves, rows x parameters numbers, are never made: every parameter's
gradient of one row is an outer product, whose length is the product of two lengths, so one pass backward finds all
lengths and a second one the sum of the cut gradients ("ghost clipping"; Goodfellow 2015, Li, Tramer, Liang and
Hashimoto 2022). A test holds it against gradients that are made row by row.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import FitError
from leaven.generators.table.any_order import AnyOrder
from leaven.generators.table.any_order_fit import MASK_CELLS, Order
from leaven.generators.table.private import Ledger, Noise, opacus

CELLS = 40_000_000  # rows × columns × hidden units of one pass: bounds its memory
PARAMETERS = {"embeddings", "heads", "shifts", "unknown", "target", "into", "out", "bias"}


@dataclass(frozen=True)
class Steps:
    """How a private fit runs: passes over the rows, rows of a step on average, and the learning rate."""

    epochs: float
    batch_rows: int
    rate: float
    weight_decay: float

    @classmethod
    def planned(
        cls, rows: int, epochs: float, batch_rows: int | None, rate: float, weight_decay: float
    ) -> "Steps":
        """The rows of a step follow from the number of all, where they are not given."""
        size = batch_rows or int(np.clip(2 ** np.round(np.log2(max(rows, 2) / 16)), 64, 4096))
        return cls(epochs, min(size, rows), rate, weight_decay)

    def count(self, rows: int) -> int:
        """Number of steps."""
        return max(1, round(self.epochs * rows / self.batch_rows))


def begin(network: AnyOrder, counts: list[np.ndarray]) -> None:
    """Start from noisy shares of each column's tokens."""
    with torch.no_grad():
        for shift, own in zip(network.shifts, counts, strict=True):
            shift.copy_(torch.from_numpy(np.log(own / own.sum())))


def masks(rows: int, columns: int, order: Order, generator: torch.Generator, device: str) -> Tensor:
    """Which columns each column sees, (rows, columns, columns); each row's own draw.

    Not `any_order_fit.masks`, where the row's place in the batch decides: there one row more would change what the
    gradients of the others are.
    """
    rank = torch.rand(rows, columns, generator=generator, device=device)
    kind = torch.rand(rows, 1, generator=generator, device=device)
    plain = torch.arange(columns, device=device) / columns
    rank = torch.where(kind < order.fixed, plain, rank)
    if order.target is not None:
        rank[(kind < order.fixed / 2).squeeze(1), order.target] = -1.0
    seen = rank.unsqueeze(1) < rank.unsqueeze(2)
    if order.blind:
        share = 2 * order.blind * torch.rand(rows, 1, 1, generator=generator, device=device)
        seen = seen & (torch.rand(rows, 1, columns, generator=generator, device=device) >= share)
    if order.target is not None:
        every = torch.rand(rows, generator=generator, device=device) < order.whole
        seen[every, order.target] = torch.arange(columns, device=device) != order.target
    return seen.float()


class Trace:
    """One pass forward of the network that keeps what the gradients of its parameters are made of.

    Shapes: B rows, D columns, H hidden units. Equal to `AnyOrder.forward` for all columns.
    """

    def __init__(self, network: AnyOrder, tokens: Tensor, known: Tensor):
        self.network, self.tokens = network, tokens
        self.embedded = functional.embedding(tokens + network.offsets, network.values())  # (B, D, H)
        self.seen = torch.bmm(known, self.embedded)
        self.state = self.seen + (network.start() + network.target)  # (B, D, H)
        state = self.state.transpose(0, 1)  # (D, B, H)
        self.inner: list[Tensor] = []  # what goes into each matrix
        self.before: list[Tensor] = []  # what comes out of `into`, with its bias
        self.middle: list[Tensor] = []
        self.after: list[Tensor] = []  # what comes out of `out`
        for into, out, bias in zip(network.into, network.out, network.bias, strict=True):
            inner = functional.layer_norm(state, (network.hidden,))
            before = torch.bmm(inner, into) + bias
            middle = functional.silu(before)
            after = torch.bmm(middle, out)
            self.inner.append(inner)
            self.before.append(before)
            self.middle.append(middle)
            self.after.append(after)
            state = state + after
        self.last = functional.silu(functional.layer_norm(state, (network.hidden,)))  # (D, B, H)
        self.logits = [network.logits(self.last[j], j) for j in range(len(network.sizes))]

    def loss(self, weights: list[float]) -> Tensor:
        """Each row's loss, (B,)."""
        parts = [
            weight * functional.cross_entropy(own, self.tokens[:, j], reduction="none")
            for j, (own, weight) in enumerate(zip(self.logits, weights, strict=True))
        ]
        return torch.stack(parts).sum(0)

    def lengths(self, loss: Tensor) -> Tensor:
        """The length of each row's gradient over all parameters together, (B,)."""
        network, tokens = self.network, self.tokens
        blocks = len(self.inner)
        wanted = [self.state, self.embedded, *self.before, *self.after, *self.logits]
        made = torch.autograd.grad(loss.sum(), wanted, retain_graph=True)
        state, embedded = made[0], made[1]
        before, after, logits = (
            made[2 : 2 + blocks],
            made[2 + blocks : 2 + 2 * blocks],
            made[2 + 2 * blocks :],
        )
        squares = state.square().sum((1, 2))  # `target`: a column's own state
        # `unknown`: every state has the sum of all signs, and a known value takes its column's away again.
        squares = squares + (state.sum(1, keepdim=True) - embedded).square().sum((1, 2))
        for block in range(blocks):
            squares = squares + _outer(self.inner[block], before[block])
            squares = squares + before[block].square().sum((0, 2))  # `bias`
            squares = squares + _outer(self.middle[block], after[block])
        for j, own in enumerate(logits):
            name = network.basis[j]
            table = None if name is None else getattr(network, name)  # (K, W)
            head = own if table is None else own @ table
            squares = squares + head.square().sum(1) * self.last[j].square().sum(1)
            squares = squares + own.square().sum(1)  # `shifts`
            rows = 1.0 if table is None else table.square().sum(1)[tokens[:, j]]
            squares = squares + rows * embedded[:, j].square().sum(1)
        return squares.sqrt()


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """Squared length of a row's outer products, over all columns: (D, B, H) twice -> (B,)."""
    return (left.square().sum(2) * right.square().sum(2)).sum(0)


def clipped(trace: Trace, weights: list[float], length: float) -> tuple[Tensor, ...]:
    """The sum of the rows' gradients, each cut to `length`, one tensor per parameter."""
    loss = trace.loss(weights)
    share = (length / (trace.lengths(loss).detach() + 1e-6)).clamp(max=1.0)
    return torch.autograd.grad((loss * share).sum(), list(trace.network.parameters()))


def train(
    network: AnyOrder,
    tokens: np.ndarray,
    *,
    plan: Steps,
    ledger: Ledger,
    noise: Noise,
    target: int | None,
    target_weight: float,
    order: Order,
    budget: Budget,
    device: str,
    progress: Progress,
    name: str,
) -> Fit:
    """Train on tokens uint16 (rows, columns), with what of epsilon the ledger has left.

    The noise is for all planned steps; a fit that the clock ends has taken fewer and spent less. Nothing is held out
    to stop at the best state and no loss is reported, since both would tell of rows.
    """
    own = {part.partition(".")[0] for part, _ in network.named_parameters()}
    if own != PARAMETERS or network.dropout:
        raise RuntimeError(f"gradients' lengths are known for {sorted(PARAMETERS)}, not {sorted(own)}")
    rows, columns = ledger.rows, tokens.shape[1]
    rate, steps = plan.batch_rows / rows, plan.count(rows)
    multiplier = ledger.noise_for(ledger.asked.epsilon, rate, steps)
    length = ledger.asked.max_grad_norm
    parameters = list(network.parameters())
    drawn = torch.Generator(device)
    opacus()  # says how to install it
    from opacus.optimizers import DPOptimizerFastGradientClipping

    optimizer = DPOptimizerFastGradientClipping(
        torch.optim.AdamW(parameters, lr=plan.rate, weight_decay=plan.weight_decay, eps=1e-8),
        noise_multiplier=multiplier,
        max_grad_norm=length,
        expected_batch_size=plan.batch_rows,
        generator=drawn,
        secure_mode=True,
    )
    weights = [target_weight if j == target else 1.0 for j in range(columns)]
    most = max(1, min(CELLS // (columns * network.hidden), MASK_CELLS // columns**2))
    report = Fit()
    network.train()
    for step in range(steps):
        if budget.spent(step):
            report.stopped_by = "budget"
            break
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * _schedule(step / steps)
        drawn.manual_seed(noise.seed())  # afresh: PyTorch's generator on a CPU takes 32 bits of a seed
        picked = np.flatnonzero(noise.numpy().random(len(tokens)) < rate)
        summed = [torch.zeros_like(part) for part in parameters]
        for start in range(0, len(picked), most):
            batch = torch.from_numpy(tokens[picked[start : start + most]].astype(np.int64)).to(device)
            seen = masks(len(batch), columns, order, drawn, device)
            cut = clipped(Trace(network, batch, seen), weights, length)
            for total, made in zip(summed, cut, strict=True):
                total += made
        for part, total in zip(parameters, summed, strict=True):
            part.grad = total
        optimizer.step()
        optimizer.zero_grad()
        report.steps = step + 1
        if step % 10 == 0:
            progress((step + 1) / steps, f"{name}: private step {step + 1:,} of {steps:,}")
    ledger.add(multiplier, rate, report.steps)
    if not all(bool(torch.isfinite(part).all()) for part in parameters):
        raise FitError(f"{name}: the private training left numbers that are not finite; lower `rate`")
    network.eval()
    return report


def _schedule(done: float) -> float:
    """Share of the learning rate: rises over the first twentieth, then falls along a cosine to a tenth."""
    return min(1.0, (done + 1e-3) / 0.05) * (0.55 + 0.45 * math.cos(math.pi * done))
