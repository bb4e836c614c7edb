"""Disks that are full, read-only or not there."""

import os
import shutil
import subprocess
from dataclasses import replace

import pytest
from checkout import TIERS, tmpfs

pytestmark = pytest.mark.slow

LAST_LINES = 15
ABOVE_PERMISSIONS = "-dac_override,-dac_read_search"
"""What lets root read and write everything, taken away."""


def last_lines(output):
    return "\n".join(output.splitlines()[-LAST_LINES:])


@pytest.mark.root
def test_a_full_disk_is_named_and_with_more_space_the_run_goes_on(fresh, same_as_finished):
    with tmpfs(fresh.root / "results", "128k") as disk:
        output = fresh.failing_snakemake("--cores", "2", "--keep-going", *TIERS)
        assert "cannot write results/" in last_lines(output)
        assert "MB left on its disk" in last_lines(output)
        same_as_finished({p: b for p, b in fresh.results().items() if ".partial" not in p})
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        fresh.snakemake("--cores", "2", *TIERS)
        same_as_finished(fresh.results())


@pytest.mark.root
def test_a_read_only_results_folder_is_named(clone, finished):
    results = clone.root / "results"
    shutil.rmtree(results / "tiers")
    subprocess.run(["mount", "--bind", str(results), str(results)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(results)], check=True)
        output = clone.failing_snakemake("--cores", "2", *TIERS)
    finally:
        subprocess.run(["umount", "--lazy", str(results)], check=True)
    assert "Read-only file system" in last_lines(output)
    assert "results/tiers" in last_lines(output)
    clone.snakemake("--cores", "2", *TIERS)
    assert clone.results() == finished.results()


@pytest.fixture
def ordinary(clone):
    """Give a finished study in which permissions count, even for root."""
    if os.geteuid() == 0:
        return replace(clone, launcher=("setpriv", f"--bounding-set={ABOVE_PERMISSIONS}"))
    return clone


def output_while_unreadable(checkout, path):
    """Ask for tiers that are gone while `path` gives no permission; the run must fail."""
    (checkout.root / TIERS[0]).unlink()
    target = checkout.root / path
    mode = target.stat().st_mode
    target.chmod(0o000)
    try:
        return checkout.failing_snakemake("--cores", "2", *TIERS)
    finally:
        target.chmod(mode)


@pytest.mark.parametrize("folder", ["results", "results/fisher"])
def test_an_unreadable_results_folder_is_named(ordinary, finished, folder):
    output = output_while_unreadable(ordinary, folder)
    assert "Insufficient permissions to access results/" in last_lines(output)
    assert "Traceback" not in output
    ordinary.snakemake("--cores", "2", *TIERS)
    assert ordinary.results() == finished.results()


def test_an_unreadable_results_file_is_named(ordinary, finished):
    path = "results/fisher/chain.nc"
    output = output_while_unreadable(ordinary, path)
    assert f"OSError: cannot read {path}: [Errno 13] Permission denied" in last_lines(output)
    ordinary.snakemake("--cores", "2", *TIERS)
    assert ordinary.results() == finished.results()


def test_a_file_in_place_of_the_results_folder_is_named(fresh):
    (fresh.root / "results").write_text("not a folder")
    output = fresh.failing_snakemake("--cores", "2", *TIERS)
    assert "results" in last_lines(output)
    assert "Not a directory" in last_lines(output) or "File exists" in last_lines(output)
