"""What an edit re-runs: exactly the jobs whose result can change, by name."""

import os
import shutil
import subprocess
from collections import Counter

import numpy as np
import pytest
import yaml
from announced_jobs import files_without_a_target
from checkout import Checkout

from fimtiers.commit import commit_of

CHAIN = ["build_states system=chain", "extract_fisher system=chain"]
CHAIN_MEASURED = ["extract_fisher system=chain", "measure_convergence system=chain"]
PANELS = ("published", "corrected")


VERSIONS = "results/tables/versions.csv"
LOADED = """
import numpy as np

from fimtiers.records import FisherDiagonal, State, Tensor

SETTINGS = {"weights": {"type": "string", "format": "path", "description": "Parameters."}}


def build_state(settings, seeds):
    theta = np.load(settings["weights"])[None]
    return State(theta=theta, tensors=(Tensor("weight", 0, "weight", (theta.size,)),))


def fisher_diagonal(settings, state):
    return FisherDiagonal(state.theta**2, state.tensors, 1, "none", "response")
"""
"""A substrate that reads its parameters from a file."""


def of_panels(rule):
    return [f"{rule} panel={panel}" for panel in PANELS]


def add_code(checkout, module):
    """Add a statement to a module of the package."""
    path = f"src/fimtiers/{module}"
    checkout.write(path, checkout.read(path) + "\n\nADDED = 1\n")


def test_a_second_run_has_nothing_to_do(clone):
    assert not clone.planned()


def test_the_followers_of_a_state_are_its_diagonal_its_tiers_and_the_statistics(following):
    chain = following("build_states system=chain")
    assert set(CHAIN) < set(chain)
    assert not [job for job in chain if "system=" in job and "system=chain" not in job]
    assert "bootstrap_exponents" not in chain


def test_a_formula_of_the_fisher_diagonal_reruns_it_and_what_shows_it(clone, following):
    clone.edit(
        "src/fimtiers/substrates/ising_chain.py",
        "chi = betas[:, None] * (1 - m**2)",
        "chi = 2 * betas[:, None] * (1 - m**2)",
    )
    assert clone.planned() == following(*CHAIN_MEASURED)


def test_a_formula_of_the_state_reruns_all_of_the_system(clone, following):
    clone.edit(
        "src/fimtiers/substrates/ising_chain.py",
        "field[:] = FIELD_SCALE * ",
        "field[:] = 2 * FIELD_SCALE * ",
    )
    assert clone.planned() == following("build_states system=chain")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def mean_field_magnetisation(", "# A comment.\ndef mean_field_magnetisation("),
        ('    """Return h + J m."""\n', '    """Return the local field, h + J m."""\n'),
        ("    local = field.copy()\n", "\n    local = (\n        field.copy()\n    )\n"),
        ("Inverse temperatures, shape (probe,).\n", "Inverse temperatures, of either sign.\n"),
    ],
    ids=["comment", "docstring", "layout", "documented argument"],
)
def test_a_comment_a_docstring_or_layout_reruns_nothing(clone, old, new):
    clone.edit("src/fimtiers/substrates/ising_chain.py", old, new)
    assert not clone.planned()


def test_the_description_of_a_setting_reruns_nothing(clone):
    path = "src/fimtiers/substrates/random_matrix.py"
    clone.edit(path, "Rows N of the matrix;", "Number of rows N;")
    assert not clone.planned()


def test_a_default_reruns_the_systems_that_leave_the_setting_out(clone, following):
    path = "src/fimtiers/substrates/random_matrix.py"
    clone.edit(path, '"default": 77,', '"default": 78,')
    assert not clone.planned()
    clone.edit(path, '"default": [1, 2, 4, 8, 16],', '"default": [1, 2, 4, 8],')
    assert clone.planned() == following("extract_fisher system=matrix")


def test_a_module_of_trained_networks_reruns_just_these(clone, following):
    add_code(clone, "networks/training.py")
    assert clone.planned() == following(
        "build_swept_state system=net point=width=4", "build_swept_state system=net point=width=8"
    )


def test_the_engine_reruns_the_diagonals_that_it_takes_and_no_state(clone, following):
    add_code(clone, "fisher/engine.py")
    assert clone.planned() == following("extract_fisher system=memory")


def test_a_system_that_is_measured_in_one_job_reruns_just_that_job(clone, following):
    clone.edit(
        "src/fimtiers/substrates/cellular_automaton.py",
        "stream.random(cells) < 0.5",
        "stream.random(cells) <= 0.5",
    )
    assert clone.planned() == following("measure_initialised system=automaton")


def test_the_frame_of_the_jobs_reruns_nothing(clone):
    add_code(clone, "job.py")
    add_code(clone, "progress.py")
    assert not clone.planned()


def test_the_style_of_one_figure_redraws_just_that_figure(clone, following):
    add_code(clone, "plotting/invariants.py")
    assert clone.planned() == following(*of_panels("plot_invariants"))


