"""A study that cannot run is refused by the real command, before anything is written."""

import pytest
from checkout import MINI_STUDY, ROOT

SOUND = MINI_STUDY.read_text()


def replaced(old, new):
    assert SOUND.count(old) == 1
    return SOUND.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            replaced("gates: 12", "gatse: 12"),
            "systems.circuit.settings: unknown entry 'gatse' (did you mean 'gates'?); "
            "allowed: gates, inputs, probes, protocol",
        ),
        (
            replaced("gates: 12", "gates: .nan"),
            "config.systems.circuit.settings.gates: nan is not allowed; ",
        ),
        (
            replaced("gates: 12", "gates: 12.0"),
            "systems.circuit.settings.gates: 12.0 is not allowed; expected integer",
        ),
        (
            replaced("{size: 20}", "[20]"),
            "config.systems.matrix.settings: [20] is not allowed; expected object",
        ),
        (
            replaced("{size: 20}", "{2020-01-01: 20}"),
            "config.systems.matrix.settings: datetime.date(2020, 1, 1) is not allowed; ",
        ),
        (
            replaced("substrate: random_matrix", "substrate: ../substrates/random_matrix"),
            "systems.matrix: substrate '../substrates/random_matrix' does not exist",
        ),
        (
            replaced("\npanel:", "\n  chain: {seeds: [3]}\n\npanel:"),
            "'systems.chain' is given twice",
        ),
        (
            SOUND[: SOUND.index("statistics:")],
            "study.yaml: 'statistics' is missing, so this is no whole study; to lay it on top of "
            "the default one: --configfile ",
        ),
        (
            SOUND[SOUND.index("panel:") :],
            "study.yaml: 'systems' is missing, so this is no whole study; to lay it on top of ",
        ),
        (
            replaced("gates: 12", "gates: 012"),
            "study.yaml, line 26: 012 is read as 10, in base 8; write 12, or 10 if that is meant",
        ),
        (
            f"pathvars: {{results: 'res{{x}}'}}\n{SOUND}",
            "pathvars.results: 'res{x}' is not allowed; braces and angle brackets ",
        ),
        (
            replaced("  matrix:\n", "  matrix:\n    label: $\\fraq$\n"),
            "systems.matrix.label: '$\\\\fraq$' is not allowed; between dollar signs it must be a ",
        ),
        ("systems:\n", "study.yaml: 'systems', 'panel' and 'statistics' are missing, so this "),
        ("systems: [\n", "Config file is not valid JSON or YAML"),
        ("- systems\n", "Config file must be given as JSON or YAML with keys at top level"),
        ("", "Config file must be given as JSON or YAML with keys at top level"),
        ("? {a: 1}\n: 2\n", "Config file is not valid JSON or YAML"),
    ],
)
def test_a_study_that_cannot_run_is_refused_in_words_before_anything_is_written(
    untouched, tmp_path, text, message
):
    study = tmp_path / "study.yaml"
    study.write_text(text)
    output = untouched.failing_snakemake(
        "--cores", "1", "--configfile", study, "--directory", tmp_path / "run"
    )
    assert message in output.splitlines()[-1]
    assert "Traceback" not in output
    assert 'File "' not in output
    assert not [path for path in (tmp_path / "run").rglob("*") if ".snakemake" not in path.parts]


def test_a_default_study_that_is_empty_is_named(fresh):
    fresh.write("config/config.yaml", "# nothing yet\n")
    last = fresh.failing_snakemake("--dry-run").splitlines()[-1]
    assert last == "config/config.yaml: this file is empty; expected named entries"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["config/smoke.yaml"],
            "config/smoke.yaml: 'panel' is missing, so this is no whole study; to lay it on top of "
            "the default one: --configfile config/config.yaml config/smoke.yaml",
        ),
        (
            ["config/smoke.yaml", "config/whole.yaml"],
            "which config/whole.yaml defines after it; later files lie on top: "
            "--configfile config/whole.yaml config/smoke.yaml",
        ),
        (
            ["config/config.yaml", "overlay.yaml"],
            "config.systems.ciruit: 'substrate', 'group' and 'seeds' are missing "
            "(did you mean 'circuit'?)",
        ),
    ],
)
def test_a_file_of_changes_is_told_where_it_belongs(overlaid, files, message):
    output = overlaid.failing_snakemake("--dry-run", "--configfile", *files)
    assert message in output.splitlines()[-1]
    assert "Traceback" not in output


@pytest.fixture(scope="module")
def overlaid(untouched, tmp_path_factory):
    """Give a checkout with the default study beside the mini study, and a misspelt overlay."""
    checkout = untouched.copy(tmp_path_factory.mktemp("overlaid") / "repository")
    checkout.write("config/whole.yaml", (ROOT / "config/config.yaml").read_text())
    checkout.write("overlay.yaml", "systems:\n  ciruit: {settings: {gates: 10}}\n")
    return checkout


def test_a_default_study_that_is_no_yaml_is_named_with_line_and_column(fresh):
    fresh.edit("config/config.yaml", "{gates: 12, ", "{gates: 12, [")
    line = 1 + fresh.read("config/config.yaml").split("gates: 12, [")[0].count("\n")
    output = fresh.failing_snakemake("--dry-run")
    last = output.splitlines()[-1]
    assert last.startswith(f"config/config.yaml, line {line}, column ")
    assert "this is no YAML: " in last
    assert "Traceback" not in output
    assert 'File "' not in output


def test_every_fault_is_named_at_once(untouched, tmp_path):
    study = tmp_path / "study.yaml"
    study.write_text(SOUND.replace("group: deep", "group: depe").replace("seed: 0\n", "seed: -1\n"))
    output = untouched.failing_snakemake("--dry-run", "--configfile", study)
    assert [line.split(":")[0] for line in output.splitlines()[-3:]] == [
        "config.statistics.seed",
        "config.systems.circuit.group",
        "config.systems.net.group",
    ]
