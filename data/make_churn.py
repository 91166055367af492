"""Make `churn.csv`: customers of an invented internet provider, of whom about one in ten left.

Every number is drawn from a fixed seed; no real person or company is behind any row. Run it to get the same bytes:

    python data/make_churn.py
"""

import csv
import datetime
from pathlib import Path

import numpy as np

ROWS = 900
SEED = 20_240_611
SNAPSHOT = datetime.date(2024, 6, 1)
PLANS = {
    "basic": (19.0, 50),
    "plus": (34.0, 200),
    "premium": (59.0, 600),
}  # monthly price, gigabytes included


def rows(count: int = ROWS, seed: int = SEED) -> list[dict[str, object]]:
    """The customers, one mapping a row; an absent value is an empty text."""
    rng = np.random.default_rng(seed)
    plan = rng.choice(list(PLANS), count, p=[0.46, 0.37, 0.17])
    region = rng.choice(
        ["north", "south", "east", "west", "islands"], count, p=[0.30, 0.26, 0.22, 0.18, 0.04]
    )
    months = np.clip(rng.gamma(1.6, 15.0, count), 1, 96).astype(int)
    payment = rng.choice(["card", "bank", "invoice"], count, p=[0.48, 0.34, 0.18])
    contract = rng.random(count) < np.where(plan == "basic", 0.35, 0.55)  # bound for a year
    calls = rng.poisson(np.where(region == "islands", 2.4, 1.0) + 1.2 * (rng.random(count) < 0.15))
    outage_hours = rng.gamma(0.9, np.where(region == "islands", 6.0, 2.2))
    price = np.array([PLANS[name][0] for name in plan])
    included = np.array([PLANS[name][1] for name in plan])
    used = included * rng.beta(1.4, 1.7, count) * rng.choice([1.0, 1.5], count, p=[0.85, 0.15])
    billed = np.round(price + np.maximum(0, used - included) * 0.05, 2)
    late = rng.random(count) < np.where(payment == "invoice", 0.30, 0.07)
    paid = np.round(np.where(late, billed * rng.uniform(0.0, 0.7, count), billed), 2)

    # Why customers leave: new and much trouble; a big plan that is hardly used; bills unpaid on invoice. Three
    # interactions over weak plain effects, and chance on top.
    idle = used / included
    score = (
        -2.9
        + 2.6 * ((calls >= 3) & (months < 18))
        + 2.6 * ((price > 30) & (idle < 0.25) & ~contract)
        + 2.2 * (late & (payment == "invoice"))
        + 0.9 * (outage_hours > 5)
        + 0.22 * calls
        - 0.018 * months
        - 0.7 * contract
        + 0.3 * (region == "islands")
        + rng.normal(0, 0.4, count)
    )
    churn = rng.random(count) < 1 / (1 + np.exp(-score))

    no_meter = rng.random(count) < 0.08  # older modems do not count gigabytes
    never_measured = rng.random(count) < 0.05
    made = []
    for i in range(count):
        signed = SNAPSHOT - datetime.timedelta(days=int(months[i] * 30.4 + rng.integers(0, 28)))
        made.append(
            {
                "customer_id": f"C{100_003 + 7 * i}",
                "signed_up": signed.isoformat(),
                "region": region[i],
                "plan": plan[i],
                "bound": str(bool(contract[i])).lower(),
                "payment": payment[i],
                "months": int(months[i]),
                "gigabytes": "" if no_meter[i] else f"{used[i]:.1f}",
                "support_calls": int(calls[i]),
                "outage_hours": "" if never_measured[i] else f"{outage_hours[i]:.1f}",
                "billed": f"{billed[i]:.2f}",
                "paid": f"{paid[i]:.2f}",
                "churn": "yes" if churn[i] else "no",
            }
        )
    return made


def main() -> None:
    """Write `churn.csv` beside this file."""
    made = rows()
    path = Path(__file__).with_name("churn.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(made[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(made)


if __name__ == "__main__":
    main()