def test_a_label_redraws_what_prints_it_and_computes_nothing(clone):
    clone.edit("config/config.yaml", "  chain:\n", "  chain:\n    label: Ising chain\n")
    rules = {job.split()[0] for job in clone.planned()}
    assert "tabulate_panel" in rules
    assert "plot_dichotomy" in rules
    assert {rule.split("_")[0] for rule in rules} <= {"tabulate", "plot"}


def test_a_statistic_reruns_the_tables_that_report_it(clone, following):
    add_code(clone, "statistics/thresholds.py")
    assert clone.planned() == following(
        *of_panels("sweep_thresholds"),
        *of_panels("classify_held_out"),
        "repeat_published_resampling",
    )


def test_the_tiers_rerun_no_state_and_no_diagonal(clone, following):
    add_code(clone, "tiers/concentration.py")
    systems = ["chain", "automaton", "matrix", "circuit", "net", "memory"]
    assert clone.planned() == following(
        *(f"aggregate_tiers system={name}" for name in systems),
        *(f"measure_convergence system={name}" for name in ("chain", "net")),
        *of_panels("plot_log_fisher"),
    )


def test_a_setting_reruns_its_system(clone, following):
    clone.edit("config/config.yaml", "{sites: 8, probes: 4}", "{sites: 9, probes: 4}")
    assert clone.planned() == following(*CHAIN)


def test_two_settings_that_swap_their_values_rerun_their_system(clone, following):
    clone.edit("config/config.yaml", "{sites: 8, probes: 4}", "{sites: 4, probes: 8}")
    assert clone.planned() == following(*CHAIN)


def test_the_probe_counts_rerun_just_the_convergence(clone, following):
    clone.edit("config/config.yaml", "probe_counts: [2, 4]", "probe_counts: [1, 2, 4]")
    assert clone.planned() == following("measure_convergence system=chain")


def test_a_setting_of_the_statistics_reruns_what_reads_it(clone, following):
    clone.edit("config/config.yaml", "margin_factors: [0.5, 1]", "margin_factors: [0.5, 1, 2]")
    assert clone.planned() == following(*of_panels("measure_margin"))


def test_memory_time_and_the_order_of_systems_rerun_nothing(clone):
    clone.edit("config/config.yaml", "    split: true\n", "    split: true\n    memory: 900\n")
    automaton = "  automaton:\n    substrate: cellular_automaton\n    group: rest\n"
    rest = "    seeds: [0, 1]\n    ratio_rule: smallest_tenth_floor\n    settings: {probes: 4}\n"
    rest += "    sweep: {cells: [8, 10]}\n"
    clone.edit("config/config.yaml", automaton + rest, "")
    clone.edit("config/config.yaml", "\npanel:\n", f"{automaton}    runtime: 20\n{rest}\npanel:\n")
    assert not clone.planned()


def test_a_new_system_runs_just_itself_and_the_list_of_systems(clone):
    new = "  ring:\n    substrate: ising_chain\n    group: reference\n    seeds: [5]\n"
    clone.edit("config/config.yaml", "\npanel:\n", f"{new}\npanel:\n")
    assert set(clone.planned()) == {
        "build_states system=ring",
        "extract_fisher system=ring",
        "aggregate_tiers system=ring",
        "tabulate_provenance",
    }


def test_a_new_width_trains_just_that_width(clone, following):
    clone.edit("config/config.yaml", "{width: [4, 8]}", "{width: [4, 8, 16]}")
    assert clone.planned() == following("gather_states system=net") + Counter(
        ["build_swept_state system=net point=width=16"]
    )


def test_a_width_that_is_dropped_trains_nothing(clone, following):
    clone.edit("config/config.yaml", "{width: [4, 8]}", "{width: [8]}")
    assert clone.planned() == following("gather_states system=net")


def test_touched_files_rerun_nothing(clone):
    paths = [
        "workflow/Snakefile",
        "workflow/rules/common.smk",
        "workflow/rules/states.smk",
        "workflow/scripts/build_states.py",
        "src/fimtiers/records.py",
        "src/fimtiers/substrates/ising_chain.py",
        "config/config.yaml",
        "resources/published/scaling_points.csv",
        "results/states/chain.nc",
    ]
    for path in paths:
        os.utime(clone.root / path)
    assert not clone.planned()


def test_the_commit_is_tabulated_anew_when_it_changes_or_the_code_differs_from_it(clone, following):
    def git(*arguments):
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=clone.root, check=True, capture_output=True
        )

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "Begin")
    assert clone.run() == Counter(["tabulate_provenance"])
    assert f"commit of the checkout,{commit_of(clone.root)}," in clone.read(VERSIONS)
    clone.edit("src/fimtiers/substrates/ising_chain.py", "FIELD_SCALE * s", "2 * FIELD_SCALE * s")
    git("stash")
    clone.edit("workflow/profiles/slurm/profile.yaml", '# slurm_partition: "cpu"', "mem: 1")
    clone.edit("src/fimtiers/statistics/thresholds.py", "import pandas", "# Why.\nimport pandas")
    assert not clone.planned()
    git("checkout", "--", ".")
    git("stash", "pop")
    assert clone.planned() == following("build_states system=chain")
    git("checkout", "--", ".")
    add_code(clone, "plotting/invariants.py")
    drawn = [*of_panels("plot_invariants"), "tabulate_provenance"]
    assert clone.planned() == Counter(drawn)


