"""Files damaged between two stages are refused by name, and the message says what to do."""

import os
import random
import re
from pathlib import Path

import pytest
from checkout import TIERS

from fimtiers import io

pytestmark = pytest.mark.slow

FISHER = "results/fisher/net.nc"
NET = "results/tiers/net.nc"
LAST_LINES = 15
FLIPS = 200


def truncate(path: Path):
    os.truncate(path, path.stat().st_size * 2 // 3)


def flip_a_bit(path: Path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage(path, how):
    """Damage a file without a trace in its time, as a failing disk does."""
    times = path.stat()
    how(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("how", [truncate, flip_a_bit])
def test_a_damaged_file_is_refused_by_name_and_made_anew_when_deleted(clone, finished, how):
    damage(clone.root / FISHER, how)
    (clone.root / NET).unlink()
    output = clone.failing_snakemake("--cores", "2", *TIERS)
    cause = "\n".join(output.splitlines()[-LAST_LINES:])
    assert f"aggregate_tiers failed: OSError: cannot read {FISHER}: it is damaged" in cause
    assert "delete it and run again" in cause
    assert not (clone.root / NET).exists()
    (clone.root / FISHER).unlink()
    clone.snakemake("--cores", "2", *TIERS)
    assert clone.results() == finished.results()


def test_a_damaged_file_that_was_changed_after_its_successor_stops_the_run(clone):
    flip_a_bit(clone.root / FISHER)
    output = clone.failing_snakemake("--cores", "2", *TIERS)
    cause = "\n".join(output.splitlines()[-LAST_LINES:])
    assert f"OSError: cannot read {FISHER}: it is damaged" in cause


def test_no_flipped_bit_anywhere_in_a_file_goes_unnoticed(finished, tmp_path):
    content = (finished.root / FISHER).read_bytes()
    rng = random.Random(0)
    for number in range(FLIPS):
        flipped = bytearray(content)
        flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path = tmp_path / f"{number}.nc"
        path.write_bytes(flipped)
        with pytest.raises(OSError, match=f"cannot read {re.escape(str(path))}: it is damaged"):
            io.read_tree(path)


@pytest.mark.parametrize("size", [0, 1, 40, 41, 5000])
def test_no_truncated_file_goes_unnoticed(finished, tmp_path, size):
    path = tmp_path / "short.nc"
    path.write_bytes((finished.root / FISHER).read_bytes()[:size])
    with pytest.raises(OSError, match="it is damaged or incomplete"):
        io.read_tree(path)
