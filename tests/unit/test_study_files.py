import json
from pathlib import Path

import pytest
import yaml

from fimtiers.study import StudyError
from fimtiers.study_files import check_files, check_whole

DEFAULT = Path("config/config.yaml")
WHOLE = {"systems": {"chain": {"substrate": "ising_chain"}}, "panel": {}, "statistics": {}}
OVERLAY = {"systems": {"chain": {"probe_counts": [2, 4]}}}


@pytest.fixture
def files(tmp_path):
    """Write contents to a.yaml, b.yaml, ... and give their paths."""

    def write(*contents):
        paths = [tmp_path / f"{name}.yaml" for name, _ in zip("abc", contents, strict=False)]
        for path, content in zip(paths, contents, strict=True):
            path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return paths

    return write


def test_an_overlay_on_top_of_a_study_is_allowed(files):
    check_files(files(WHOLE, OVERLAY))
    check_files(files(WHOLE, {"systems": {"chain": None}}))


def test_an_overlay_under_the_study_that_it_changes_is_refused_with_the_right_order(files):
    overlay, whole = paths = files(OVERLAY, WHOLE)
    with pytest.raises(StudyError) as caught:
        check_files(paths)
    assert str(caught.value) == (
        f"{overlay}: changes systems.chain, which {whole} defines after it; later files lie on "
        f"top: --configfile {whole} {overlay}"
    )


def test_a_dropped_system_that_no_earlier_file_has_is_refused_with_the_nearest(files):
    _, overlay = paths = files(WHOLE, {"systems": {"chian": None}})
    with pytest.raises(StudyError) as caught:
        check_files(paths)
    assert str(caught.value) == (
        f"{overlay}: systems.chian: null removes nothing, since no earlier file has it "
        "(did you mean 'chain'?)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "'a' is given twice; keep one"),
        ("a: 010\n", "line 1: 010 is read as 8"),
    ],
)
def test_what_reading_would_hide_is_refused_with_the_name_of_the_file(files, text, message):
    paths = files(text)
    with pytest.raises(StudyError, match=message) as caught:
        check_files(paths)
    assert str(caught.value).startswith(str(paths[0]))


def test_a_study_in_json_with_tabs_is_read_as_json(tmp_path):
    path = tmp_path / "study.json"
    path.write_text(json.dumps({**WHOLE, "statistics": {"threshold": 1e-3}}, indent="\t"))
    check_files([path])


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        ({"systems": {}}, "'panel' and 'statistics' are missing"),
        ({"systems": {}, "panel": None, "statistics": {}}, "'panel' is missing"),
        ({"statistics": {}, "panel": {}}, "'systems' is missing"),
        ({}, "'systems', 'panel' and 'statistics' are missing"),
    ],
)
def test_a_part_of_a_study_is_told_what_it_lacks_and_how_it_is_laid_on_the_default(config, missing):
    with pytest.raises(StudyError) as caught:
        check_whole(config, WHOLE, [Path("my.yaml")], DEFAULT)
    assert str(caught.value) == (
        f"my.yaml: {missing}, so this is no whole study; to lay it on top of the default one: "
        "--configfile config/config.yaml my.yaml"
    )


def test_a_whole_study_or_one_with_a_misspelt_section_is_left_to_the_schema():
    check_whole(WHOLE, WHOLE, [Path("my.yaml")], DEFAULT)
    check_whole({"systems": {}, "panels": {}}, WHOLE, [Path("my.yaml")], DEFAULT)
