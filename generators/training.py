"""The training loop of the house's networks: warm up, hold, decay; averaged weights; best state; a time budget.

The rate holds until the held-out loss stops falling, the planned steps are nearly done or the clock says so, and
then decays to nothing over the last `decay` share of the steps (Hägele et al., "Scaling Laws and Compute-Optimal
Training Beyond Fixed Training Durations", NeurIPS 2024). So where the clock ended a fit, the number of its steps
alone tells when the decay began, and a replay takes the same steps.

A loss that depends on nothing but the network and the step's number can be taken up again after a kill: the state is
kept in the budget's folder from time to time, and the fit ends with the same weights as one that nobody killed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import FitError

if TYPE_CHECKING:
    import torch

    from leaven.generators.together import Together

WARM_UP = 50  # steps, usually
SAFETY = 0.92  # of the budget is planned with: a machine may slow down
AGREED = 10  # steps between two looks at the clock that several processes share
HARD = 1.15  # of the budget: here even the decay ends


@dataclass(frozen=True)
class Plan:
    """How to train. `every`: steps between two looks at the held-out loss; `patience`: looks without a better one."""

    steps: int
    rate: float
    every: int
    patience: int = 4
    decay: float = 0.3
    average: float = 0.995
    weight_decay: float = 0.01
    warm_up: int = WARM_UP  # steps


def train(
    network: "torch.nn.Module",
    loss: Callable[[int], "torch.Tensor"],
    score: Callable[[], float] | None,
    plan: Plan,
    *,
    budget: Budget,
    progress: Progress,
    name: str,
    resumes: bool = False,
    together: "Together | None" = None,
) -> Fit:
    """Train `network` in place; it ends with the averaged weights of its best look.

    Args:
        network: its parameters are trained.
        loss: step number -> loss of that step's batch.
        score: the held-out loss with the weights as they are; None: there are no held-out rows.
        plan: steps, rate and so on.
        budget: the clock starts the decay at its share of the time, so that it ends in time.
        progress: called after each look, while the network has its averaged weights.
        name: of the generator, for the messages.
        together: the other processes of this training; each has the loss of its part of a batch.
        resumes: the loss depends on the network and the step alone, so that a fit can go on after a kill.
    """
    import torch

    from leaven.generators.checkpoint import Checkpoint

    parameters = [p for p in network.parameters() if p.requires_grad]
    fused = parameters[0].device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(
        parameters, lr=plan.rate, betas=(0.9, 0.99), weight_decay=plan.weight_decay, fused=fused
    )
    average = [p.detach().clone() for p in parameters]
    best = [p.clone() for p in average]
    best_score, misses = math.inf, 0
    total = budget.steps if budget.steps is not None else plan.steps
    start = _decay_start(total, plan.decay)
    planned_for: str = "steps"
    losses: list[dict[str, float]] = []
    step, elapsed = 0, 0.0
    kept_state = Checkpoint(budget, {"network": network}, optimizer, {"average": average, "best": best})
    state = kept_state.load() if resumes else None
    if state is not None:
        step, best_score, misses = state["step"], state["best_score"], state["misses"]
        start, total, planned_for, losses = (
            state["start"],
            state["total"],
            state["planned_for"],
            state["losses"],
        )
    while step < total:
        rate = plan.rate * min(1.0, (step + 1) / plan.warm_up)
        if step >= start:
            rate *= (total - step) / (total - start)
        for group in optimizer.param_groups:
            group["lr"] = rate
        value = loss(step)
        optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        if together is not None:
            together.average(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 5.0, foreach=True)
        optimizer.step()
        step += 1
        kept = min(plan.average, step / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(average, [p.data for p in parameters], 1 - kept)
        if score is not None and (step % plan.every == 0 or step == total):
            _swap(parameters, average)
            held = score() if together is None else together.agree(score())
            _swap(parameters, average)
            losses.append({"step": step, "train": float(value.detach()), "held_out": held})
            if held < best_score:
                best_score, misses = held, 0
                for mine, now in zip(best, average, strict=True):
                    mine.copy_(now)
            else:
                misses += 1
            if misses >= plan.patience and step < start and budget.steps is None:
                start, total, planned_for = step, _total(step, plan.decay), "patience"
        if step % plan.every == 0:
            _swap(parameters, average)  # who looks at the network sees what it would draw
            progress(share_done(step, total, budget), _told(name, step, losses))
            _swap(parameters, average)
        if budget.steps is None and budget.seconds is not None:
            if together is None or step % AGREED == 0:
                elapsed = budget.elapsed if together is None else together.agree(budget.elapsed)
            late = elapsed >= SAFETY * (1 - plan.decay) * budget.seconds
            if step < start and late and _total(step, plan.decay) < total:
                start, total, planned_for = step, _total(step, plan.decay), "clock"
            if elapsed >= HARD * budget.seconds:
                planned_for = "clock"
                break
        if resumes and kept_state.due and (together is None or together.first):
            kept_state.save(
                {"step": step, "best_score": best_score, "misses": misses, "start": start, "total": total,
                 "planned_for": planned_for, "losses": losses}
            )  # fmt: skip
    if math.isinf(best_score):
        best = average
    _swap(parameters, best)
    if not all(bool(torch.isfinite(p).all()) for p in parameters):
        raise FitError(f"{name}: the loss is no number any more; a lower learning rate may help")
    stopped = "budget" if planned_for == "clock" or budget.steps is not None else "done"
    notes = [f"the budget allowed {step:,} of {plan.steps:,} steps"] if planned_for == "clock" else []
    return Fit(steps=step, stopped_by=stopped, notes=notes, losses=losses)


def _total(start: int, decay: float) -> int:
    """Steps in all when the decay begins after `start` of them."""
    return max(start + 1, math.ceil(start / (1 - decay)))


def _decay_start(total: int, decay: float) -> int:
    """The step at which the decay begins when there are `total` in all; undoes `_total`."""
    start = int(total * (1 - decay)) + 1
    while start > 0 and _total(start, decay) > total:
        start -= 1
    return start


def _swap(parameters: list[Any], others: list[Any]) -> None:
    for mine, other in zip(parameters, others, strict=True):
        mine.data, other.data = other.data, mine.data


def share_done(step: int, total: int, budget: Budget) -> float:
    """How much of a fit is done, by its steps or by the clock: whichever ends it."""
    done = step / total
    if budget.steps is None and budget.seconds is not None:
        done = max(done, min(1.0, budget.elapsed / budget.seconds))
    return min(done, 0.999)


def _told(name: str, step: int, losses: list[dict[str, float]]) -> str:
    shown = f", held-out loss {losses[-1]['held_out']:.3f}" if losses else ""
    return f"{name}: step {step:,}{shown}"
