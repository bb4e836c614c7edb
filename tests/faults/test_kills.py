"""Runs that are killed, and two runs at once: never a wrong file, always a way on."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

KILLS = 50
LATEST_KILL = 2.5  # seconds after the first job started
SEED = 7


def start_and_kill(checkout, seconds):
    """Start the study, kill it and all its jobs `seconds` after the first job; how far it got."""
    process = checkout.start("--cores", "2")
    wait_for_job(checkout, process)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    finished = process.poll() is not None
    os.killpg(process.pid, signal.SIGKILL) if not finished else None
    process.wait()
    return finished


def wait_for_job(checkout, process):
    while "jobid:" not in checkout.terminal.read_text() and process.poll() is None:
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


def test_fifty_kills_at_random_moments_never_leave_a_wrong_file(fresh, undisturbed):
    rng = random.Random(SEED)
    expected = undisturbed.results()
    for _ in range(KILLS):
        if start_and_kill(fresh, rng.uniform(0, LATEST_KILL)):
            shutil.rmtree(fresh.root / "results")
        assert processes_in(fresh.root) == []
        complete = {p: b for p, b in fresh.results().items() if ".partial" not in p}
        assert [path for path, data in complete.items() if data != expected[path]] == []
        shutil.rmtree(fresh.root / ".snakemake/locks", ignore_errors=True)  # as --unlock does
    fresh.snakemake("--cores", "2")
    results = fresh.results()
    assert [path for path in expected if results.get(path) != expected[path]] == []
    assert set(results) == set(expected)


def test_after_a_kill_the_next_run_says_how_to_unlock_and_then_goes_on(fresh, undisturbed):
    assert not start_and_kill(fresh, 0.5)
    refusal = fresh.failing_snakemake("--cores", "2")
    assert "cannot be locked" in refusal
    assert "--unlock" in refusal
    fresh.snakemake("--unlock")
    fresh.snakemake("--cores", "2")
    assert fresh.results() == undisturbed.results()


def test_a_second_run_in_the_same_folder_is_refused_and_the_first_is_not_disturbed(
    fresh, undisturbed
):
    first = fresh.start("--cores", "1")
    wait_for_job(fresh, first)
    printed = fresh.terminal.read_text()
    fresh.terminal.unlink()  # the first keeps its open file, the second gets a new one
    refusal = fresh.failing_snakemake("--cores", "1")
    assert "cannot be locked" in refusal
    assert "no other Snakemake process" in refusal
    assert first.wait(timeout=300) == 0, printed
    assert fresh.results() == undisturbed.results()
