"""Labels with braces and formulas reach tables and figures as they are written."""

import json
import re
import shlex

import pytest
from checkout import MINI_STUDY

from fimtiers.tables import read_table

LABELS = {"net": "{width} nets, $w_{0}$", "chain": r"{n} $\sqrt{n}$ {}", "width": "{figure} $L^2$"}
TITLE = r"{panel} $\frac{1}{2}$"


@pytest.fixture
def labelled(clone):
    """Give a finished checkout whose labels have got braces and formulas since."""
    study = MINI_STUDY.read_text()
    for old, new in (
        ("  net:\n", f"  net:\n    label: {json.dumps(LABELS['net'])}\n"),
        ("  chain:\n", f"  chain:\n    label: {json.dumps(LABELS['chain'])}\n"),
        ("{system: net,", f"{{label: {json.dumps(LABELS['width'])}, system: net,"),
        ("variance: {Automata:", f"depth_law: {{}}\n    variance: {{{json.dumps(TITLE)}:"),
    ):
        assert study.count(old) == 1
        study = study.replace(old, new)
    clone.write("config/config.yaml", study)
    return clone


def test_they_reach_every_rule_that_shows_them(labelled):
    announced = labelled.snakemake("--dry-run", "--printshellcmds")
    shown = {}
    for command in map(shlex.split, re.findall(r"^Shell command: (.+)$", announced, re.MULTILINE)):
        if "--settings" in command:
            script = command[1].rpartition("/")[2]
            shown.setdefault(script, command[command.index("--settings") + 1])
    for script, text in {
        "tabulate_panel.py": LABELS["net"],
        "plot_margin.py": LABELS["chain"],
        "plot_dichotomy.py": LABELS["net"],
        "tabulate_sweeps.py": LABELS["width"],
        "plot_sweeps.py": LABELS["width"],
        "plot_layers.py": LABELS["width"],
        "plot_theory.py": LABELS["width"],
        "plot_variance.py": TITLE,
    }.items():
        assert json.dumps(text) in shown[script], script


@pytest.mark.slow
def test_they_are_printed_and_drawn(labelled):
    labelled.run("results/tables/panel.csv", "results/figures/margin.svg")
    table = read_table(labelled.root / "results/tables/panel.csv")
    assert {LABELS["net"], LABELS["chain"]} <= set(table["label"])
