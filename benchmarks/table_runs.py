"""`leaven run` for each generator on real tables: all arms, the lift with its interval, effect and verdict.

    python benchmarks/table_runs.py --data FOLDER [--cells adult german_credit adult_30] [--generators smote …]
                                    [--fit 60s] [--store FOLDER]

FOLDER holds adult_train.csv.gz, adult_test.csv.gz and german_credit.csv.gz. `adult_30` is adult with its train rows
cut to 30 of the minority and 1,000 of the majority, filled up until both classes are equal; `adult_30_few` adds 100
rows of the minority and is scored by ROC AUC. One run per cell and generator; a finished one is not run
again. Prints a table and writes benchmarks/results/table_runs.json.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd

GENERATORS = ("gaussian_copula", "ctgan", "tvae", "smote")
CONTROLS = ("memoriser", "independent_columns", "bootstrap")
ARMS = ("real", "duplicates", "classic", "synthetic_only", "augmented", "classic_augmented")


def cells(data: Path, made: Path) -> dict[str, dict[str, Any]]:
    """Recipe parts of each cell; writes the cut table."""
    train = data / "adult_train.csv.gz"
    cut = made / "adult_30.csv"
    if not cut.exists():
        rows = pd.read_csv(train, dtype=str, keep_default_na=False)
        few = [
            rows[rows.income == label].sample(n, random_state=30)
            for label, n in ((">50K", 30), ("<=50K", 1000))
        ]
        pd.concat(few).sample(frac=1.0, random_state=30).to_csv(cut, index=False)
    adult = {"task": {"target": "income"}, "split": {"test_path": str(data / "adult_test.csv.gz")}}
    return {
        "adult": {**adult, "source": {"kind": "table", "path": str(train)}},
        "adult_30": {
            **adult,
            "source": {"kind": "table", "path": str(cut)},
            "amount": {"balance": True},
        },
        "adult_30_few": {
            "task": {"target": "income", "metric": "roc_auc"},
            "split": adult["split"],
            "source": {"kind": "table", "path": str(cut)},
            "amount": {"per_class": {">50K": 100}},
        },
        "german_credit": {
            "task": {"target": "class"},
            "source": {"kind": "table", "path": str(data / "german_credit.csv.gz")},
        },
    }


def run(cell: str, part: dict[str, Any], generator: str, fit: str, store: Path) -> dict[str, Any]:
    """One run; its report with the seconds it took."""
    from leaven.flows.augment import run_recipe
    from leaven.pipelines.recipe import Recipe

    recipe = Recipe.model_validate(
        {
            "name": f"{cell}-{generator}",
            "candidates": [{"generator": generator}],
            "budget": {"fit": fit},
            **part,
        }
    )
    begun = time.monotonic()
    outcome = run_recipe(recipe, Path.cwd(), str(store))
    report = outcome.report
    return {
        "cell": cell,
        "generator": generator,
        "verdict": outcome.verdict,
        "effect": report["effect"],
        "metric": report["utility"]["metric"],
        "arms": report["utility"]["arms"],
        "lift": report["utility"]["lift"],
        "lift_over_classic": report["utility"]["lift_over_classic"],
        "worth_real_rows": report["utility"]["worth_real_rows"],
        "chosen": report["chosen"],
        "rows": report["rows"],
        "gates": report["gates"],
        "fidelity": {name: metric["value"] for name, metric in report["fidelity"].items()},
        "seconds": time.monotonic() - begun,
    }


def show(found: list[dict[str, Any]]) -> None:
    """The table, a line per run."""
    head = f"{'cell':<14} {'generator':<20} " + " ".join(f"{arm[:9]:>9}" for arm in ARMS)
    print(f"{head}  {'lift (95 %)':>26}  {'effect':<21} verdict   failed gates")
    for row in found:
        arms = " ".join(
            f"{row['arms'][arm]['value']:>9.4f}" if arm in row["arms"] else f"{'-':>9}" for arm in ARMS
        )
        lift = row["lift"]
        text = f"{lift['value']:+.4f} ({lift['low']:+.4f} {lift['high']:+.4f})" if lift else "-"
        failed = ", ".join(gate["gate"] for gate in row["gates"] if not gate["passed"])
        print(f"{row['cell']:<14} {row['generator']:<20} {arms}  {text:>26}  ", end="")
        print(f"{row['effect']:<21} {row['verdict']:<9} {failed}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cells", nargs="+", default=["german_credit", "adult_30", "adult"])
    parser.add_argument("--generators", nargs="+", default=[*GENERATORS])
    parser.add_argument("--fit", default="60s")
    parser.add_argument("--store", type=Path, default=Path("benchmarks/results/store"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/table_runs.json"))
    options = parser.parse_args()
    from leaven.flows import prefect_setup

    prefect_setup.prepare()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = json.loads(options.out.read_text()) if options.out.exists() else []
    parts = cells(options.data.resolve(), options.out.parent.resolve())
    for cell in options.cells:
        for generator in options.generators:
            if any(row["cell"] == cell and row["generator"] == generator for row in found):
                continue
            found.append(run(cell, parts[cell], generator, options.fit, options.store.resolve()))
            options.out.write_text(json.dumps(found, indent=1))
            show(found[-1:])
    print()
    show(found)


if __name__ == "__main__":
    main()
