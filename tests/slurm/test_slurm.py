"""The study on a real SLURM: `snakemake --profile slurm` from a clone, and what may go wrong."""

import re
import sys
import time
from dataclasses import replace

import pytest
from throwaway_cluster import NODES

pytestmark = [pytest.mark.slow, pytest.mark.slurm]

QUICK_POLLS = ("--slurm-init-seconds-before-status-checks", "1")
NO_RETRIES = ("--retries", "0")
STATES = ["results/states/net/width=4.nc", "results/states/net/width=8.nc"]
CACHED = "results/fisher/matrix.nc"
SUBMITTED = re.compile(r"submitted with SLURM jobid (\d+)")
SECONDS_TO_START = 60


@pytest.fixture(scope="session")
def on_slurm(cluster, untouched, tmp_path_factory):
    """Run the study with the shipped profile and nothing else; give the checkout and its jobs."""
    checkout = untouched.copy(tmp_path_factory.mktemp("slurm_run") / "repository")
    output = checkout.snakemake("--profile", "slurm")
    jobs = {int(job) for job in SUBMITTED.findall(output)}
    return checkout, {job: cluster.history()[job] for job in jobs}


def wait_for_running(cluster, process):
    """Wait until SLURM runs a job; return its number and its node."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        running = cluster.queue("RUNNING")
        if running:
            return min(running.items())
        time.sleep(0.05)
    raise AssertionError("no SLURM job was running")


def test_the_whole_study_gives_the_same_bytes_on_slurm_and_without(on_slurm, finished):
    checkout, _ = on_slurm
    results, expected = checkout.results(), finished.results()
    assert results.keys() == expected.keys()
    assert [path for path in expected if results[path] != expected[path]] == []


def test_every_job_ran_under_slurm_in_about_fifteen_submissions(on_slurm):
    checkout, jobs = on_slurm
    assert {job["JobState"] for job in jobs.values()} == {"COMPLETED"}
    assert {job["NodeList"] for job in jobs.values()} <= set(NODES)
    assert 5 < len(jobs) <= 16
    logs = sorted(checkout.root.glob("logs/**/*.log"))
    said = {log: re.search(r"SLURM job (\d+) on (node\d)", log.read_text()) for log in logs}
    assert [log for log, found in said.items() if not found] == []
    assert {int(found[1]) for found in said.values()} == set(jobs)


def test_a_second_run_submits_nothing(on_slurm):
    checkout, _ = on_slurm
    assert "Nothing to be done" in checkout.snakemake("--profile", "slurm")


def test_each_job_asked_for_what_its_rule_says(on_slurm):
    _, jobs = on_slurm
    state = next(job for job in jobs.values() if job["Comment"].startswith("rule_build_states"))
    assert state["MinMemoryNode"] == "700M"
    assert state["TimeLimit"] == "00:10:00"
    assert state["NumCPUs"] == "1"
    assert all(int(job["NumCPUs"]) <= 4 for job in jobs.values())


def test_the_paths_of_checkout_and_python_may_have_spaces(cluster, untouched, tmp_path):
    (tmp_path / "p y").symlink_to(sys.prefix)
    copy = untouched.copy(tmp_path / "a b ü")
    checkout = replace(copy, launcher=(str(tmp_path / "p y/bin/python"),))
    checkout.snakemake("--profile", "slurm", *QUICK_POLLS, *NO_RETRIES, "results/states/chain.nc")
    assert (checkout.root / "results/states/chain.nc").is_file()


def test_a_cancelled_job_is_named_and_the_next_run_makes_up_for_it(cluster, fresh, finished):
    process = fresh.start("--profile", "slurm", *QUICK_POLLS, *NO_RETRIES, *STATES)
    job, _ = wait_for_running(cluster, process)
    cluster.cancel(job)
    status, output = fresh.finish(process)
    assert status != 0
    assert re.search(rf"SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'", output), output
    kept = fresh.results()
    assert len(kept) == 1
    output = fresh.snakemake("--profile", "slurm", *QUICK_POLLS, *STATES)
    assert len(SUBMITTED.findall(output)) == 1
    assert fresh.results() == {path: finished.results()[path] for path in STATES}


def test_a_lost_node_costs_a_retry_on_another_node(cluster, fresh, finished):
    process = fresh.start("--profile", "slurm", *QUICK_POLLS, *STATES)
    job, node = wait_for_running(cluster, process)
    cluster.crash_node(node)
    try:
        status, output = fresh.finish(process)
    finally:
        cluster.repair_node(node)
    assert status == 0, output
    jobs = {int(number): cluster.history()[int(number)] for number in SUBMITTED.findall(output)}
    assert jobs[job]["JobState"] == "NODE_FAIL"
    completed = [record for record in jobs.values() if record["JobState"] == "COMPLETED"]
    assert len(completed) == 2
    assert fresh.results() == {path: finished.results()[path] for path in STATES}


def test_jobs_share_states_and_diagonals_with_other_checkouts_but_never_those_of_edited_code(
    cluster, untouched, finished, tmp_path
):
    def measured(checkout):
        """Jobs that computed something: one that is taken from the cache leaves an empty log."""
        checkout.environment["SNAKEMAKE_OUTPUT_CACHE"] = str(tmp_path / "cache")
        output = checkout.snakemake("--profile", "slurm", *QUICK_POLLS, CACHED)
        assert len(SUBMITTED.findall(output)) == 2
        logs = checkout.root.glob("logs/*/matrix.log")
        return sorted(log.parent.name for log in logs if log.stat().st_size)

    first, second = (untouched.copy(tmp_path / name) for name in ("first", "second"))
    edited = untouched.copy(tmp_path / "edited")
    edited.edit(
        "src/fimtiers/substrates/random_matrix.py",
        "gradient = off_diagonal * projector",
        "gradient = 3 * off_diagonal * projector",
    )
    assert measured(first) == ["build_states", "extract_fisher"]
    assert measured(second) == []
    assert (second.root / CACHED).is_symlink()
    assert (second.root / CACHED).read_bytes() == (finished.root / CACHED).read_bytes()
    assert measured(edited) == ["extract_fisher"]
    assert (edited.root / CACHED).read_bytes() != (finished.root / CACHED).read_bytes()


def test_a_failing_job_is_tried_again_with_more_memory_and_time(cluster, fresh):
    fresh.edit(
        "workflow/scripts/build_states.py",
        "    job = args.settings\n",
        "    job = args.settings\n"
        "    import os, subprocess\n"
        "    number = os.environ['SLURM_JOB_ID']\n"
        "    said = subprocess.getoutput(f'scontrol show job {number}')\n"
        "    if 'MinMemoryNode=2100M' not in said:\n"
        "        raise MemoryError('too little')\n",
    )
    output = fresh.snakemake("--profile", "slurm", *QUICK_POLLS, "results/states/chain.nc")
    tries = [cluster.history()[int(number)] for number in SUBMITTED.findall(output)]
    assert [job["JobState"] for job in tries] == ["FAILED", "FAILED", "COMPLETED"]
    assert [job["MinMemoryNode"] for job in tries] == ["700M", "1400M", "2100M"]
    assert [job["TimeLimit"] for job in tries] == ["00:10:00", "00:20:00", "00:30:00"]
    assert "build_states failed: MemoryError: too little" in output
