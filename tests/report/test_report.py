"""The report, opened in a real browser without a network: all of it is there."""

import json
import math
import re

import pytest
from browser import Browser
from checkout import Checkout

from fimtiers.tables import read_table

pytestmark = [pytest.mark.slow, pytest.mark.browser]

OWN_SCHEMES = ("file:", "data:", "blob:", "about:")
CATEGORIES = "return Object.keys(categories)"
ROWS = "return document.querySelectorAll('nav tbody tr').length"
TOGGLES = "return document.querySelectorAll('nav fieldset label').length"
RESULTS = "return Object.entries(results).map(([path, result]) => ({path, ...result}))"
SHOWN = """[
    ...[...document.images].filter((image) => image.naturalWidth),
    ...document.querySelectorAll("iframe"),
].some((shown) => shown.src === results[app.state.resultPath].data_uri) && app.state.resultPath"""
"""Path of the result that was chosen last, once it is drawn, or is in the frame."""
DRAWN = """[...document.querySelectorAll("canvas")].filter((canvas) =>
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v)
).length >= arguments[0]"""
"""Whether so many canvases are there and none of them is empty."""
COLUMN = """return [...document.querySelectorAll("tbody tr")].map((row) => row.cells[{}]).map(
    (cell) => cell.dataset.value ?? cell.textContent)"""
BACK = "//nav//a[normalize-space(.)='Results']"
NUMBERED = re.compile(r"\d")


@pytest.fixture(scope="module")
def reported(finished, tmp_path_factory) -> Checkout:
    """Give a checkout in which the study has run and has its report."""
    checkout = finished.copy(tmp_path_factory.mktemp("report") / "repository")
    checkout.snakemake("--report", "report.html")
    return checkout


@pytest.fixture(scope="module")
def browser(reported, tmp_path_factory):
    window = Browser(tmp_path_factory.mktemp("browser"))
    try:
        window.log("performance")  # of the empty page at the start
        window.open(reported.root / "report.html")
        yield window
    finally:
        window.close()


@pytest.fixture(scope="module")
def results(browser):
    """Give path, labels, caption and content of every result in the report."""
    return {result.pop("path"): result for result in browser.run(RESULTS)}


def each_result(browser):
    """Choose every result of the report in turn, by clicks; give the path of what is shown."""
    for category in browser.run(CATEGORIES):
        browser.click(f"//nav//a[normalize-space(.)='{category}']")
        for row in range(1, browser.run(ROWS) + 1):
            browser.click(f"//nav//tbody/tr[{row}]//a[1]")
            yield browser.wait_for(SHOWN)
            for toggle in range(1, browser.run(TOGGLES) + 1):
                browser.click(f"(//nav//fieldset//label)[{toggle}]")
                yield browser.wait_for(SHOWN)
        browser.click(BACK)


def sort_key(text):
    """Numbers by size, then text; what is empty last."""
    try:
        number = float(text)
    except ValueError:
        return (1 if text else 2, 0.0, text)
    return (2, 0.0, "") if math.isnan(number) else (0, number, "")


def test_every_figure_and_table_of_the_study_is_in_the_report(reported, results):
    made = reported.root.glob("results/figures/*.svg")
    made = [*made, *reported.root.glob("results/tables/*.html")]
    assert len(made) > 5
    assert set(results) == {str(path.relative_to(reported.root)) for path in made}


def test_every_result_has_labels_and_a_caption(results):
    for path, result in results.items():
        assert result["labels"], path
        assert len(result["caption"]) > 20, path
        assert "System Message" not in result["caption"], path


def test_the_caption_of_a_figure_carries_the_numbers_that_were_computed_with_it(reported, results):
    for path in (path for path in results if path.endswith(".svg")):
        text = re.sub(r"<[^>]+>", "", results[path]["caption"])
        computed = reported.read(path.replace(".svg", ".rst"))
        numbers = re.findall(r"\d+(?:\.\d+)?", computed)
        assert numbers, path
        assert [number for number in numbers if number not in text] == [], path


def test_every_figure_and_table_is_shown_when_it_is_chosen(browser, results):
    assert set(each_result(browser)) == set(results)


def test_a_click_on_a_heading_sorts_every_table_in_the_report(browser, results):
    tables = {path for path in each_result(browser) if path.endswith(".html") and sorts(browser)}
    assert tables == {path for path in results if path.endswith(".html")}


def sorts(browser):
    """Click on every heading of the table that is shown, twice, and see that it is sorted."""
    with browser.inside("//iframe"):
        for column in range(browser.run("return document.querySelectorAll('th').length")):
            before = browser.run(COLUMN.format(column))
            filled = [value for value in before if sort_key(value)[0] < 2]
            heading = f"//th[{column + 1}]"
            for backwards in (False, True):
                browser.click(heading)
                after = browser.run(COLUMN.format(column))
                assert sorted(after) == sorted(before)
                keys = [sort_key(value) for value in after[: len(filled)]]
                assert keys == sorted(keys, reverse=backwards)
                assert all(sort_key(value)[0] == 2 for value in after[len(filled) :])
    return True


def test_the_rule_graph_has_every_rule_and_is_drawn(browser, reported):
    browser.click("//nav//a[normalize-space(.)='Workflow']")
    assert browser.wait_for(DRAWN, 1)
    nodes = browser.run("return rulegraph_spec.data.find((d) => d.name === 'node-data').values")
    ran = {job.split()[0] for job in reported.planned("--forceall")}
    assert {node["rule"] for node in nodes} == ran | {"all"}


def test_the_statistics_are_drawn_for_every_job(browser, reported):
    browser.click("//nav//a[normalize-space(.)='Statistics']")
    assert browser.wait_for(DRAWN, 2)
    timed = browser.run("return runtimes_spec.data.values.map((job) => job.rule)")
    assert {job.split()[0] for job in reported.planned("--forceall")} == set(timed)


def test_the_page_of_versions_names_commit_python_and_packages(browser, reported):
    table = read_table(reported.root / "results/tables/versions.csv")
    named = {"commit of the checkout", "fimtiers", "python", "numpy", "torch", "xarray"}
    assert named <= set(table["name"])
    browser.click("//nav//a[normalize-space(.)='Provenance']")
    browser.click("//nav//tbody/tr[contains(., 'Versions')]//a[1]")
    browser.wait_for(SHOWN)
    with browser.inside("//iframe"):
        shown = browser.run("return document.querySelector('tbody').innerText")
    assert all(version in shown for version in table["version"])
    browser.click(BACK)


def test_nothing_was_asked_of_the_network_and_no_error_was_logged(browser):
    sent = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    sent = [message for message in sent if message["method"] == "Network.requestWillBeSent"]
    addresses = {message["params"]["request"]["url"] for message in sent}
    assert addresses
    assert [url for url in addresses if not url.startswith(OWN_SCHEMES)] == []
    assert [entry for entry in browser.log("browser") if entry["level"] == "SEVERE"] == []
