import fcntl
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from fimtiers import generators, io, torch_generators
from fimtiers.records import FisherDiagonal, State, Tensor
from fimtiers.tiers import describe

TENSORS = (Tensor("weight", 0, "weight", (2, 3)), Tensor("bias", 0, "bias", (2,)))
JOB = {
    "system": "example",
    "substrate": "mlp",
    "seeds": [3, 5],
    "points": [["width=2", {"width": 2, "probes": 4}], ["width=3", {"width": 3, "probes": 4}]],
}
ATTRIBUTES = {"versions": "{}"}


def states():
    draws = generators.seed_numpy(np.array([3, 5]))
    theta = np.stack([draw.standard_normal(8) for draw in draws])
    fixed = {
        "wiring": (("seed", "wire"), np.arange(6).reshape(2, 3)),
        "generator": generators.pack_numpy(draws),
    }
    return {point: State(theta, TENSORS, fixed) for point, _ in JOB["points"]}


def diagonals():
    fim = np.random.default_rng(0).random((2, 8))
    diagnostics = {"depth": (("seed",), np.array([1, 2]))}
    return {
        point: FisherDiagonal(fim, TENSORS, 4, "adjoint", "loss", diagnostics)
        for point, _ in JOB["points"]
    }


def test_states_survive_the_file_and_the_random_stream_goes_on(tmp_path):
    path = tmp_path / "states.nc"
    written = states()
    io.write_states(path, written, JOB, ATTRIBUTES)
    read = io.read_states(path)["width=3"]
    np.testing.assert_array_equal(read.theta, written["width=3"].theta)
    assert read.tensors == TENSORS
    np.testing.assert_array_equal(read.fixed["wiring"][1], written["width=3"].fixed["wiring"][1])
    (stream, _) = generators.unpack_numpy(read.fixed["generator"])
    expected = np.random.default_rng(3).standard_normal(16)[8:]
    np.testing.assert_array_equal(stream.standard_normal(8), expected)


def test_a_torch_stream_goes_on_where_it_stopped():
    import torch

    (before,) = torch_generators.seed(np.array([7]))
    torch.randn(5, generator=before)
    (after,) = torch_generators.unpack(torch_generators.pack([before]))
    assert torch.equal(torch.randn(9, generator=before), torch.randn(9, generator=after))


def test_fisher_diagonals_survive_the_file(tmp_path):
    path = tmp_path / "fisher.nc"
    io.write_fisher(path, diagonals(), JOB, ATTRIBUTES)
    read = io.read_fisher(path)
    np.testing.assert_array_equal(read["width=2"].fim, diagonals()["width=2"].fim)
    assert (read["width=2"].probes, read["width=2"].estimator) == (4, "adjoint")
    assert list(read) == ["width=2", "width=3"]


def test_a_plain_reader_finds_values_seeds_tensors_settings_and_versions(tmp_path):
    path = tmp_path / "fisher.nc"
    io.write_fisher(path, diagonals(), JOB, ATTRIBUTES)
    with xr.open_datatree(path) as tree:
        assert tree.attrs["Conventions"].startswith("CF-")
        assert json.loads(tree.attrs["settings"]) == JOB
        point = tree["width=2"]
        assert point["fim"].dims == ("seed", "parameter")
        assert point["seed"].values.tolist() == [3, 5]
        names = point["tensor_name"].values[point["tensor"].values]
        assert names.tolist() == ["weight"] * 6 + ["bias"] * 2
        assert point["shape"].values.tolist() == ["2,3", "2"]
        assert json.loads(point.attrs["settings"])["width"] == 2


def test_writing_the_same_twice_gives_the_same_bytes(tmp_path):
    digests = set()
    for name in ("first.nc", "second.nc"):
        io.write_states(tmp_path / name, states(), JOB, ATTRIBUTES)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_write_that_fails_leaves_nothing_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")

    def stop_half_way():
        with io.atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(OSError, match=r"cannot write .*stop"):
        stop_half_way()
    assert [p.name for p in tmp_path.iterdir()] == ["result.txt"]
    assert path.read_text() == "old"


