"""Disks that are full, read-only or not there."""

import shutil
import subprocess

import pytest
from checkout import TIERS, tmpfs

pytestmark = pytest.mark.slow

LAST_LINES = 15


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


def test_a_file_in_place_of_the_results_folder_is_named(fresh):
    (fresh.root / "results").write_text("not a folder")
    output = fresh.failing_snakemake("--cores", "2", *TIERS)
    assert "results" in last_lines(output)
    assert "Not a directory" in last_lines(output) or "File exists" in last_lines(output)
