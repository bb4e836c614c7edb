"""What an edit re-runs: exactly the jobs whose result can change, by name."""

import os
import shutil
import subprocess
from collections import Counter

import pytest
from checkout import Checkout

CHAIN = ["build_states system=chain", "extract_fisher system=chain"]
CHAIN_MEASURED = ["extract_fisher system=chain", "measure_convergence system=chain"]
PANELS = ("published", "corrected")


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
        "return beta * (1 - m**2)",
        "return 2 * beta * (1 - m**2)",
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
        ("def local_response(", "# A comment.\ndef local_response("),
        ('    """Return h + J m."""\n', '    """Return the local field, h + J m."""\n'),
        ("    local = field.copy()\n", "\n    local = (\n        field.copy()\n    )\n"),
        ("Inverse temperature.\n", "Inverse temperature, of either sign.\n"),
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
    assert clone.planned() == following(
        "build_states system=matrix", "extract_fisher system=matrix"
    )


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
        *of_panels("sweep_thresholds"), "repeat_published_resampling"
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


def test_git_stash_and_back_reruns_nothing(clone, following):
    def git(*arguments):
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=clone.root, check=True, capture_output=True
        )

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "Begin")
    clone.edit("src/fimtiers/substrates/ising_chain.py", "FIELD_SCALE * s", "2 * FIELD_SCALE * s")
    git("stash")
    assert not clone.planned()
    git("stash", "pop")
    assert clone.planned() == following("build_states system=chain")
    git("checkout", "--", ".")
    assert not clone.planned()


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
