"""The how-tos, typed as they are printed."""

import doctest
import re
from collections import Counter
from pathlib import Path

import pytest
from announced_jobs import jobs_of
from checkout import MINI_STUDY, ROOT, SNAKEMAKE, commands

PLANNER = f'#!/bin/sh\nexec "{SNAKEMAKE}" "$@" --dry-run\n'
CONDA = """#!/bin/sh
case "$*" in
    "info --json") echo '{"conda_prefix": "/nowhere", "platform": "linux-64"}' ;;
    "--version") echo "conda 25.1.0" ;;
    *) echo '{"get": {"channel_priority": "strict"}}' ;;
esac
"""
"""As much of conda as Snakemake asks for before it would make an environment."""


def page(name):
    return (ROOT / "docs/how-to" / name).read_text()


def block(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[0]


@pytest.fixture(scope="module")
def planner(untouched, tmp_path_factory):
    """Give a checkout in which a typed Snakemake only plans."""
    checkout = untouched.copy(tmp_path_factory.mktemp("planner") / "repository")
    (checkout.root / ".venv/bin").unlink()
    for name, text in ((".venv/bin/snakemake", PLANNER), ("programs/conda", CONDA)):
        path = checkout.root / name
        path.parent.mkdir()
        path.write_text(text)
        path.chmod(0o755)
    return checkout


@pytest.mark.slow
def test_a_substrate_is_added_and_measured(fresh, monkeypatch):
    text = page("add-a-substrate.md")
    fresh.write("src/fimtiers/substrates/linear_output.py", block(text, "python"))
    fresh.write("linear-output.yaml", block(text, "yaml"))
    plan, measure = commands(text)
    stages = ("build_states", "extract_fisher", "aggregate_tiers")
    wanted = {f"{stage} system=linear_output": 1 for stage in stages}
    assert jobs_of(fresh.type(plan)) & Counter(wanted) == wanted
    assert jobs_of(fresh.type(measure)) == wanted
    monkeypatch.chdir(fresh.root)
    session = doctest.DocTestParser().get_doctest(block(text, "pycon"), {}, "page", None, None)
    printed: list[str] = []
    assert doctest.DocTestRunner().run(session, out=printed.append).failed == 0, "".join(printed)
    low, high = map(float, re.findall(r"between ([\d.]+) and ([\d.]+),", text)[0])
    import xarray as xr

    ratio = xr.open_datatree("results/tiers/linear_output.nc")["tier_ratio"]
    assert low < ratio.min() < ratio.max() < high
    (reference,) = re.findall(r"^`(PYTHONPATH=src .*)` adds", text, re.MULTILINE)
    fresh.type(reference)
    assert "### `linear_output`" in fresh.read("config/README.md")


@pytest.mark.slow
def test_the_status_of_an_edited_formula_is_what_is_printed(fresh):
    printed = block(page("why-it-runs.md"), "console")
    command, _, answer = printed.removeprefix("$ ").partition("\n")
    fresh.edit(
        "config/config.yaml",
        "\npanel:",
        "  harmonic_chain: {substrate: harmonic_chain, group: rest, seeds: [0]}\n\npanel:",
    )
    fresh.run("results/tiers/harmonic_chain.nc")
    fresh.edit(
        "src/fimtiers/substrates/harmonic_chain.py",
        "fim = np.empty(state.theta.shape)",
        "fim = 1 * np.empty(state.theta.shape)",
    )
    assert fresh.type(command) == answer


@pytest.mark.parametrize("name", ["conda.md", "slurm.md"])
def test_a_study_is_planned_with_conda_and_for_a_cluster(planner, name):
    planner.environment["PATH"] = f"{planner.root / 'programs'}:{SNAKEMAKE.parent}:/usr/bin:/bin"
    planner.write("my-study.yaml", MINI_STUDY.read_text())
    typed = [*commands(page(name)), *re.findall(r"`(\.venv/bin/snakemake [^`]+)`", page(name))]
    script = "\n".join(["set -e", *typed]).replace("/path/to/the/clone", str(planner.root))
    runs = script.count(".venv/bin/snakemake")
    assert runs
    assert jobs_of(planner.type(script))["build_states system=chain"] == runs


def test_a_shared_folder_is_named(planner, tmp_path):
    folder = tmp_path / "cache"
    script = "\n".join(commands(page("share-results.md")))
    assert "/scratch/fimtiers-cache\n" in script
    planner.type("set -e\n" + script.replace("/scratch/fimtiers-cache", str(folder)))
    assert folder.is_dir()


def test_a_study_of_ones_own_a_file_of_changes_and_more_seeds(planner):
    own, changed, more = commands((ROOT / "config/README.md").read_text())
    folders = re.findall(
        r"^```yaml\n(pathvars:.*?)^```", (ROOT / "config/README.md").read_text(), re.S | re.M
    )
    planner.write("my-study.yaml", folders[0] + MINI_STUDY.read_text())
    planner.write("my-changes.yaml", "systems: {matrix: {seeds: [7]}}\n")
    assert "output: results/mine/states/chain.nc" in planner.type(own)
    assert "output: results/states/chain.nc" in planner.type(changed)
    printed = planner.type(f"{more} --printshellcmds")
    assert '"seeds": [0, 1, 2, 3, 4, 5, 6]' in printed


@pytest.mark.slow
def test_a_figure_is_drawn_by_its_number(clone):
    for suffix in ("svg", "pdf", "rst"):
        (clone.root / f"results/figures/margin.{suffix}").unlink()
    assert "figure 11: results/figures/margin.svg" in clone.type("make figure F=11")
    assert clone.read("results/figures/margin.rst").startswith("Figure 11. ")
    assert "   1  dichotomy_published\n" in clone.type("make figure", status=2)


def test_the_smoke_study_is_removed_alone(untouched, tmp_path):
    checkout = untouched.copy(tmp_path / "smoke")
    for name in ("results/smoke/a", "results/b", "logs/smoke/a", "logs/b", "reports/smoke.html"):
        (checkout.root / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout.root / name).touch()
    checkout.type("make clean-smoke")
    left = [
        path.name for folder in ("results", "logs", "reports") for path in _in(checkout, folder)
    ]
    assert left == ["b", "b"]


def _in(checkout, folder) -> list[Path]:
    return sorted((checkout.root / folder).iterdir())


def test_the_lock_of_a_killed_run_is_removed(untouched, tmp_path):
    checkout = untouched.copy(tmp_path / "locked")
    assert "`make unlock`" in page("when-it-fails.md")
    checkout.type("make unlock")
