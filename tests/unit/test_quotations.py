"""Every number that a page quotes from results has a source, and is what the source says."""

import re
from pathlib import Path

import pandas as pd
import pytest

from fimtiers.quotations import (
    loose_numbers,
    missing_quotations,
    quote,
    read_quotations,
)

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
PAGES = sorted(path.with_suffix(".md") for path in (ROOT / "docs").rglob("*.csv"))


@pytest.fixture
def page(tmp_path):
    (tmp_path / "tables").mkdir()
    table = pd.DataFrame({"sweep": ["a", "a", "b"], "ratio": [10.0, 1000.0, 8.93e-7]})
    table.to_csv(tmp_path / "tables/runs.csv", index=False)
    rows = [
        ("tables/runs.csv", "sweep == 'a'", "a mean of {geometric(ratio):.0f}", "a mean of 100"),
        ("tables/runs.csv", "sweep == 'b'", "below {power(one(ratio))}", "below 9 · 10⁻⁷"),
        ("", "a constant", "of 3.463", "of 3.463"),
    ]
    columns = ["table", "rows", "says", "said"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "page.csv", index=False)
    (tmp_path / "page.md").write_text(
        "# Page\n\nWritten in 2026.\n\n- It has a mean\n  of 100, below 9 · 10⁻⁷ (`runs2.csv`).\n"
        "- It is a law of 3.463 [here](page3.md).\n"
    )
    return tmp_path / "page.md"


def test_pages_with_quotations_are_found():
    assert {"mechanism", "panel"} <= {page.stem for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_what_results_said_is_on_the_page(page):
    assert missing_quotations(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_no_number_on_the_page_is_without_a_source(page):
    assert loose_numbers(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_quotations_name_tables_that_a_rule_makes(page):
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    for table in set(read_quotations(page)["table"]) - {"", "config"}:
        name = table.removesuffix(".csv").removesuffix(".rst")
        name = re.sub(r"^statistics/(published|corrected)/", "statistics/{panel}/", name)
        made = f"<results>/{name}" in rules
        assert made or name.startswith("figures/mechanism_")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_results_still_say_what_they_said(page):
    """Compare with a default study in ``results/``; without one, with the configuration alone."""
    for quotation in read_quotations(page).to_dict("records"):
        table = quotation["table"]
        if table in ("", "config") or (RESULTS / table).exists():
            assert quote(quotation, RESULTS) == quotation["said"]


def test_a_page_that_quotes_correctly_has_nothing_missing_and_nothing_loose(page):
    assert missing_quotations(page) == []
    assert loose_numbers(page) == []
    for quotation in read_quotations(page).to_dict("records"):
        assert quote(quotation, page.parent) == quotation["said"]


def test_a_number_that_changed_or_has_no_source_is_named(page):
    page.write_text(page.read_text().replace("100", "101"))
    assert missing_quotations(page) == ["a mean of 100"]
    assert "101" in loose_numbers(page)[0]


def test_impossible_quotations_are_refused_by_what_they_say(page):
    quotation = {"table": "tables/runs.csv", "rows": "sweep == 'c'", "says": "", "said": ""}
    with pytest.raises(ValueError, match="no rows \"sweep == 'c'\""):
        quote(quotation, page.parent)
    with pytest.raises(ValueError, match=r"one\(ratio\).*expected one"):
        quote({**quotation, "rows": "", "says": "{one(ratio)}"}, page.parent)
    with pytest.raises(ValueError, match="open"):
        quote({**quotation, "rows": "", "says": "{open('x')}"}, page.parent)
