"""Runs that are killed, and two runs at once: never a wrong file, always a way on."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from checkout import PATIENCE, TIERS

pytestmark = pytest.mark.slow

KILLS = 50
LATEST_KILL = 2.5  # seconds after the first job started
SECONDS_TO_DIE = 10
SEED = 7


def start_and_kill(checkout, seconds):
    """Start the study, kill it and all its jobs `seconds` after the first job; how far it got."""
    process = checkout.start("--cores", "2")
    wait_for_job(checkout, process)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    ended = process.poll() is not None
    if not ended:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for_end(checkout)
    return ended


def wait_for_job(checkout, process):
    while "jobid:" not in checkout.terminal.read_text() and process.poll() is None:
        time.sleep(0.02)


def wait_for_end(checkout):
    """Wait until the last killed process is gone, and see that all were killed."""
    deadline = time.monotonic() + SECONDS_TO_DIE
    while processes_in(checkout.root):
        assert time.monotonic() < deadline, "a job outlived its Snakemake"
        time.sleep(0.02)


def processes_in(folder):
    """Find the processes whose working directory is `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == folder:
                found.append(entry.parent.name)
        except OSError:
            continue  # it ended while we looked
    return found


def test_fifty_kills_at_random_moments_never_leave_a_wrong_file(fresh, finished, same_as_finished):
    rng = random.Random(SEED)
    for _ in range(KILLS):
        ended = start_and_kill(fresh, rng.uniform(0, LATEST_KILL))
        complete = {p: b for p, b in fresh.results().items() if ".partial" not in p}
        if complete:
            same_as_finished(complete)
        if ended:
            shutil.rmtree(fresh.root / "results")
        shutil.rmtree(fresh.root / ".snakemake/locks", ignore_errors=True)  # as --unlock does
    fresh.snakemake("--cores", "2")
    assert fresh.results() == finished.results()


def test_after_a_kill_the_next_run_says_how_to_unlock_and_then_goes_on(fresh, same_as_finished):
    assert not start_and_kill(fresh, 0.5)
    refusal = fresh.failing_snakemake("--cores", "2", *TIERS)
    assert "cannot be locked" in refusal
    assert "--unlock" in refusal
    fresh.snakemake("--unlock")
    fresh.snakemake("--cores", "2", *TIERS)
    same_as_finished(fresh.results())


def test_a_second_run_in_the_same_folder_is_refused_and_the_first_is_not_disturbed(
    fresh, same_as_finished
):
    first = fresh.start("--cores", "1", *TIERS)
    wait_for_job(fresh, first)
    fresh.terminal.unlink()  # the first keeps its open file, the second gets a new one
    refusal = fresh.failing_snakemake("--cores", "1", *TIERS)
    assert "cannot be locked" in refusal
    assert "no other Snakemake process" in refusal
    assert first.wait(PATIENCE) == 0
    same_as_finished(fresh.results())
    assert all((fresh.root / path).exists() for path in TIERS)