def test_every_file_that_a_job_makes_is_named_by_a_target(announced):
    assert files_without_a_target(announced) == set()


def test_a_deleted_file_of_any_kind_is_made_again(clone, following):
    for path in (
        "states/net/width=4.nc",
        "statistics/published/roc.csv",
        "statistics/published/observations.csv",
        "tables/panel.html",
        "figures/margin.pdf",
        "figures/invariants_published.rst",
    ):
        (clone.root / "results" / path).unlink()
    assert clone.planned() == following(
        "build_swept_state system=net point=width=4",
        "collect_observations panel=published",
        "tabulate_panel",
        "plot_margin",
        "plot_invariants panel=published",
    )


def test_files_that_are_only_touched_keep_the_record_of_what_was_really_run(clone, following):
    clone.edit("config/config.yaml", "{sites: 8, probes: 4}", "{sites: 9, probes: 4}")
    clone.snakemake("--touch", "--cores", "1")
    assert clone.planned() == following(*CHAIN)


def test_another_order_of_entries_and_another_way_to_write_a_number_rerun_nothing(clone):
    config = yaml.safe_load(clone.read("config/config.yaml"))
    for name, number in (
        ("threshold", 100),
        ("thresholds", [10, 100]),
        ("margin_factors", [0.5, 1]),
    ):
        assert config["statistics"][name] == number
        numbers = [float(n) for n in number] if isinstance(number, list) else float(number)
        config["statistics"][name] = numbers
    text = yaml.safe_dump(backwards(config), sort_keys=False)
    assert "threshold: 100.0" in text
    clone.write("config/config.yaml", text)
    assert not clone.planned()


def backwards(value):
    """Write the entries of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(item) for key, item in reversed(value.items())}
    return value


def test_a_checkpoint_that_is_replaced_reruns_what_reads_it(fresh):
    weights = fresh.root / "weights.npy"
    fresh.write("src/fimtiers/substrates/loaded.py", LOADED)
    entry = "  loaded:\n    substrate: loaded\n    group: reference\n    seeds: [0]\n"
    entry += "    settings: {weights: weights.npy}\n"
    fresh.edit("config/config.yaml", "\npanel:\n", f"{entry}\npanel:\n")
    target = "results/states/loaded.nc"
    assert "settings.weights: there is no 'weights.npy'" in fresh.failing_snakemake(target, "-n")
    np.save(weights, np.ones(3))
    assert fresh.run(target) == Counter(["build_states system=loaded"])
    old = weights.stat()
    np.save(weights, np.zeros(3))
    os.utime(weights, ns=(old.st_atime_ns, old.st_mtime_ns))  # as mv of an older file leaves it
    assert fresh.planned(target) == Counter(["build_states system=loaded"])
    np.save(weights, np.ones(3))
    assert not fresh.planned(target)


def test_a_fresh_clone_with_restored_results_and_records_reruns_nothing(fresh, finished):
    for path in fresh.root.rglob("*"):
        if not path.is_symlink():
            os.utime(path)  # git gives every file the time of the clone
    for folder in ("results", ".snakemake/metadata"):
        shutil.copytree(finished.root / folder, fresh.root / folder, dirs_exist_ok=True)
    assert not fresh.planned()


def test_restored_results_without_records_are_kept_and_said_to_be_of_unknown_origin(clone):
    shutil.rmtree(clone.root / ".snakemake")
    assert "missing provenance/metadata" in clone.snakemake("--dry-run")
    assert not clone.planned()


def test_a_moved_checkout_reruns_nothing(clone):
    moved = Checkout(clone.root.rename(clone.root.with_name("elsewhere")))
    assert not moved.planned()


def test_another_version_of_a_package_reruns_the_jobs_that_import_it(clone, following, tmp_path):
    metadata = tmp_path / "site" / "scikit_learn-999.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: scikit-learn\nVersion: 999\n")
    clone.environment["PYTHONPATH"] = str(tmp_path / "site")
    assert clone.planned() == following(*of_panels("classify_held_out"))


def test_a_job_that_loads_an_undeclared_module_fails_and_names_it(clone):
    clone.edit(
        "workflow/scripts/build_states.py",
        "    limit_threads()\n",
        '    limit_threads()\n    __import__("importlib").import_module("fimtiers.lattice.u1")\n',
    )
    output = clone.failing_snakemake("--cores", "1", "results/states/chain.nc")
    assert "loaded fimtiers.lattice, fimtiers.lattice.u1" in output
