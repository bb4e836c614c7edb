import copy
from pathlib import Path

import pytest
import yaml

from fimtiers.study import (
    StudyError,
    read_study,
    substrate_names,
    substrate_settings,
)

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
SMALL = {
    "systems": {
        "chain": {
            "substrate": "ising_chain",
            "group": "rest",
            "seeds": [0, 1],
            "sweep": {"sites": [8, 16]},
        },
        "net": {"substrate": "mlp", "group": "deep", "seeds": [0], "settings": {"width": 8}},
        "noise": {
            "substrate": "random_vector",
            "group": "rest",
            "seeds": [0],
            "settings": {"law": "uniform"},
        },
        "circuit": {"substrate": "boolean_circuit", "group": "deep", "seeds": [0]},
    },
    "panel": {
        "published": ["chain", "noise", "net", "circuit"],
        "corrected": ["chain", "noise", "net", "circuit"],
    },
    "statistics": {
        "seed": 0,
        "resamples": 100,
        "confidence": 0.95,
        "threshold": 100,
        "thresholds": [10, 100],
    },
}


def small(**changes):
    """The small study with dotted entries replaced."""
    config = copy.deepcopy(SMALL)
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        target = config
        for key in parents:
            target = target[key]
        target[last] = value
    return config


def test_a_sweep_gives_one_point_for_each_value_with_every_setting_filled_in():
    points = dict(read_study(small(), SCHEMA).systems["chain"].points())
    assert list(points) == ["sites=8", "sites=16"]
    assert points["sites=8"] == {
        "sites": 8, "probes": 32, "protocol": "published", "definition": "response",
    }  # fmt: skip


def test_a_system_without_a_sweep_has_one_point():
    assert [name for name, _ in read_study(small(), SCHEMA).systems["net"].points()] == ["single"]


def test_two_swept_settings_give_all_their_combinations():
    study = read_study(small(systems__chain__sweep={"sites": [8, 16], "probes": [1, 2]}), SCHEMA)
    assert [name for name, _ in study.systems["chain"].points()] == [
        "sites=8,probes=1",
        "sites=8,probes=2",
        "sites=16,probes=1",
        "sites=16,probes=2",
    ]


def test_a_label_or_group_is_no_setting_of_a_job():
    job = read_study(small(), SCHEMA).systems["chain"].job()
    assert job == read_study(small(systems__chain__label="Chain"), SCHEMA).systems["chain"].job()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"statistic": {}}, r"config: unknown entry 'statistic' \(did you mean 'statistics'\?\)"),
        (
            {"systems__net__settings": {"widht": 8}},
            r"systems.net.settings: unknown entry 'widht' \(did you mean 'width'\?\); allowed: ",
        ),
        (
            {"systems__net__settings": {"width": 0}},
            r"systems.net.settings.width: 0 is not allowed; the smallest allowed value is 1",
        ),
        (
            {"systems__net__settings": {"activation": "step"}},
            r"systems.net.settings.activation: \"step\" is not allowed; allowed: relu, ",
        ),
        (
            {"systems__net__substrate": "perceptron"},
            r"systems.net: substrate 'perceptron' does not exist",
        ),
        (
            {"systems__net__seeds": []},
            r"config.systems.net.seeds: \[\] is not allowed; at least 1 needed",
        ),
        (
            {"systems__net__seeds": [1, 1]},
            r"config.systems.net.seeds: \[1, 1\] is not allowed; each value may appear once",
        ),
        (
            {"systems__net__group": "shallow"},
            r"config.systems.net.group: \"shallow\" is not allowed; allowed: deep, rest, reference",
        ),
        (
            {"systems__chain__settings": {"sites": 8}},
            r"systems.chain: 'sites' is given under settings and under sweep; keep one",
        ),
        (
            {"systems__chain__sweep": {"sites": [8, 1]}},
            r"systems.chain.settings at sites=1.sites: 1 is not allowed; the smallest allowed",
        ),
        (
            {"panel__published": ["chain", "nett"]},
            r"panel.published: 'nett' is not a system of this study \(did you mean 'net'\?\)",
        ),
        ({"panel__corrected": ["chain"]}, r"config.panel.corrected"),
        (
            {"systems__net__group": "reference"},
            r"panel.published: needs at least 2 systems of group deep and of .*; has 1 deep",
        ),
        (
            {"systems__net__corrects": "nett"},
            r"systems.net.corrects: 'nett' is not a system of this study",
        ),
        ({"statistics__threshold": -1}, r"config.statistics.threshold: -1 is not allowed"),
        ({"systems__Net": SMALL["systems"]["net"]}, r"config.systems: \"Net\" is not allowed"),
    ],
)
def test_a_fault_is_named_with_its_entry_its_value_and_what_is_allowed(changes, message):
    with pytest.raises(StudyError, match=message):
        read_study(small(**changes), SCHEMA)


