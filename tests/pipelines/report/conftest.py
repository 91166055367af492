"""Reports to draw, full and minimal, and a real browser to look at them."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.table.panels import panels
from leaven.pipelines.task import Task

from . import image_panels


def interval(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def people(count: int, seed: int, wrong: float = 0.0) -> pd.DataFrame:
    """Rows of many kinds of columns; `wrong` shifts them away from what they should be."""
    random = np.random.default_rng(seed)
    age = np.clip(random.gamma(9, 4 + wrong, count), 17, 90).round()
    education = random.choice(
        ["primary", "secondary", "bachelor", "master", "doctorate"], count, p=[0.1, 0.4, 0.3, 0.15, 0.05]
    )
    gain = np.where(random.random(count) < 0.9 - wrong, 0.0, random.lognormal(8, 1.2, count))
    churn = (age / 60 + (education == "primary") + random.normal(0, 0.5 + wrong, count)) > 1.3
    frame = pd.DataFrame(
        {
            "age": pd.array(age.astype(int), dtype="Int64"),
            "education": education.astype(object),
            "capital_gain": gain,
            "joined": (np.datetime64("2019-03-01") + random.integers(0, 1500, count)).astype(
                "datetime64[us]"
            ),
            "newsletter": pd.array(random.random(count) < 0.3 + wrong, dtype="boolean"),
            "monthly spend, in euros and including all taxes": random.normal(60, 20, count) + 10 * churn,
            "country_of_residence": random.choice([f"country {n}" for n in range(30)], count).astype(object),
            "visits": pd.array(random.poisson(3 + 2 * wrong, count), dtype="Int64"),
            "churn": np.where(churn, "left", "stayed").astype(object),
        }
    )
    frame.loc[random.random(count) < 0.08 + wrong / 2, "capital_gain"] = None
    return frame


def drawn_panels() -> dict[str, Any]:
    kinds = ("integer", "category", "number", "date", "boolean", "number", "category", "integer", "category")
    train = people(900, 1)
    columns = tuple(Column(name=name, type=kind) for name, kind in zip(train, kinds, strict=True))  # type: ignore[arg-type]
    schema = Schema(columns=columns, target="churn")
    task = Task(
        target="churn", type="classification", metric="roc_auc", classes=("left", "stayed"), positive="left"
    )
    found = panels(schema, task, train=train, synthetic=people(900, 2, 0.15), fresh=people(400, 3))
    return json.loads(json.dumps(found, allow_nan=False))


@pytest.fixture
def minimal_report() -> dict[str, Any]:
    """No candidate made any row: whatever can be missing is."""
    return {
        "version": "20261101T101500Z-0a1b2c",
        "name": "tiny",
        "created": "2026-11-01T10:15:00+00:00",
        "recipe": {"name": "tiny", "source": {"kind": "table", "path": "tiny.csv"}},
        "task": {
            "target": "y",
            "type": "classification",
            "metric": "macro_f1",
            "classes": ["a", "b", "c"],
            "positive": None,
        },
        "chosen": None,
        "certified": None,
        "verdict": "withheld",
        "effect": "no measurable effect",
        "rows": {"train": 80, "validation": 25, "test": 25, "synthetic": 0, "rejected": 0},
        "utility": {
            "metric": "macro_f1",
            "learners": ["random_forest"],
            "repeats": 5,
            "arms": {"real": interval(0.61, 0.09)},
            "arms_by_learner": {},
            "classic_chosen": "real",
            "lift": None,
            "lift_over_classic": None,
            "per_class": {"a": {"real": 0.7, "augmented": None}, "b": {"real": 0.5, "augmented": None}},
            "worth_real_rows": None,
            "worth_reason": "no candidate made any rows",
            "curve": [],
            "half": None,
        },
        "fidelity": {},
        "diversity": {},
        "privacy": {},
        "privacy_exempt": False,
        "panels": {},
        "rejected_reasons": {},
        "candidates": [
            {
                "generator": "ctgan",
                "parameters": {},
                "amount": None,
                "validation": {
                    "lift": None,
                    "reason": "ctgan cannot learn from 80 rows: at least 100 are needed",
                },
                "rows": {"sampled": 0, "kept": 0},
                "rejected": {},
                "seconds": {},
                "notes": [],
            }
        ],
        "amounts": [],
        "folds": 5,
        "columns": [],
        "warnings": [],
        "notes": [],
        "gates": [
            {
                "gate": "lift",
                "value": None,
                "threshold": 0.0,
                "passed": False,
                "what": "there is no augmented arm to measure",
            }
        ],
        "cost": {"seconds": {"ingest": 0.1}, "peak_memory_bytes": 2e8, "device": "cpu", "energy_wh": None},
    }


@pytest.fixture(scope="session")
def full_report() -> dict[str, Any]:
    """Everything that a report can hold."""
    metric = {
        "better": "lower",
        "what": "mean distance between the real and the synthetic distribution of a column",
    }
    return {
        "version": "20261101T101500Z-9f8e7d",
        "name": "customer-churn",
        "created": "2026-11-01T10:15:00+00:00",
        "recipe": {
            "name": "customer-churn",
            "source": {"kind": "table", "path": "data/churn.csv"},
            "task": {"target": "churn"},
            "amount": {"ratio": [0.25, 1.0]},
        },
        "task": {
            "target": "churn",
            "type": "classification",
            "metric": "roc_auc",
            "classes": ["left", "stayed"],
            "positive": "left",
        },
        "chosen": {
            "generator": "tvae",
            "parameters": {"epochs": 300},
            "amount": {"ratio": 0.25},
            "label": "tvae(epochs=300)",
        },
        "certified": {
            "generator": "tvae",
            "parameters": {"epochs": 300},
            "amount": {"ratio": 0.25},
            "label": "tvae(epochs=300)",
        },
        "verdict": "released",
        "effect": "helps",
        "rows": {"train": 3600, "validation": 1200, "test": 1200, "synthetic": 1200, "rejected": 143},
        "utility": {
            "metric": "roc_auc",
            "learners": ["logistic_regression", "random_forest", "boosted_trees"],
            "repeats": 5,
            "arms": {
                "real": interval(0.862, 0.018),
                "duplicates": interval(0.861, 0.019),
                "classic": interval(0.870, 0.017),
                "synthetic_only": interval(0.815, 0.022),
                "augmented": interval(0.883, 0.016),
                "classic_augmented": interval(0.886, 0.0155),
            },
            "arms_by_learner": {
                "real": {"logistic_regression": 0.85, "random_forest": 0.866, "boosted_trees": 0.87},
                "augmented": {"logistic_regression": 0.871, "random_forest": 0.885, "boosted_trees": 0.893},
            },
            "classic_chosen": "class_weights",
            "lift": {"value": 0.0213, "low": 0.0081, "high": 0.0342},
            "lift_over_classic": {"value": 0.0161, "low": 0.0012, "high": 0.031},
            "per_class": {
                "left": {"real": 0.71, "augmented": 0.76},
                "stayed": {"real": 0.93, "augmented": 0.929},
            },
            "worth_real_rows": {"value": 640, "low": 210, "high": 1130},
            "worth_reason": None,
            "curve": [
                {"rows": rows, **interval(0.79 + 0.026 * np.log2(rows / 1200), 0.016)}
                for rows in (2400, 3000, 3600, 4200, 4800)
            ],
            "half": {"rows": 2400, "real": interval(0.816, 0.016), "augmented": interval(0.8247, 0.015)},
        },
        "fidelity": {
            "column_shapes": {**metric, "value": 0.052, "floor": 0.017, "ceiling": 0.41},
            "pair_trends": {
                **metric,
                "value": 0.09,
                "floor": 0.02,
                "ceiling": 0.15,
                "what": "mean error of what holds between two columns",
            },
            "detection": {
                "value": 0.78,
                "floor": 0.5,
                "ceiling": 0.99,
                "better": "lower",
                "what": "AUC of a boosted tree that tells synthetic rows from real ones; 0.5: it cannot",
            },
            "density": {
                "value": 1.21,
                "floor": 1.0,
                "ceiling": 0.3,
                "better": "higher",
                "what": "how many real rows' neighbourhoods a synthetic row lies in, against what is expected",
            },
        },
        "diversity": {
            "coverage": {
                "value": 0.82,
                "floor": 0.95,
                "ceiling": 0.2,
                "better": "higher",
                "what": "share of train rows that have a synthetic row among their nearest neighbours",
            },
            "distinct_rows": {
                "value": 1.0,
                "floor": 1.0,
                "ceiling": 1.0,
                "better": "higher",
                "what": "share of rows that are left when repeated ones are counted once",
            },
        },
        "privacy": {
            "copies": {
                "value": 0.0008,
                "floor": 0.001,
                "ceiling": 0.92,
                "noise": 0.001,
                "better": "lower",
                "what": "share of synthetic rows that equal a train row which stands only once in train",
            },
            "worst_attack": {
                "value": 0.523,
                "floor": 0.508,
                "ceiling": 0.97,
                "noise": 0.011,
                "better": "lower",
                "what": "the best of three membership attacks: AUC of telling train rows from held-out ones",
            },
        },
        "privacy_exempt": False,
        "differential_privacy": {
            "epsilon": 2.9967,
            "asked": 3.0,
            "delta": 1e-05,
            "columns": {"epsilon": 0.5998, "histograms": 27, "noise": 33.872, "threshold": 155.2},
            "training": {
                "epsilon": 2.8131,
                "noise_multiplier": 1.3312,
                "sampling_rate": 0.0512,
                "steps": 195,
            },
            "neighbours": "one row more or less",
            "accountant": "Opacus, Renyi differential privacy",
            "public": ["the columns' names and types", "the number of train rows"],
        },
        "panels": drawn_panels(),
        "rejected_reasons": {"label_agreement": 96, "type_and_range": 31, "near_copies": 12, "copies": 4},
        "candidates": [
            {
                "generator": generator,
                "parameters": parameters,
                "amount": {"ratio": ratio},
                "validation": {"lift": interval(lift, 0.012), "reason": reason},
                "rows": {"sampled": 3600, "kept": 3300},
                "rejected": {"copies": 4},
                "seconds": {"fit": 61.0, "sample": 1.2, "screen": 2.2, "assess": 14.0},
                "notes": notes,
            }
            for generator, parameters, ratio, lift, reason, notes in (
                ("tvae", {"epochs": 300}, 0.25, 0.019, None, ["stopped by its budget after 214 epochs"]),
                ("tvae", {"epochs": 300}, 1.0, 0.011, None, []),
                ("gaussian_copula", {}, 0.25, -0.002, None, []),
                ("gaussian_copula", {}, 1.0, -0.014, None, []),
                ("memoriser", {}, 1.0, 0.001, "failed the gate copies, worst_attack on validation rows", []),
            )
        ]
        + [
            {
                "generator": "ctgan",
                "parameters": {},
                "amount": None,
                "validation": {"lift": None, "reason": "no time was left in the budget"},
                "rows": {"sampled": 0, "kept": 0},
                "rejected": {},
                "seconds": {},
                "notes": [],
            }
        ],
        "amounts": [
            {
                "generator": generator,
                "amount": f"ratio {ratio}",
                "rows": round(3600 * ratio),
                **interval(lift, 0.012),
                "se": 0.006,
            }
            for generator, ratio, lift in (
                ("tvae(epochs=300)", 0.25, 0.019),
                ("tvae(epochs=300)", 1.0, 0.011),
                ("gaussian_copula", 0.25, -0.002),
                ("gaussian_copula", 1.0, -0.014),
                ("memoriser", 1.0, 0.001),
            )
        ],
        "folds": 1,
        "columns": [
            {"name": "age", "type": "integer", "missing": 0, "distinct": 71, "example": "38"},
            {
                "name": "education",
                "type": "category",
                "missing": 0,
                "distinct": 5,
                "example": "<secondary> & more",
            },
            {"name": "capital_gain", "type": "number", "missing": 0.08, "distinct": 412, "example": "0.0"},
        ],
        "warnings": ["column 'comment' holds e-mail addresses; it is not learned, but the real rows keep it"],
        "notes": ["ctgan was left out: the budget of 2 h was spent"],
        "gates": [
            {
                "gate": "lift",
                "value": 0.0081,
                "threshold": 0.0,
                "passed": True,
                "what": "lift.low must be above the threshold",
            },
            {
                "gate": "copies",
                "value": 0.0008,
                "threshold": 0.008,
                "passed": True,
                "what": "at most the held-out floor, its noise and the margin",
            },
            {
                "gate": "worst_attack",
                "value": 0.523,
                "threshold": 0.55,
                "passed": True,
                "what": "at most the held-out floor, its noise and the margin",
            },
        ],
        "cost": {
            "seconds": {
                "ingest": 0.8,
                "split": 0.3,
                "fit": 211.4,
                "sample": 4.2,
                "screen": 8.1,
                "assess": 64.0,
                "certify": 41.0,
                "wall": 334.0,
            },
            "peak_memory_bytes": 1_230_000_000,
            "device": "cpu",
            "energy_wh": None,
        },
    }


def of_images(report: dict[str, Any], found: dict[str, Any], classes: list[str]) -> dict[str, Any]:
    """The full report, of images with these panels."""
    chosen = {"generator": "diffusion", "parameters": {}, "amount": {"ratio": 1.0}, "label": "diffusion"}
    utility = {**report["utility"], "metric": "macro_f1", "learners": ["resnet9"], "arms_by_learner": {}}
    utility["per_class"] = {name: {"real": 0.71, "augmented": 0.74} for name in classes}
    return {
        **report,
        "name": "pictures",
        "recipe": {"name": "pictures", "source": {"kind": "image", "path": "pictures"}},
        "task": {"target": "label", "type": "classification", "metric": "macro_f1", "classes": classes},
        "chosen": chosen,
        "certified": chosen,
        "utility": utility,
        "panels": json.loads(json.dumps(found, allow_nan=False)),
        "differential_privacy": None,
        "rejected_reasons": {"label_agreement": 40, "near_copies": 20},
        "columns": [
            {"name": "image", "type": "image", "missing": 0, "distinct": 1797, "note": "8 x 8 pixels, grey"},
            {"name": "label", "type": "category", "missing": 0, "distinct": len(classes), "target": True},
        ],
        "warnings": [],
    }


@pytest.fixture(scope="session")
def digits_report(full_report: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = image_panels.drawn(*image_panels.digits(), tmp_path_factory.mktemp("digits"))
    return of_images(full_report, found, list("0123456789"))


@pytest.fixture(scope="session")
def photos_report(full_report: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Large images of many classes with long names, and no extractor, classifier, walk or losses."""
    classes = [f"a rather long name of the class number {n}" for n in range(30)]
    folder = tmp_path_factory.mktemp("photos")
    none: dict[str, Any] = {"probabilities": None, "walk": None, "losses": ()}
    found = image_panels.drawn(*image_panels.blobs(900, 96, classes, 0), folder, **none)
    return of_images(full_report, found, sorted(classes))


