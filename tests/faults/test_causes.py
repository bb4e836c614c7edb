"""Why a run failed is its last line, however little Snakemake was asked to say."""

import pytest

from fimtiers.failures import SILENT, causes

pytestmark = pytest.mark.slow

STATES = "results/states/chain.nc"


def last_line(checkout, *arguments):
    output = checkout.failing_snakemake("--cores", "1", STATES, *arguments)
    return output.rstrip().splitlines()[-1].strip()


@pytest.mark.parametrize("quiet", [[], ["--quiet", "rules"], ["--quiet", "all"]])
def test_the_cause_is_the_last_line(fresh, quiet):
    fresh.edit(
        "src/fimtiers/substrates/ising_chain.py",
        "field[:] = ",
        'raise ValueError("two\\nlines"); field[:] = ',
    )
    cause = "build_states failed: ValueError: two lines (log: logs/build_states/chain.log)"
    assert last_line(fresh, *quiet) == cause


def test_a_script_that_dies_in_its_arguments_says_so_in_its_log_and_last(fresh):
    fresh.edit(
        "workflow/rules/states.smk",
        "        settings=lambda wildcards: system_of(wildcards).state_job(),\n"
        '        code=substrate_code("build_states.py", "build_state"),\n',
        '        settings=\'{\',\n        code=substrate_code("build_states.py", "build_state"),\n',
    )
    cause = "build_states failed: ValueError: argument --settings: invalid loads value: '{'"
    log = "(log: logs/build_states/chain.log)"
    assert last_line(fresh, "--quiet") == f"{cause} {log}"
    assert cause in fresh.read("logs/build_states/chain.log")


def test_a_module_that_is_no_python_is_named_with_its_line(fresh):
    fresh.edit("src/fimtiers/substrates/ising_chain.py", "field[:] = ", "field[:] = = ")
    line = "src/fimtiers/substrates/ising_chain.py, line 73: this is no Python: invalid syntax"
    assert last_line(fresh).endswith(line)


def test_a_job_that_could_not_say_why_is_said_to_be_silent(tmp_path):
    assert causes(tmp_path / "none") == f"Cause:\n    {SILENT}"


def test_each_cause_is_said_once(tmp_path):
    path = tmp_path / "causes"
    path.write_text("one\ntwo\none\n", encoding="utf-8")
    assert causes(path) == "Cause:\n    one\n    two"
