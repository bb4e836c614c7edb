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
from fimtiers.sweeps import read_sweeps

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
        "circuit": {
            "substrate": "boolean_circuit",
            "group": "deep",
            "seeds": [0],
            "probe_counts": [8, 32],
        },
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


SWEEPS = {"nets": {"system": "net", "axis": "width"}}


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
        (
            {"systems__circuit__probe_counts": [32]},
            r"config.systems.circuit.probe_counts: \[32\] is not allowed; at least 2 needed",
        ),
        (
            {"systems__net__probe_counts": [8, 32], "systems__net__sweep": {"probes": [8, 32]}},
            r"systems.net: probes are swept and probe_counts are given; keep one",
        ),
        (
            {
                "systems__lattice": {"substrate": "u1_lattice", "group": "rest", "seeds": [0]},
                "systems__lattice__probe_counts": [1, 4],
            },
            r"systems.lattice.probe_counts: 1 is not allowed; the smallest allowed value is 2",
        ),
        (
            {"statistics__partition_grid": "chain"},
            r"statistics.partition_grid: 'chain' sweeps over sites and has 2 points; name a ",
        ),
        (
            {"systems__nett": {"settings": {"width": 8}}},
            r"config.systems.nett: 'substrate', 'group' and 'seeds' are missing \(did you mean 'n",
        ),
        (
            {"systems__net__settings": {"learning_rate": "1e-3"}},
            r"learning_rate: \"1e-3\" is not allowed; expected number; .*: write 1.0e-3$",
        ),
        (
            {"systems__net__settings": {"steps": "2E4"}},
            r"steps: \"2E4\" is not allowed; expected integer; .*: write 20000$",
        ),
        (
            {"statistics__threshold": "1.5e2"},
            r"threshold: \"1.5e2\" is not allowed; expected number; .*: write 1.5e\+2$",
        ),
        (
            {"systems__net__seeds": ["09"]},
            r"seeds.0: \"09\" is not allowed; expected integer; .*: write 9$",
        ),
        ({"pathvars": {"results": "~/here"}}, r"pathvars.results: '~/here' .*; ~ is not replaced"),
        (
            {"pathvars": {"results": "results/"}},
            r"pathvars.results: .* without the slash at its end",
        ),
        (
            {"pathvars": {"logs": "a//b"}},
            r"pathvars.logs: 'a//b' is not allowed; write it without //",
        ),
        (
            {"pathvars": {"logs": "./a"}},
            r"pathvars.logs: './a' is not allowed; write it without ./",
        ),
        ({"pathvars": {"results": "res{x}"}}, r"pathvars.results: 'res{x}' .*; braces and angle "),
        ({"pathvars": {"results": "<logs>"}}, r"pathvars.results: '<logs>' .*; braces and angle "),
        (
            {"systems__net__label": r"$\fraq{1}{2}$"},
            r"systems.net.label: '\$\\\\fraq\{1\}\{2\}\$' is not allowed; .*Unknown symbol: \\fraq",
        ),
    ],
)
def test_a_fault_is_named_with_its_entry_its_value_and_what_is_allowed(changes, message):
    with pytest.raises(StudyError, match=message):
        read_study(small(**changes), SCHEMA)


@pytest.mark.parametrize(
    ("sweep", "mechanism", "message"),
    [
        (
            {"activation": ["relu", "gelu"]},
            {"sweeps": {"nets": {"system": "net", "axis": "activation"}}},
            r"mechanism.sweeps.nets.axis: 'activation' has the value 'relu'; a curve needs numbers",
        ),
        (
            {"width": [4, 8]},
            {"sweeps": {"nets": {"system": "net", "axis": "width", "label": "$_$"}}},
            r"mechanism.sweeps.nets.label: '\$_\$' is not allowed; between dollar signs ",
        ),
        (
            {"width": [4, 8]},
            {"sweeps": SWEEPS, "figures": {"widths": {"$^$": ["nets"]}}},
            r"mechanism.figures.widths: '\$\^\$' is not allowed; between dollar signs ",
        ),
    ],
)
def test_a_curve_that_cannot_be_drawn_is_refused(sweep, mechanism, message):
    net = {"ratio_rule": "percentile", "sweep": sweep, "settings": {}}
    config = small(systems__net={**SMALL["systems"]["net"], **net}, mechanism=mechanism)
    with pytest.raises(StudyError, match=message):
        read_sweeps(read_study(config, SCHEMA))


def test_a_missing_section_is_named_once():
    config = small()
    del config["panel"], config["statistics"]
    with pytest.raises(StudyError) as caught:
        read_study(config, SCHEMA)
    assert str(caught.value) == "config: 'panel' and 'statistics' are missing"


def test_a_panel_whose_margin_cannot_be_followed_over_probes_is_refused():
    config = small()
    del config["systems"]["circuit"]["probe_counts"]
    with pytest.raises(
        StudyError, match=r"panel.published: none of its systems has probe_counts; "
    ):
        read_study(config, SCHEMA)


@pytest.mark.parametrize("label", [r"$\sqrt{L}$, 5 \$", "5 $", "a {b} c", r"10 \$ or 20 \$"])
def test_a_label_with_a_formula_or_a_plain_dollar_sign_or_braces_is_allowed(label):
    assert read_study(small(systems__net__label=label), SCHEMA).labels()["net"] == label


@pytest.mark.parametrize(
    ("entries", "chain", "net"),
    [
        ({}, (0, 1), (0,)),
        ({"seeds": [5, 3]}, (5, 3), (5, 3)),
        ({"more_seeds": 2}, (0, 1, 2, 3), (0, 1, 2)),
        ({"seeds": [1, 4], "more_seeds": 3}, (1, 4, 0, 2, 3), (1, 4, 0, 2, 3)),
    ],
)
def test_one_entry_sets_the_seeds_of_all_systems_and_one_adds_to_them(entries, chain, net):
    systems = read_study(small(**entries), SCHEMA).systems
    assert systems["chain"].seeds == chain
    assert systems["net"].seeds == net


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
    study = read_study(small(systems__twin={**TRUE_NET, "probe_counts": [10, 20]}), SCHEMA)
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
