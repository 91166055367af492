"""The report in a real browser: what it says, that it fits a phone, and that it asks the network for nothing."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from leaven.pipelines.report import page

pytestmark = pytest.mark.browser


def shown(chromium: Any, report: dict[str, Any], folder: Path, width: int, **options: Any) -> Any:
    file = folder / "report.html"
    file.write_text(page.render(report), encoding="utf-8")
    seen = chromium.look(file, width, **options)
    (folder / f"{report['name']}-{width}.png").write_bytes(seen.image)
    assert seen.errors == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in seen.requests if url.startswith("file:")]) == 1
    assert seen.width <= width and seen.wider == []
    return seen


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("which", ["full_report", "minimal_report"])
def test_a_report_fits_and_needs_no_network(
    chromium: Any, which: str, width: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    report = request.getfixturevalue(which)
    seen = shown(chromium, report, tmp_path, width)
    assert "None" not in seen.text and "nan" not in seen.text.lower().split() and "Undefined" not in seen.text
    assert not re.search(r"\d\.\d{6}", seen.text), "a number with needless decimals"


def test_the_answer_comes_first(chromium: Any, full_report: dict[str, Any], tmp_path: Path) -> None:
    text = shown(chromium, full_report, tmp_path, 1280).text
    assert (
        "A classifier trained with 1,200 synthetic rows scores +0.021 ROC AUC (95 % interval +0.008 to +0.034) "
        "on real, unseen rows: it helps. Released."
    ) in text[:400]
    for said in (
        "about 640 further real rows",
        "0.883",
        "tvae(epochs=300)",
        "stopped by its budget",
        "no time was left",
    ):
        assert said in text
    assert "cannot tell good rows from bad ones here" in text  # distinct_rows: floor and ceiling are equal


def test_it_reads_without_scripts_and_in_the_dark(
    chromium: Any, full_report: dict[str, Any], tmp_path: Path
) -> None:
    seen = shown(chromium, full_report, tmp_path, 390, scripts=False, dark=True)
    assert "Does a classifier get better?" in seen.text and "Copy" not in seen.text.split()


def test_it_prints_on_paper(chromium: Any, full_report: dict[str, Any], tmp_path: Path) -> None:
    seen = shown(chromium, full_report, tmp_path, 720, media="print", dark=True)  # A4 without its margins
    assert (
        "Copy" not in seen.text.split() and "Does it help?" not in seen.text
    )  # no buttons, no links to jump
    pages = len(re.findall(rb"/Type\s*/Page\b", seen.printed))
    assert seen.printed.startswith(b"%PDF") and 3 <= pages <= 15


def test_hostile_texts_stay_texts(chromium: Any, full_report: dict[str, Any], tmp_path: Path) -> None:
    report = copy.deepcopy(full_report)
    bad = "<script>alert(1)</script>$x_1$ 表 " + "w" * 120
    for panel in report["panels"]["columns"]:
        panel["name"] = bad + panel["name"]
        panel["labels"] = [bad + label for label in panel.get("labels", [])]
    report["panels"]["association"]["names"] = [bad] * len(report["panels"]["association"]["names"])
    report["warnings"] = [bad]
    report["utility"]["per_class"] = {bad: {"real": 0.5, "augmented": None}}
    report["amounts"][0]["generator"] = bad
    seen = shown(chromium, report, tmp_path, 390)
    assert "<script>alert(1)</script>" in seen.text  # as text


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("which", ["digits_report", "photos_report"])
def test_images_are_drawn(
    chromium: Any, which: str, width: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    report = request.getfixturevalue(which)
    seen = shown(chromium, report, tmp_path, width)
    assert "What do they look like?" in seen.text and "Nearest real image" in seen.text
    assert ("From one image to another" in seen.text) == (which == "digits_report")
    assert "rows" not in re.sub(r"(?s)The recipe, with its defaults.*", "", seen.text).split()
    assert "None" not in seen.text and "Undefined" not in seen.text
    assert len((tmp_path / "report.html").read_bytes()) < 3_000_000


def test_images_print_and_stand_in_the_dark(
    chromium: Any, digits_report: dict[str, Any], tmp_path: Path
) -> None:
    seen = shown(chromium, digits_report, tmp_path, 720, media="print", dark=True)
    assert len(re.findall(rb"/Type\s*/Page\b", seen.printed)) <= 20 and b"/Subtype /Image" in seen.printed
    shown(chromium, digits_report, tmp_path, 390, scripts=False, dark=True)


def test_hostile_labels_of_images_stay_texts(
    chromium: Any, digits_report: dict[str, Any], tmp_path: Path
) -> None:
    report = copy.deepcopy(digits_report)
    bad = '"><script>alert(1)</script>' + "w" * 120
    pictures = report["panels"]["pictures"]
    for group in (pictures["classes"], pictures["neighbours"]["pairs"], pictures["confidence"]["worst"]):
        group[0]["label"] = bad
    pictures["rejected"][0]["labels"][0] = bad
    assert "<script>alert(1)</script>" in shown(chromium, report, tmp_path, 390).text  # as text


def test_withheld_says_what_failed(minimal_report: dict[str, Any]) -> None:
    html = page.render(minimal_report)
    assert "No synthetic rows could be made and measured. Not released: there are no synthetic rows." in html
    assert "at least 100 are needed" in html and "no candidate made any rows" in html


def test_an_almost_empty_report_renders() -> None:
    assert "<h1>" in page.render(
        {"name": "x", "rows": {}, "verdict": "withheld", "effect": "no measurable effect"}
    )


def test_equal_reports_give_equal_pages_without_repeated_ids(full_report: dict[str, Any]) -> None:
    html = page.render(full_report)
    assert html == page.render(full_report)
    # matplotlib's ids are what clip paths and markers refer to; a repeated one would cut a plot by another's frame.
    ids = re.findall(r'<(?:clipPath|path|g) id="([mp][0-9a-f]{10})"', html)
    assert ids and len(ids) == len(set(ids))
    assert len(html.encode()) < 1_000_000
