"""Files that settings name count by their content."""

import os

import pytest

from fimtiers.data_files import named_files

TABLE = {"path": {"type": "string"}, "kind": {"enum": ["model"]}, "depth": {"type": "integer"}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/weights").write_bytes(b"one")
    return tmp_path


def test_a_file_counts_by_its_bytes_and_not_by_its_time(folder):
    points = [{"path": "model/weights", "depth": 2}]
    before = named_files(points, TABLE)
    assert list(before) == ["file model/weights"]
    os.utime(folder / "model/weights", (0, 0))
    assert named_files(points, TABLE) == before
    times = (folder / "model/weights").stat()
    (folder / "model/weights").write_bytes(b"two")
    os.utime(folder / "model/weights", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert named_files(points, TABLE) != before


def test_a_folder_counts_by_the_names_and_bytes_in_it(folder):
    points = [{"path": str(folder / "model")}]
    before = named_files(points, TABLE)
    (folder / "model/weights").rename(folder / "model/other")
    renamed = named_files(points, TABLE)
    (folder / "model/inner").mkdir()
    (folder / "model/inner/more").write_bytes(b"")
    assert len({str(found) for found in (before, renamed, named_files(points, TABLE))}) == 3


def test_what_is_one_of_some_choices_or_not_there_is_no_file(folder):
    points = [{"kind": "model", "path": "missing", "depth": 1}, {"path": "x" * 5000}, {"path": ""}]
    assert named_files(points, TABLE) == {}


def test_the_files_of_all_points_count(folder):
    (folder / "second").write_bytes(b"")
    points = [{"path": "model/weights"}, {"path": "second"}]
    assert list(named_files(points, TABLE)) == ["file model/weights", "file second"]
