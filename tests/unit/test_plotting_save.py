"""The same figure gives the same bytes, at any time and in any process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fimtiers.plotting.layout import Headline, add_axes, new_figure
from fimtiers.plotting.save import save_figure

CAPTION = "Every deep value exceeds every other, by a factor of 1.03."
ANOTHER_PROCESS = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_plotting_save import save
save(Path(sys.argv[1]))
"""


def save(folder):
    """Save a figure with text, lines, clipped areas and markers."""
    figure = new_figure(5, 3, Headline("Message", "Subtitle"))
    axes = add_axes(figure, 0.6, 0.5, 4.8, 2.8)
    axes.plot([1, 2, 3], [1, 4, 9], "o-")
    axes.fill_between([1, 2, 3], [0, 1, 2], alpha=0.3)
    paths = [folder / f"figure.{suffix}" for suffix in ("svg", "pdf", "rst")]
    save_figure(figure, 3, CAPTION, *paths)
    return paths


def test_two_drawings_have_the_same_bytes(tmp_path):
    for one, other in zip(save(tmp_path / "one"), save(tmp_path / "other"), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_another_process_writes_the_same_bytes(tmp_path):
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "SOURCE_DATE_EPOCH": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    folder = tmp_path / "other"
    command = [sys.executable, "-c", ANOTHER_PROCESS, str(folder)]
    subprocess.run(command, check=True, env=environment)
    for path in save(tmp_path / "one"):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_files_bear_no_date(tmp_path):
    svg, pdf, _ = save(tmp_path)
    assert "dc:date" not in svg.read_text()
    assert b"CreationDate" not in pdf.read_bytes()
    assert b"ModDate" not in pdf.read_bytes()


def test_the_caption_is_beside_the_figure_and_inside_it(tmp_path):
    svg, _, text = save(tmp_path)
    assert text.read_text() == f"Figure 3. {CAPTION}\n"
    assert f"Figure 3. {CAPTION}" in svg.read_text()


def test_nothing_else_is_left_in_the_folder(tmp_path):
    assert sorted(tmp_path.iterdir()) == []
    assert sorted(path.name for path in save(tmp_path)) == sorted(
        path.name for path in tmp_path.iterdir()
    )


def test_a_wrong_ending_is_refused(tmp_path):
    figure = new_figure(5, 3, Headline("Message", "Subtitle"))
    with pytest.raises(ValueError, match=r"must end in \.pdf"):
        save_figure(figure, 1, "", tmp_path / "a.svg", tmp_path / "a.svg", tmp_path / "a.rst")
    with pytest.raises(ValueError, match=r"must end in \.svg"):
        save_figure(figure, 1, "", tmp_path / "a.png", tmp_path / "a.pdf", tmp_path / "a.rst")
