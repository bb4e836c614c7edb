"""Another workflow uses this one as a Snakemake module."""

import re
import subprocess

import pytest
from checkout import ROOT, Checkout, commands

PAGE = (ROOT / "docs/how-to/use-as-a-module.md").read_text()
(SNAKEFILE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def outer(untouched, tmp_path):
    """A workflow in a folder of its own that imports all our rules, as the how-to says."""
    (tmp_path / "fimtiers").symlink_to(untouched.root)
    checkout = Checkout(tmp_path)
    for command in commands(PAGE)[:2]:
        checkout.type(command)
    checkout.write("Snakefile", SNAKEFILE)
    return checkout


def test_all_rules_are_there_under_the_prefix(untouched, outer):
    ours = {f"fimtiers_{job}" for job in untouched.planned()}
    assert set(outer.planned()) == ours - {"fimtiers_all"} | {"collect_tables", "everything"}


def test_the_results_are_those_of_our_own_workflow(finished, outer):
    for command in commands(PAGE)[2:]:
        outer.type(command)
    outer.run("fisher_results/tiers/chain.nc")
    for name in (
        "states/chain.nc",
        "fisher/chain.nc",
        "tiers/chain.nc",
        "statistics/exponents.csv",
    ):
        here = outer.root / "fisher_results" / name
        assert here.read_bytes() == (finished.root / "results" / name).read_bytes()
    assert (outer.root / "fisher_logs/build_states/chain.log").is_file()
    assert outer.read("exponents.csv") == finished.read("results/statistics/exponents.csv")
    assert not outer.planned("exponents.csv")


def test_a_snakefile_without_the_package_beside_it_is_refused(untouched, outer, tmp_path):
    remote = untouched.copy(tmp_path / "remote").root
    author = ["-c", "user.name=Author", "-c", "user.email=author@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "All"]):
        subprocess.run(["git", *author, *command], cwd=remote, check=True)
    outer.edit(
        "Snakefile",
        '"fimtiers/workflow/Snakefile"',
        f'gitfile({str(remote)!r}, path="workflow/Snakefile", ref="HEAD")',
    )
    message = outer.failing_snakemake("--dry-run")
    assert "is not in a clone of the repository, but the jobs need the package beside it" in message