def test_a_leftover_of_a_killed_process_is_removed(tmp_path):
    (tmp_path / ".result.nc.123.partial.nc").write_text("half")
    with io.atomic(tmp_path / "result.nc") as temporary:
        temporary.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["result.nc"]


def test_a_truncated_file_is_refused_by_name(tmp_path):
    path = tmp_path / "fisher.nc"
    io.write_fisher(path, diagonals(), JOB, ATTRIBUTES)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(OSError, match=r"cannot read .*fisher\.nc"):
        io.read_fisher(path)


def test_attributes_are_read_alone_and_not_from_a_damaged_file(tmp_path):
    path = tmp_path / "fisher.nc"
    io.write_fisher(path, diagonals(), JOB, ATTRIBUTES)
    attributes = io.read_attributes(path)
    assert json.loads(attributes["settings"]) == JOB
    assert attributes["versions"] == "{}"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(OSError, match=r"cannot read .*fisher\.nc: it is damaged"):
        io.read_attributes(path)


READ = "import sys, pathlib; from fimtiers import io; io.read_tree(pathlib.Path(sys.argv[1]))"


@pytest.mark.parametrize("locking", [None, "TRUE"])
def test_a_file_that_cannot_be_locked_is_read_or_said_to_be_whole(tmp_path, locking):
    """Another program holds it, which HDF5 cannot tell from a file system without locks."""
    path = tmp_path / "fisher.nc"
    io.write_fisher(path, diagonals(), JOB, ATTRIBUTES)
    variables = {name: value for name, value in os.environ.items() if name != io.LOCKING}
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    if locking:
        variables[io.LOCKING] = locking
    with path.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        command = [sys.executable, "-c", READ, path]
        done = subprocess.run(command, env=variables, capture_output=True, encoding="utf-8")
    assert (done.returncode == 0) == (locking is None), done.stderr
    if locking:
        assert f"cannot read {path}: " in done.stderr
        assert "so the file is whole; HDF5_USE_FILE_LOCKING is TRUE, which fails" in done.stderr
        assert "delete" not in done.stderr


def test_tiers_carry_the_swept_setting_as_a_coordinate(tmp_path):
    path = tmp_path / "tiers.nc"
    summaries = {
        point: {"tier_ratio": np.array([1.0, np.inf])} for point, _ in JOB["points"]
    }  # fmt: skip
    io.write_tiers(path, summaries, JOB, ATTRIBUTES, describe)
    tiers = io.read_tiers(path)
    assert tiers["tier_ratio"].dims == ("point", "seed")
    assert tiers["width"].values.tolist() == [2, 3]
    assert "probes" not in tiers.coords
    assert tiers["tier_ratio"].attrs["long_name"].startswith("tier 1 mean / tier 3 mean")


@pytest.mark.parametrize(
    ("fim", "message"),
    [
        (np.full((2, 8), np.nan), "fim is nan at seed index 0, parameter 0"),
        (np.full((2, 8), -1.0), "negative"),
        (np.ones((2, 7)), "fim has 7 parameters, but its tensors .* hold 8"),
        (np.ones((2, 8), np.float32), "expected float64"),
    ],
)
def test_a_wrong_fisher_diagonal_is_refused(fim, message):
    with pytest.raises(ValueError, match=message):
        FisherDiagonal(fim, TENSORS, 1, "adjoint", "loss")


def test_a_flipped_bit_never_changes_a_value_silently(tmp_path):
    path = tmp_path / "fisher.nc"
    io.write_fisher(path, diagonals(), JOB, ATTRIBUTES)
    whole = path.read_bytes()
    refused = 0
    for offset in range(0, len(whole), 97):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        try:
            read = io.read_fisher(path)
        except (OSError, KeyError, ValueError):
            refused += 1
        else:
            for point, diagonal in read.items():
                np.testing.assert_array_equal(diagonal.fim, diagonals()[point].fim)
    assert refused > 5
