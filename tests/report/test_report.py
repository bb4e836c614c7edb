"""The report, opened in a real browser without a network: all of it is there."""

import json
import re

import pytest
from browser import Browser
from checkout import Checkout, check_out

pytestmark = [pytest.mark.slow, pytest.mark.browser]

OWN_SCHEMES = ("file:", "data:", "blob:", "about:")
CATEGORIES = "return Object.keys(categories)"
ROWS = "return document.querySelectorAll('nav tbody tr').length"
TOGGLES = "return document.querySelectorAll('nav fieldset label').length"
RESULTS = "return Object.entries(results).map(([path, result]) => ({path, ...result}))"
SHOWN = """Object.entries(results).filter(([path, result]) =>
    [...document.images].some((image) => image.src === result.data_uri && image.naturalWidth)
    || document.querySelector("iframe")?.src === result.data_uri
).map(([path]) => path)[0]"""
"""Path of the result that is drawn, or is in the frame."""
BACK = "//nav//a[normalize-space(.)='Results']"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Checkout:
    checkout = check_out(tmp_path_factory.mktemp("report") / "repository")
    checkout.snakemake("--cores", "2")
    checkout.snakemake("--report", "report.html")
    return checkout


@pytest.fixture(scope="module")
def browser(finished, tmp_path_factory):
    window = Browser(tmp_path_factory.mktemp("browser"))
    try:
        window.log("performance")  # of the empty page at the start
        window.open(finished.root / "report.html")
        yield window
    finally:
        window.close()


@pytest.fixture(scope="module")
def results(browser):
    """Give path, labels, caption and content of every result in the report."""
    return {result.pop("path"): result for result in browser.run(RESULTS)}


def test_every_figure_and_table_of_the_study_is_in_the_report(finished, results):
    made = finished.root.glob("results/figures/*.svg")
    made = [*made, *finished.root.glob("results/tables/*.html")]
    assert len(made) > 5
    assert set(results) == {str(path.relative_to(finished.root)) for path in made}


def test_every_result_has_labels_and_a_caption_with_a_computed_number(results):
    for path, result in results.items():
        text = re.sub(r"<[^>]+>", "", result["caption"])
        assert result["labels"], path
        assert "System Message" not in text, path
        if path.endswith(".svg"):
            assert re.search(r"\d", text), path


def test_every_figure_and_table_is_shown_when_it_is_chosen(browser, results):
    shown = set()
    for category in browser.run(CATEGORIES):
        browser.click(f"//nav//a[normalize-space(.)='{category}']")
        for row in range(1, browser.run(ROWS) + 1):
            browser.click(f"//nav//tbody/tr[{row}]//a[1]")
            shown.add(browser.wait_for(SHOWN))
            for toggle in range(1, browser.run(TOGGLES) + 1):
                browser.click(f"(//nav//fieldset//label)[{toggle}]")
                shown.add(browser.wait_for(SHOWN))
        browser.click(BACK)
    assert shown == set(results)


def test_a_click_on_a_heading_sorts_a_table(browser, finished):
    browser.open(finished.root / "results/tables/panel_per_seed.html")
    values = (
        "[...document.querySelectorAll('tbody tr')]"
        ".map((row) => row.cells[5].dataset.value).filter((v) => v !== '').map(Number)"
    )
    before = browser.run(f"return {values}")
    browser.click("//th[normalize-space(.)='measured']")
    assert browser.run(f"return {values}") == sorted(before)
    browser.click("//th[normalize-space(.)='measured']")
    assert browser.run(f"return {values}") == sorted(before, reverse=True)


def test_nothing_was_asked_of_the_network_and_no_error_was_logged(browser):
    sent = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    sent = [message for message in sent if message["method"] == "Network.requestWillBeSent"]
    addresses = {message["params"]["request"]["url"] for message in sent}
    assert addresses
    assert [url for url in addresses if not url.startswith(OWN_SCHEMES)] == []
    assert [entry for entry in browser.log("browser") if entry["level"] == "SEVERE"] == []
