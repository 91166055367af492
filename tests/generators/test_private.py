"""Differential privacy: what one row can change is bounded, paid for, and does not come out."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from leaven.generators.conditions import Condition
from leaven.generators.contract import Budget
from leaven.generators.errors import FitError
from leaven.generators.table import private_columns, private_fit
from leaven.generators.table.any_order import AnyOrder
from leaven.generators.table.any_order_fit import Order
from leaven.generators.table.autoregressive import Autoregressive
from leaven.generators.table.private import Ledger, Noise, Privacy, epsilon_of
from leaven.generators.table.private_training import Trace, clipped, masks

from . import planted

pytest.importorskip("opacus")


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise that a test can repeat."""
    monkeypatch.setattr(private_fit, "SECRET", 5)


# The accountant


def test_a_single_mechanism_costs_at_least_what_is_exact_and_not_much_more() -> None:
    """Against the exact curve of the Gaussian mechanism (Balle and Wang 2018)."""
    sigma, delta = 4.0, 1e-5
    told = epsilon_of([(sigma, 1.0, 1)], delta)

    def exact(epsilon: float) -> float:
        a, b = 1 / (2 * sigma) - epsilon * sigma, -1 / (2 * sigma) - epsilon * sigma
        return float(stats.norm.cdf(a) - math.exp(epsilon) * stats.norm.cdf(b))

    assert exact(told) <= delta
    assert exact(0.85 * told) > delta


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 3.0, 10.0])
def test_what_is_spent_stays_within_what_is_asked(epsilon: float) -> None:
    ledger = Ledger(Privacy(epsilon=epsilon), 10_000)
    first = ledger.noise_for(0.2 * epsilon, 1.0, 20)
    ledger.add(first, times=20)
    second = ledger.noise_for(epsilon, 0.05, 400)
    ledger.add(second, 0.05, 400)
    assert 0.95 * epsilon < ledger.epsilon() <= epsilon


def test_less_epsilon_is_more_noise() -> None:
    noises = [Ledger(Privacy(epsilon=e), 10_000).noise_for(e, 0.05, 200) for e in (0.5, 1, 2, 4, 8)]
    assert noises == sorted(noises, reverse=True)
    assert noises[0] > 2 * noises[-1]


def test_delta_is_less_than_one_in_the_rows() -> None:
    assert Privacy(epsilon=1).delta_for(1_000) == 1e-5
    assert Privacy(epsilon=1).delta_for(10_000_000) < 1e-7
    with pytest.raises(FitError, match="less than 1 / train rows"):
        Privacy(epsilon=1, delta=1e-3).delta_for(1_000)


# What one row can change


def test_a_row_changes_each_histogram_by_one_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = planted.frame(400)
    schema = planted.SCHEMA.model_copy(update={"columns": tuple(c for c in planted.SCHEMA if c.learnable)})
    frame = frame[schema.names]

    def counted(rows: pd.DataFrame) -> tuple[list[np.ndarray], int]:
        seen: list[np.ndarray] = []

        def record(self: private_columns.Counter, counts: object) -> np.ndarray:
            seen.append(np.asarray(counts, dtype=float))
            return seen[-1].copy()

        monkeypatch.setattr(private_columns.Counter, "__call__", record)
        made = private_columns.learn(
            rows,
            schema,
            Ledger(Privacy(epsilon=500), 400),
            Noise(1),
            bins=16,
            max_categories=50,
            rare_below=1,
        )
        return seen, made.histograms

    whole, paid = counted(frame)
    assert len(whole) == paid
    for left_out in (3, 77, 200):
        fewer, _ = counted(frame.drop(index=left_out).reset_index(drop=True))
        assert [len(one) for one in whole] == [len(one) for one in fewer]
        changes = [float(np.linalg.norm(a - b)) for a, b in zip(whole, fewer, strict=True)]
        assert max(changes) == 1.0


