"""Another workflow uses this one as a Snakemake module."""

import subprocess

import pytest
from checkout import MINI_STUDY, Checkout

SNAKEFILE = """
configfile: "study.yaml"


module fimtiers:
    snakefile:
        {snakefile!r}
    config:
        config
    pathvars:
        results="fisher_results",
        logs="fisher_logs",


use rule * from fimtiers as fimtiers_*


rule largest_ratio:
    input:
        "fisher_results/tiers/chain.nc",
    output:
        "largest.txt",
    shell:
        "cp {{input}} {{output}}"


rule everything:
    default_target: True
    input:
        "largest.txt",
        rules.fimtiers_all.input,
"""


@pytest.fixture
def outer(untouched, tmp_path):
    """A workflow in a folder of its own that imports all our rules."""
    (tmp_path / "study.yaml").write_text(MINI_STUDY.read_text())
    snakefile = str(untouched.root / "workflow/Snakefile")
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(snakefile=snakefile))
    return Checkout(tmp_path)


def test_all_rules_are_there_under_the_prefix(untouched, outer):
    ours = {f"fimtiers_{job}" for job in untouched.planned()}
    assert set(outer.planned()) == ours - {"fimtiers_all"} | {"largest_ratio", "everything"}


def test_the_results_are_those_of_our_own_workflow(finished, outer):
    outer.run("largest.txt", "fisher_results/statistics/exponents.csv")
    for name in (
        "states/chain.nc",
        "fisher/chain.nc",
        "tiers/chain.nc",
        "statistics/exponents.csv",
    ):
        here = outer.root / "fisher_results" / name
        assert here.read_bytes() == (finished.root / "results" / name).read_bytes()
    assert (outer.root / "fisher_logs/build_states/chain.log").is_file()
    assert not outer.planned("largest.txt")


def test_a_snakefile_without_the_package_beside_it_is_refused(untouched, outer, tmp_path):
    remote = untouched.copy(tmp_path / "remote").root
    author = ["-c", "user.name=Author", "-c", "user.email=author@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "All"]):
        subprocess.run(["git", *author, *command], cwd=remote, check=True)
    outer.edit(
        "Snakefile",
        repr(str(untouched.root / "workflow/Snakefile")),
        f'gitfile({str(remote)!r}, path="workflow/Snakefile", ref="HEAD")',
    )
    message = outer.failing_snakemake("--dry-run")
    assert "is not in a clone of the repository, but the jobs need the package beside it" in message