def test_a_missing_section_is_named_once():
    config = small()
    del config["panel"], config["statistics"]
    with pytest.raises(StudyError) as caught:
        read_study(config, SCHEMA)
    assert str(caught.value).splitlines() == [
        "config: 'panel' is missing",
        "config: 'statistics' is missing",
    ]


def test_the_default_study_is_sound():
    default = ROOT / "config/config.yaml"
    assert read_study(yaml.safe_load(default.read_text()), SCHEMA).systems


@pytest.mark.parametrize("substrate", substrate_names())
def test_every_setting_of_every_substrate_is_described_and_its_default_is_allowed(substrate):
    from jsonschema import Draft202012Validator

    for name, schema in substrate_settings(substrate).items():
        assert schema["description"].endswith("."), name
        if "default" in schema:
            Draft202012Validator(schema).validate(schema["default"])


def test_the_reference_of_the_configuration_is_up_to_date():
    from fimtiers.config_reference import REFERENCE, render

    assert REFERENCE.read_text() == render(SCHEMA), "run python -m fimtiers.config_reference"


TRUE_NET = {"states_of": "net", "group": "deep", "settings": {"definition": "true"}}


def test_a_system_that_measures_the_states_of_another_takes_over_all_they_depend_on():
    study = read_study(small(systems__twin={**TRUE_NET, "probe_counts": [10]}), SCHEMA)
    twin, net = study.systems["twin"], study.systems["net"]
    assert (twin.substrate, twin.seeds, twin.sweep) == (net.substrate, net.seeds, net.sweep)
    assert {**net.settings, "definition": "true"} == twin.settings
    assert twin.state_job() == net.state_job().replace('"net"', '"twin"')


def test_states_do_not_depend_on_what_only_the_fisher_stage_reads():
    changed = small(systems__net__settings={"width": 8, "definition": "true"})
    before, after = (read_study(config, SCHEMA).systems["net"] for config in (small(), changed))
    assert before.state_job() == after.state_job()
    assert before.job() != after.job()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"states_of": "nett"}, r"systems.twin.states_of: 'nett' is not a system.*mean 'net'"),
        ({"states_of": "twin"}, "'twin' is not a system of this study with states of its own"),
        (
            {"settings": {"width": 9}},
            r"systems.twin.settings.width: the states are those of 'net', which sets it; "
            "allowed under settings: definition, probes",
        ),
        ({"seeds": [1]}, r"systems.twin.seeds: the states are those of 'net'"),
        ({"settings": {"definition": True}}, 'allowed: loss, true; write it in quotes, "true"'),
    ],
)
def test_a_fault_of_a_system_without_states_of_its_own_is_named(changes, message):
    with pytest.raises(StudyError, match=message):
        read_study(small(systems__twin={**TRUE_NET, **changes}), SCHEMA)


def test_a_control_of_no_system_is_refused():
    with pytest.raises(StudyError, match=r"systems.net.control_of: 'nat' is not a system"):
        read_study(small(systems__net__control_of="nat"), SCHEMA)


def test_further_panels_may_be_named_as_one_likes_and_are_checked_like_the_others():
    assert "mine" in read_study(small(panel__mine=SMALL["panel"]["published"]), SCHEMA).panel
    with pytest.raises(StudyError, match=r"panel.mine: needs at least 2 systems of group deep"):
        read_study(small(panel__mine=["chain", "noise"]), SCHEMA)


def test_a_later_file_can_drop_a_panel():
    config = small(panel__mine=None)
    assert list(read_study(config, SCHEMA).panel) == ["published", "corrected"]
    with pytest.raises(StudyError, match="'corrected' is missing"):
        read_study(small(panel__corrected=None), SCHEMA)