@pytest.fixture
def traced() -> tuple[AnyOrder, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    sizes = [40, 3, 5, 12]
    network = AnyOrder(sizes, [38, 0, 0, 11], 16, 2)
    for parameter in network.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    tokens = torch.stack([torch.randint(0, size, (9,)) for size in sizes], 1)
    seen = masks(9, 4, Order(0.5, 0.2), torch.Generator().manual_seed(1), "cpu")
    assert network.offsets.tolist() == [0, 40, 43, 48]
    return network, tokens, seen


def test_lengths_of_gradients_are_those_of_each_row_alone(traced: tuple) -> None:
    network, tokens, seen = traced
    weights = [1.0, 2.0, 1.0, 1.0]
    trace = Trace(network, tokens, seen)
    for ours, theirs in zip(trace.logits, network(tokens, seen, range(4)), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    lengths = trace.lengths(trace.loss(weights)).detach()
    for row in range(9):
        alone = network(tokens[row : row + 1], seen[row : row + 1], range(4))
        losses = [
            torch.nn.functional.cross_entropy(own, tokens[row : row + 1, j]) for j, own in enumerate(alone)
        ]
        loss = torch.stack([w * own for w, own in zip(weights, losses, strict=True)]).sum()
        made = torch.autograd.grad(loss, list(network.parameters()))
        length = math.sqrt(sum(float(part.square().sum()) for part in made))
        assert float(lengths[row]) == pytest.approx(length, rel=1e-4)


def test_a_row_more_moves_the_summed_gradient_by_the_cut_length_at_most(traced: tuple) -> None:
    network, tokens, seen = traced
    weights, cut = [1.0] * 4, 0.7
    every = clipped(Trace(network, tokens, seen), weights, cut)
    for row in range(9):
        rest = [number for number in range(9) if number != row]
        fewer = clipped(Trace(network, tokens[rest], seen[rest]), weights, cut)
        moved = math.sqrt(sum(float((a - b).square().sum()) for a, b in zip(every, fewer, strict=True)))
        assert moved <= cut + 1e-4
        assert moved > 0.9 * cut  # all these gradients are longer than the cut


# What comes out


def _outlier(rows: int) -> pd.DataFrame:
    """One row has a name and a number that no other has."""
    frame = planted.frame(rows)
    frame.loc[7, planted.COLOUR] = "Zanzibar"
    frame.loc[7, "size"] = 98765.43
    frame["age"] = frame["age"].where(frame.index != 7, 1234)
    frame["ok"] = frame["ok"].fillna(True)
    return frame


def _written(generator: Autoregressive, folder: Path) -> str:
    folder.mkdir()
    generator.save(folder)
    return "".join(path.read_text() for path in sorted(folder.glob("*.json")))


def test_what_only_one_row_has_is_in_no_file_and_in_no_row(tmp_path: Path, secret: None) -> None:
    rows = planted.write(tmp_path / "rows.parquet", _outlier(1_500))
    plain = Autoregressive({"epochs": 0.05, "hidden": 8, "rare_below": 1})
    plain.fit(rows, seed=1)
    told = _written(plain, tmp_path / "plain")
    assert "Zanzibar" in told and "98765.43" in told and "1234" in told  # the check can fail

    private = Autoregressive({"epochs": 0.05, "hidden": 8, "rare_below": 1, "privacy": {"epsilon": 10}})
    report = private.fit(rows, seed=1)
    told = _written(private, tmp_path / "private")
    assert "Zanzibar" not in told and "98765.43" not in told
    assert "C-0" not in told  # identifiers
    made = private.sample(2_000, seed=2)
    assert set(made[planted.COLOUR].dropna()) == {"red", "blue"}
    assert made["size"].max() < 100 and made["age"].max() < 128
    assert report.losses == [] and "learned from" not in " ".join(report.notes)
    # No exact count either: each of them has noise.
    exact = _outlier(1_500)[planted.COLOUR].value_counts()
    coding = private.preparation.codings[planted.COLOUR]
    assert [exact[value] for value in coding.values] != coding.counts


def test_a_private_fit_learns_samples_saves_and_loads(tmp_path: Path, secret: None) -> None:
    rows = planted.write(tmp_path / "rows.parquet", planted.frame(3_000))
    generator = Autoregressive({"epochs": 12, "hidden": 16, "rate": 0.01, "privacy": {"epsilon": 10}})
    report = generator.fit(rows, seed=1)
    assert report.privacy is not None and report.rows == 3_000
    assert 9.5 < report.privacy["epsilon"] <= 10
    assert report.privacy["columns"]["epsilon"] <= 3
    assert any("of 10 spent" in note for note in report.notes)
    json.dumps(report.privacy)

    made = generator.sample(4_000, seed=2)
    share = (made[planted.TARGET] == "1").groupby(made[planted.COLOUR]).mean()
    assert share["red"] - share["blue"] > 0.45  # 0.9 in train
    assert made["size"].isna().mean() == pytest.approx(0.2, abs=0.08)
    assert made["size"].dropna().between(0, 50).all()
    assert made["day"].dtype == "datetime64[us]" and (made["day"].dt.normalize() == made["day"]).all()
    assert made["id"].is_unique and made["key"].is_unique
    asked = generator.sample(200, seed=3, conditions=(Condition(column=planted.COLOUR, values=("red",)),))
    assert (asked[planted.COLOUR] == "red").all()

    (tmp_path / "model").mkdir()
    generator.save(tmp_path / "model")
    again = Autoregressive.load(tmp_path / "model").sample(300, seed=4)
    pd.testing.assert_frame_equal(again, generator.sample(300, seed=4))


def test_a_fit_that_the_clock_ends_has_spent_less(tmp_path: Path) -> None:
    rows = planted.write(tmp_path / "rows.parquet", planted.frame(800))
    generator = Autoregressive({"epochs": 10, "hidden": 8, "privacy": {"epsilon": 4}})
    report = generator.fit(rows, seed=1, budget=Budget(steps=5))
    assert report.steps == 5 and report.stopped_by == "budget"
    assert report.privacy is not None
    assert report.privacy["training"]["steps"] == 5
    assert report.privacy["columns"]["epsilon"] < report.privacy["epsilon"] < 3


def test_noise_does_not_follow_from_the_seed(tmp_path: Path) -> None:
    rows = planted.write(tmp_path / "rows.parquet", planted.frame(800))
    made = []
    for _ in range(2):
        generator = Autoregressive({"epochs": 0.1, "hidden": 8, "privacy": {"epsilon": 4}})
        generator.fit(rows, seed=1)
        made.append(generator.preparation.model_dump_json())
    assert made[0] != made[1]


# What is refused


@pytest.mark.parametrize(
    ("parameters", "constraints", "said"),
    [
        ({"privacy": {"epsilon": 1, "delta": 0.01}}, [], "less than 1 / train rows"),
        ({"privacy": {"epsilon": 1}, "dropout": 0.1}, [], "dropout must be 0"),
        ({"privacy": {"epsilon": 1}, "max_rows": 100}, [], "max_rows is 100"),
        (
            {"privacy": {"epsilon": 1}},
            [{"kind": "fixed_combinations", "columns": [planted.COLOUR, "only"]}],
            "is learned from train rows as they are",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused_in_one_line(
    tmp_path: Path, parameters: dict, constraints: list, said: str
) -> None:
    rows = planted.write(tmp_path / "rows.parquet", planted.frame(300))
    with pytest.raises(FitError, match=said) as refused:
        Autoregressive(parameters, constraints).fit(rows, seed=1)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("wrong", [{"epsilon": 0}, {"epsilon": -1}, {}, {"epsilon": 1, "sigma": 2}])
def test_a_wrong_privacy_is_refused_before_any_fit(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Autoregressive({"privacy": wrong})
