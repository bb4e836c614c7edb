"""Every number that a page quotes from results has a source, and is what the source says."""

import re
from pathlib import Path

import pandas as pd
import pytest

from fimtiers.quotations import (
    loose_numbers,
    main,
    missing_quotations,
    quote,
    read_quotations,
    table_of,
)

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
PAGES = [
    ROOT / "README.md",
    *sorted(path.with_suffix(".md") for path in (ROOT / "docs").glob("*/*.csv")),
]


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
        "# Page\n\nWritten in a year.\n\n- It has a mean\n  of 100, below 9 · 10⁻⁷ (`runs2.csv`).\n"
        "- It is a law of 3.463 [here](page3.md).\n"
    )
    return tmp_path / "page.md"


def test_pages_with_quotations_are_found():
    assert {"README", "mechanism", "panel", "estimators"} == {page.stem for page in PAGES}
    tables = set((ROOT / "docs").rglob("*.csv"))
    assert {table_of(page) for page in PAGES} == tables


def test_quotations_of_a_page_at_the_top_are_in_the_folder_docs(page):
    beside = table_of(page)
    (page.parent / "docs").mkdir()
    assert (beside, table_of(page)) == (page.parent / "page.csv", page.parent / "docs/page.csv")


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
        name = re.sub(
            r"^statistics/(published|corrected|he_control)(_loss)?/", "statistics/{panel}/", name
        )
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


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("It falls to 9.", "9"),
        ("## Its 12 systems", "12"),
        ("| a | 3.5 |\n|---|---|\n| b | 4 · 10⁶ |", "3.5"),
        ("a (14 nats)", "14"),
        ("it has 10³⁶ or 10⁻³⁰", "10"),
        ("all six of them", "six"),
        ("Half of it", "Half"),
        ("None is above", "None"),
        ("one of them is above", "one of"),
    ],
)
def test_numbers_are_found_anywhere_in_digits_and_in_words(page, text, number):
    page.write_text(f"{page.read_text()}\n{text}\n")
    assert loose_numbers(page)[0].startswith(f"{number} in")


@pytest.mark.parametrize(
    "text",
    ["T1 over V2", "`rank 3`", "[here](page4.md)", "```\n5 + 6\n```", "    7 n\n", "U(1), SU(2)",
     "<img width=9>", "no law, but one another", "one-third-party", "attended"],
)  # fmt: skip
def test_names_and_code_are_no_numbers(page, text):
    page.write_text(f"{page.read_text()}\n{text}\n")
    assert loose_numbers(page) == []


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("word(sum(ratio > 9))", "two"),
        ("word(sum(ratio > 9000))", "no"),
        ("share(mean(ratio > 9))", "two thirds"),
        ("share(mean(ratio > 0))", "all"),
        ("share(mean(ratio > 1e9))", "none"),
        ("share(0.99)", "99 %"),
        ("listed(sorted(sweep.unique()))", "a and b"),
        ("'all' if min(ratio) > 100 else 'not all'", "not all"),
    ],
)
def test_words_are_computed_and_can_say_the_opposite(page, expression, said):
    quotation = {"table": "tables/runs.csv", "rows": "", "says": f"{{{expression}}}", "said": ""}
    assert quote(quotation, page.parent) == said


def test_what_changed_is_filled_in_and_what_cannot_be_is_named(page, capsys):
    runs = page.parent / "tables/runs.csv"
    runs.write_text(runs.read_text().replace("1000", "4000").replace("b", "c"))
    assert main(page.parent, page) == 1
    assert read_quotations(page)["said"].tolist() == ["a mean of 200", "below 9 · 10⁻⁷", "of 3.463"]
    printed = capsys.readouterr().out
    assert "- a mean of 100\n+ a mean of 200" in printed
    assert "no rows \"sweep == 'b'\"" in printed


def test_impossible_quotations_are_refused_by_what_they_say(page):
    quotation = {"table": "tables/runs.csv", "rows": "sweep == 'c'", "says": "", "said": ""}
    with pytest.raises(ValueError, match="no rows \"sweep == 'c'\""):
        quote(quotation, page.parent)
    with pytest.raises(ValueError, match=r"one\(ratio\).*expected one"):
        quote({**quotation, "rows": "", "says": "{one(ratio)}"}, page.parent)
    with pytest.raises(ValueError, match="open"):
        quote({**quotation, "rows": "", "says": "{open('x')}"}, page.parent)
