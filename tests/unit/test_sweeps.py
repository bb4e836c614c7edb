"""Sweeps: which points of which system make up a curve."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from fimtiers.study import StudyError, read_study
from fimtiers.sweeps import read_checks, read_figures, read_sweeps

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
NET = {"substrate": "mlp", "group": "deep", "seeds": [0]}
CHAIN = {"substrate": "ising_chain", "group": "rest", "seeds": [0], "probe_counts": [8, 32]}
PANEL = ["net", "other_net", "chain", "other_chain"]
CONFIG = {
    "systems": {
        "net": {
            **NET,
            "ratio_rule": "smallest_tenth_floor",
            "settings": {"width": 8},
            "sweep": {"initialisation": ["torch_default", "he_normal"], "depth": [1, 2, 3]},
        },
        "other_net": NET,
        "chain": CHAIN,
        "other_chain": CHAIN,
    },
    "panel": {"published": PANEL, "corrected": PANEL},
    "statistics": {
        "seed": 0, "resamples": 100, "confidence": 0.95, "threshold": 100, "thresholds": [10, 100]
    },
    "mechanism": {
        "sweeps": {
            "he": {"system": "net", "axis": "depth", "where": {"initialisation": "he_normal"}},
            "torch": {
                "system": "net",
                "axis": "depth",
                "where": {"initialisation": "torch_default"},
                "fit_from": 2,
                "published": {"experiment": "V6.0", "point": "L={depth},n={width}"},
            },
        },
        "figures": {"law": {"both": ["torch", "he"]}},
    },
}  # fmt: skip


def study(**sweep):
    config = copy.deepcopy(CONFIG)
    config["mechanism"]["sweeps"]["torch"].update(sweep)
    return read_study(config, SCHEMA)


def test_a_sweep_has_the_points_that_share_its_fixed_settings():
    he = read_sweeps(study())["he"]
    assert [point.name for point in he.points] == [
        f"depth={depth},initialisation=he_normal" for depth in (1, 2, 3)
    ]
    assert [(point.position, point.depth, point.width) for point in he.points] == [
        (1, 1, 8), (2, 2, 8), (3, 3, 8)
    ]  # fmt: skip


def test_published_points_are_named_by_the_settings_of_the_run():
    sweeps = read_sweeps(study())
    assert [point.published_point for point in sweeps["torch"].points] == [
        "L=1,n=8", "L=2,n=8", "L=3,n=8"
    ]  # fmt: skip
    assert sweeps["he"].points[0].published_point == "depth=1"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"system": "nit"}, "'nit' is not a system"),
        ({"system": "other_net"}, "'other_net' has no ratio_rule; one is needed"),
        ({"where": {}}, "each of which must be named once"),
        ({"where": {"initialisation": "he"}}, "allowed: torch_default, he_normal"),
        ({"untrained": "none"}, "'none' is not a sweep; allowed: he, torch"),
        ({"published": {"experiment": "V6.0", "point": "{height}"}}, "'height' is not a setting"),
        ({"published": {"experiment": "V6.0", "point": "{"}}, "'{' is not allowed"),
        ({"published": {"experiment": "V6.0", "point": "{depth.x}"}}, "'{depth.x}' is not allowed"),
        ({"published": {"experiment": "V6.0", "point": "{0}"}}, "'{0}' is not allowed"),
        ({"published": {"experiment": "V6.0", "point": "{depth:y}"}}, "'{depth:y}' is not allowed"),
    ],
)
def test_a_sweep_that_does_not_fit_its_system_is_refused(wrong, message):
    with pytest.raises(StudyError, match=re.escape(message)):
        read_sweeps(study(**wrong))


def checked(**checks):
    config = copy.deepcopy(CONFIG)
    names = {"pooling": "net", "spectrum": "other_net", "observables": "net"}
    config["mechanism"]["checks"] = {**names, **checks}
    return read_checks(read_study(config, SCHEMA))


def test_a_claim_about_a_single_system_names_a_system_and_its_points():
    point = "depth=2,initialisation=he_normal"
    names = {"pooling": "net", "spectrum": "other_net", "observables": "net"}
    assert checked(observed_as={point: "V10"}) == names
    assert read_checks(study()) == {}
    with pytest.raises(StudyError, match=r"mechanism.checks.spectrum: 'nit' is not a system"):
        checked(spectrum="nit")
    with pytest.raises(StudyError, match=r"observed_as: 'depth=2' is not a point of system 'net'"):
        checked(observed_as={"depth=2": "V10"})


def test_a_figure_of_something_else_than_sweeps_is_refused():
    config = copy.deepcopy(CONFIG)
    config["mechanism"]["figures"]["law"]["both"] = [["he"]]
    config["mechanism"]["sweeps"]["torch"] = None
    with pytest.raises(StudyError, match=r"figures.law.both.0: \[\"he\"\] is not allowed"):
        read_study(config, SCHEMA)


@pytest.mark.parametrize(
    ("sweep", "count"),
    [({"fit_from": 2}, 2), ({"system": "wide", "axis": "width", "where": {}}, 0)],
)
def test_a_depth_law_needs_three_depths(sweep, count):
    config = copy.deepcopy(CONFIG)
    config["systems"]["wide"] = {**NET, "ratio_rule": "percentile", "sweep": {"width": [4, 8, 16]}}
    config["mechanism"]["figures"] = {"depth_law": {"both": ["he", "torch"]}}
    config["mechanism"]["sweeps"]["torch"].update({"fit_from": 1})
    assert read_sweeps(read_study(config, SCHEMA))
    config["mechanism"]["sweeps"]["torch"].update(sweep)
    with pytest.raises(StudyError, match=f"sweep 'torch' has {count} depths to fit; at least 3"):
        read_sweeps(read_study(config, SCHEMA))


def test_a_sweep_set_to_null_is_left_out_and_figures_lose_it():
    config = copy.deepcopy(CONFIG)
    config["mechanism"]["sweeps"]["he"] = None
    dropped = read_study(config, SCHEMA)
    assert list(read_sweeps(dropped)) == ["torch"]
    assert read_figures(dropped) == {"law": {"both": ["torch"]}}


def test_a_study_without_a_mechanism_has_no_sweep_and_no_figure():
    config = {name: entry for name, entry in CONFIG.items() if name != "mechanism"}
    assert read_sweeps(read_study(config, SCHEMA)) == {}
    assert read_figures(read_study(config, SCHEMA)) == {}


def test_every_curve_of_the_default_study_fits_its_system_and_is_small_enough_to_draw():
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    default = read_study(config, SCHEMA)
    sweeps = read_sweeps(default)
    assert all(len(sweep.points) >= 3 for sweep in sweeps.values())
    assert {"depth_law", "variance", "layers", "theory"} < set(read_figures(default))