@dataclass
class Seen:
    """What a browser saw of a page."""

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    width: int = 0  # of the document, in CSS pixels
    wider: list[str] = field(default_factory=list)  # elements that stick out of the window
    text: str = ""
    image: bytes = b""  # PNG of the whole page
    printed: bytes = b""  # PDF on A4


class Chromium:
    """A headless Chromium, spoken to over its DevTools protocol."""

    def __init__(self, program: str, folder: Path):
        from websockets.sync.client import connect

        self._process = subprocess.Popen(
            [
                program,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--remote-debugging-port=0",
                f"--user-data-dir={folder}",
                "--no-first-run",
                "--hide-scrollbars",
                "about:blank",
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        address = next(line for line in self._process.stderr if "DevTools listening on" in line).split()[-1]
        self._socket = connect(address, max_size=None)
        self._number = 0

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(10)

    def look(
        self, page: Path, width: int, scripts: bool = True, dark: bool = False, media: str = "screen"
    ) -> Seen:
        """Open a page in a window of this width (390 as a phone) and report what happened."""
        seen = Seen()
        target = self._call("Target.createTarget", {"url": "about:blank"}, None, seen)["targetId"]
        session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True}, None, seen)[
            "sessionId"
        ]

        def ask(method: str, **parameters: Any) -> dict[str, Any]:
            return self._call(method, parameters, session, seen)

        for domain in ("Page", "Network", "Runtime", "Log"):
            ask(f"{domain}.enable")
        phone = width < 600
        ask("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=phone)
        ask("Emulation.setScriptExecutionDisabled", value=not scripts)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        ask("Emulation.setEmulatedMedia", media=media, features=[scheme])
        ask("Page.navigate", url=page.as_uri())
        self._wait("Page.loadEventFired", seen)

        def value(expression: str) -> Any:
            return ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

        seen.width = value("document.documentElement.scrollWidth")
        seen.text = value("document.body.innerText")
        inside_scroller = "e.closest('.scroll, pre, .pair') !== null"
        seen.wider = value(
            "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && "
            f"!({inside_scroller})).map(e => e.tagName + '.' + e.getAttribute('class')).slice(0, 9)"
        )
        shot = ask("Page.captureScreenshot", captureBeyondViewport=True)
        seen.image = base64.b64decode(shot["data"])
        seen.printed = base64.b64decode(ask("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
        self._call("Target.closeTarget", {"targetId": target}, None, seen)
        return seen

    def _call(
        self, method: str, parameters: dict[str, Any], session: str | None, seen: Seen
    ) -> dict[str, Any]:
        self._number += 1
        message = {
            "id": self._number,
            "method": method,
            "params": parameters,
            **({"sessionId": session} if session else {}),
        }
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=30))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer, seen)

    def _wait(self, event: str, seen: Seen) -> None:
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            self._note(message, seen)
            if message.get("method") == event:
                return

    @staticmethod
    def _note(message: dict[str, Any], seen: Seen) -> None:
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            seen.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            seen.errors.append(str(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            seen.errors.append(parameters["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            seen.errors.append(str(parameters["args"]))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        pytest.skip("there is no Chromium here")
    browser = Chromium(program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()
