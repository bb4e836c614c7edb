"""Pages of the site that have their place elsewhere in the repository, or are made from it.

MkDocs calls the functions named ``on_...`` while it builds the site.
"""

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from rules_page import rules_page

from fimtiers.tiers import DESCRIPTIONS

ROOT = Path(__file__).parents[2]
MOUNTED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "config/README.md": "reference/configuration.md",
    "resources/published/README.md": "reference/published-numbers.md",
}
"""Pages that belong beside what they describe: where they are, and where in the site."""
LINK = re.compile(r"(?<=\]\()(?P<path>[^)#:\s]+\.\w+)(?=[)#])")
CLONE = "git clone ADDRESS"
TIERS = "<!-- variables of tiers -->"


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add the pages that are not in docs/."""
    for source, target in MOUNTED.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    rules = rules_page(ROOT / "workflow")
    files.append(File.generated(config, "reference/rules.md", content=rules))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Fill in tables, and turn links between files of the repository into links between pages."""
    here = page.file.src_uri
    if "/" not in here:
        page.meta["hide"] = ["navigation"]  # a page at the top has none beside it
    source = {target: source for source, target in MOUNTED.items()}.get(here, f"docs/{here}")

    def moved(link: re.Match[str]) -> str:
        target = normpath(join(dirname(source), link["path"]))
        place = MOUNTED.get(target, target.removeprefix("docs/"))
        return relpath(place, dirname(here) or ".")

    markdown = markdown.replace(TIERS, variables_of_tiers())
    return LINK.sub(moved, with_address(markdown, ROOT / "CITATION.cff"))


def with_address(markdown: str, citation: Path) -> str:
    """Fill in the address of the repository, once whoever publishes it has written it there."""
    address = yaml.safe_load(citation.read_text(encoding="utf-8")).get("repository-code")
    return markdown.replace(CLONE, f"git clone {address}") if address else markdown


def variables_of_tiers() -> str:
    """Return the table of the statistics of one diagonal."""
    rows = [f"| `{name}` | {text} |" for name, text in DESCRIPTIONS.items()]
    return "\n".join(["| variable | meaning |", "|---|---|", *rows])
