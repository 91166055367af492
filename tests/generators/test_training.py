"""The training loop: when the rate decays, what a budget does, which state is kept."""

import pytest

from leaven.generators.contract import Budget, silent
from leaven.generators.training import Plan, _decay_start, _total, train

torch = pytest.importorskip("torch")


def _network() -> "torch.nn.Module":
    torch.manual_seed(0)
    return torch.nn.Linear(1, 1)


def _fit(network, plan, budget=None, score=None, after=None):  # type: ignore[no-untyped-def]
    x = torch.linspace(-1, 1, 64).unsqueeze(1)

    def loss(step: int):  # type: ignore[no-untyped-def]
        if after is not None:
            after(step)
        return ((network(x) - (3 * x + 1)) ** 2).mean()

    def held_out() -> float:
        with torch.no_grad():
            return float(((network(x) - (3 * x + 1)) ** 2).mean())

    return train(
        network, loss, score or held_out, plan, budget=budget or Budget(), progress=silent, name="line"
    )


def test_it_learns_a_line() -> None:
    network = _network()
    report = _fit(network, Plan(steps=600, rate=0.05, every=50, patience=99, average=0.9))
    assert report.stopped_by == "done" and report.steps == 600
    assert float(network.weight) == pytest.approx(3, abs=0.05)
    assert float(network.bias) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("decay", [0.1, 0.3, 0.5])
def test_the_number_of_steps_tells_when_the_decay_began(decay: float) -> None:
    for start in range(400):
        assert _decay_start(_total(start, decay), decay) in (start, start - 1, start + 1)
        again = _decay_start(_total(start, decay), decay)
        assert _total(again, decay) <= _total(start, decay)


def test_where_the_clock_ends_it_a_replay_takes_the_same_steps() -> None:
    import time

    first, second = _network(), _network()
    plan = Plan(steps=100_000, rate=0.05, every=10, patience=10**9)
    report = _fit(first, plan, Budget(seconds=0.4), after=lambda step: time.sleep(0.001))
    assert report.stopped_by == "budget" and 1 < report.steps < 100_000
    assert any("budget" in note for note in report.notes)
    again = _fit(second, plan, Budget(steps=report.steps))
    assert again.steps == report.steps
    assert float(first.weight) == float(second.weight) and float(first.bias) == float(second.bias)


def test_the_best_state_is_kept_and_training_stops_when_nothing_gets_better() -> None:
    network = _network()
    looks: list[float] = []

    def score() -> float:
        looks.append(float(network.weight))
        return abs(len(looks) - 3.0)  # best at the third look

    plan = Plan(steps=10_000, rate=0.05, every=10, patience=2)
    report = _fit(network, plan, score=score)
    assert report.steps < 200
    assert float(network.weight) == looks[2]
