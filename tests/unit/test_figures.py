import re
from pathlib import Path

import pytest
import yaml

from fimtiers.figures import SCHEMA, figure_numbers, find_figures
from fimtiers.study import StudyError, read_study

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())


@pytest.fixture(scope="module")
def study():
    return read_study(CONFIG, yaml.safe_load(SCHEMA.read_text()))


def test_figures_are_numbered_from_one_without_a_gap(study):
    numbers = figure_numbers(study)
    assert sorted(numbers.values()) == list(range(1, len(numbers) + 1))
    panels = len(study.panel)
    assert list(numbers)[:2] == ["dichotomy_published", "dichotomy_corrected"]
    assert list(numbers)[panels] == "relative_published"


def test_the_order_of_entries_does_not_count(study):
    figures = dict(reversed(CONFIG["mechanism"]["figures"].items()))
    config = {**CONFIG, "mechanism": {**CONFIG["mechanism"], "figures": figures}}
    turned = read_study(config, yaml.safe_load(SCHEMA.read_text()))
    assert figure_numbers(turned) == figure_numbers(study)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("2", {"dichotomy_corrected"}),
        ("dichotomy", {f"dichotomy_{panel}" for panel in CONFIG["panel"]}),
        ("margin", {"margin"}),
        ("depth_law", {"mechanism_depth_law"}),
        ("mechanism_depth_law", {"mechanism_depth_law"}),
        ("log", {f"log_fisher_{panel}" for panel in CONFIG["panel"]}),
        ("activations", {"mechanism_activations"}),
    ],
)
def test_a_figure_is_found_by_its_number_or_by_the_beginning_of_its_name(study, wanted, names):
    assert set(find_figures(wanted, study)) == names


@pytest.mark.parametrize("wanted", ["", "0", "99", "dichtomy", "mechanism_dichotomy"])
def test_another_is_refused_with_a_list_of_all(study, wanted):
    with pytest.raises(StudyError, match=r"no such figure") as caught:
        find_figures(wanted, study)
    assert all(
        f"{number:4}  {name}" in str(caught.value) for name, number in figure_numbers(study).items()
    )


def test_a_figure_without_curves_keeps_its_number_and_is_not_found(study):
    dropped = {**CONFIG["mechanism"]["sweeps"], "width": None, "width_he": None}
    config = {**CONFIG, "mechanism": {**CONFIG["mechanism"], "sweeps": dropped}}
    small = read_study(config, yaml.safe_load(SCHEMA.read_text()))
    assert figure_numbers(small) == figure_numbers(study)
    with pytest.raises(StudyError, match=r"F='widths': no such figure"):
        find_figures("widths", small)


def test_the_page_of_results_has_every_number_of_the_default_study_and_the_tables_it_shows(study):
    page = (ROOT / "docs/reference/results.md").read_text()
    rows = re.findall(r"^\| ([\d, ]+) \| `(\w+)` \| (.+) \| (.+) \|$", page, re.MULTILINE)
    listed = {
        name: int(number)
        for numbers, name, *_ in rows
        for number, name in zip(
            numbers.split(", "),
            [name.replace("PANEL", panel) for panel in study.panel] if "PANEL" in name else [name],
            strict=True,
        )
    }
    assert listed == figure_numbers(study)
    rules = "".join(
        (ROOT / f"workflow/rules/{name}.smk").read_text()
        for name in ("figures", "mechanism_figures")
    )
    for _, name, _, tables in rows:
        figure = name.removesuffix("_PANEL").removeprefix("mechanism_")
        rule = figure if re.search(rf"plot_{figure}(?: with)?:", rules) else "sweeps"
        text = re.split(rf"plot_{rule}(?: with)?:", rules)[1].split("    output:")[0]
        inputs = re.findall(r'"<results>/([^"]+)"', text)
        for table in inputs:
            shown = table.replace("{panel}", "PANEL").replace("{system}", "SYSTEM")
            assert f"`{shown}`" in tables, name
