"""The documentation, built and opened in a real browser without a network: all of it is there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from browser import Browser
from checkout import check_out

pytestmark = [pytest.mark.slow, pytest.mark.browser]

ROOT = Path(__file__).parents[2]
MKDOCS = Path(sys.executable).with_name("mkdocs")
NARROW = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": False}
UNSHOWN = "return [...document.images].filter((image) => !image.naturalWidth).map((i) => i.src)"
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"

SEARCH = """const query = document.querySelector("[data-md-component=search-query]");
query.focus(); query.value = "plaquette"; query.dispatchEvent(new Event("input"));
query.dispatchEvent(new KeyboardEvent("keyup"))"""
FOUND = "[...document.querySelectorAll('.md-search-result__link')].map((link) => link.href)[0]"


def build(repository: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site as `make docs` does."""
    return subprocess.run(
        [str(MKDOCS), "build", "--strict", "--site-dir", str(site)],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": "src", "NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Give the pages of the site."""
    site = tmp_path_factory.mktemp("site")
    done = build(ROOT, site)
    assert done.returncode == 0, done.stdout
    return sorted(page for page in site.rglob("*.html") if page.name != "404.html")


@pytest.fixture(scope="module")
def visits(pages, tmp_path_factory):
    """Open every page, wide and narrow; give what was seen, by page, and what was asked for."""
    window = Browser(tmp_path_factory.mktemp("browser"))
    try:
        window.log("performance")  # of the empty page at the start
        seen = {}
        for page in pages:
            window.open(page)
            unshown = window.run(UNSHOWN)
            window.resize(NARROW)
            seen[page.name] = {"unshown": unshown, "overflow": window.run(OVERFLOW)}
            window.resize(None)
        window.open(pages[0])
        window.run(SEARCH)
        found = window.wait_for(FOUND)
        sent = [json.loads(entry["message"])["message"] for entry in window.log("performance")]
        asked = {
            message["params"]["request"]["url"]
            for message in sent
            if message["method"] == "Network.requestWillBeSent"
        }
        errors = [entry for entry in window.log("browser") if entry["level"] == "SEVERE"]
        yield {"pages": seen, "found": found, "asked": asked, "errors": errors}
    finally:
        window.close()


def test_every_image_of_every_page_is_shown(visits):
    assert [page for page, seen in visits["pages"].items() if seen["unshown"]] == []


def test_no_page_is_wider_than_a_telephone(visits):
    assert [page for page, seen in visits["pages"].items() if seen["overflow"]] == []


def test_the_search_finds_a_page(visits):
    assert visits["found"]


def test_nothing_was_asked_of_the_network_and_no_error_was_logged(visits):
    assert visits["asked"]
    assert [url for url in visits["asked"] if not url.startswith(("file:", "data:"))] == []
    assert visits["errors"] == []


@pytest.mark.parametrize(
    ("link", "broken"),
    [
        ("(docs/how-to/slurm.md)", "(docs/how-to/slrm.md)"),
        ("(docs/how-to/slurm.md)", "(docs/how-to/slurm.md#what-a-sight-sets)"),
    ],
)
def test_a_link_that_leads_nowhere_ends_the_build(link, broken, tmp_path):
    checkout = check_out(tmp_path / "repository")
    checkout.edit("README.md", link, broken)
    done = build(checkout.root, tmp_path / "site")
    assert done.returncode == 1
    assert "in strict mode" in done.stdout
