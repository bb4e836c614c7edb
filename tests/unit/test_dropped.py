"""What is set to null is left out, wherever it stands, and nothing names it any more."""

import copy
from pathlib import Path

import pytest
import yaml

from fimtiers.study import StudyError, read_study, substrate_settings
from fimtiers.sweeps import read_checks, read_figures, read_sweeps

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))


def laid_on_top(change, below=DEFAULT):
    """The default study with another file on top of it, merged as Snakemake does."""
    merged = copy.deepcopy(below)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = laid_on_top(value, merged[key]) if both else value
    return merged


def study(change):
    return read_study(laid_on_top(change), SCHEMA)


@pytest.mark.parametrize("part", ["mechanism", "pathvars", "torch_environment"])
def test_a_whole_part_can_be_dropped(part):
    assert part not in study({part: None}).config


def test_without_the_mechanism_there_are_no_sweeps_no_checks_and_no_figures():
    dropped = study({"mechanism": None})
    assert (read_sweeps(dropped), read_checks(dropped), read_figures(dropped)) == ({}, {}, {})


def test_without_the_sweeps_there_are_no_figures_of_them():
    dropped = study({"mechanism": {"sweeps": None}})
    assert (read_sweeps(dropped), read_figures(dropped)) == ({}, {})
    assert read_checks(dropped)


@pytest.mark.parametrize("check", ["pooling", "spectrum", "observables"])
def test_one_check_can_be_dropped(check):
    every = read_checks(study({}))
    left = read_checks(study({"mechanism": {"checks": {check: None}}}))
    assert left == {name: system for name, system in every.items() if name != check}


def test_a_system_that_is_dropped_leaves_the_test_of_uniqueness_and_the_panels():
    name = "ising_chain"
    assert name in DEFAULT["statistics"]["uniqueness"]
    dropped = study({"systems": {name: None}})
    assert name not in dropped.config["statistics"]["uniqueness"]
    assert name not in dropped.panel["published"]
    assert name not in dropped.systems
    assert all(system.corrects != name for system in dropped.systems.values())


def test_a_system_that_is_dropped_takes_its_sweeps_and_checks_along():
    system = DEFAULT["mechanism"]["sweeps"]["mlp"]["system"]
    dropped = study({"systems": {system: None, DEFAULT["statistics"]["partition_grid"]: None}})
    assert system not in {sweep.system for sweep in read_sweeps(dropped).values()}
    assert system not in read_checks(dropped).values()
    assert "partition_grid" not in dropped.config["statistics"]
    shown = {
        name
        for panels in read_figures(dropped).values()
        for names in panels.values()
        for name in names
    }
    assert shown
    assert shown <= set(read_sweeps(dropped))


def test_an_entry_or_setting_of_a_system_that_is_dropped_has_its_default():
    first = laid_on_top({"systems": {"ising_chain": {"settings": {"probes": 7}}}})
    change = {"label": None, "probe_counts": None, "settings": {"probes": None}}
    second = laid_on_top({"systems": {"ising_chain": change}}, first)
    system = read_study(second, SCHEMA).systems["ising_chain"]
    assert (system.label, system.probe_counts) == ("ising chain", ())
    default = substrate_settings("ising_chain")["probes"]["default"]
    assert system.settings["probes"] == default != 7


def test_a_setting_of_which_null_is_a_value_keeps_it():
    gpt = study({"systems": {"depth_gpt": {"settings": {"head_std": None}}}}).systems["depth_gpt"]
    assert gpt.settings["head_std"] is None


@pytest.mark.parametrize("part", ["systems", "panel", "statistics"])
def test_what_every_study_needs_cannot_be_dropped(part):
    with pytest.raises(StudyError, match=rf"config\.{part}: null is not allowed"):
        study({part: None})


def test_a_name_that_was_never_there_is_still_refused():
    with pytest.raises(StudyError, match="'ising_chian' is not a system of this study"):
        study({"statistics": {"uniqueness": ["ising_chian", "random_matrix"]}})
