from pathlib import Path

import pytest

from fimtiers.yaml_faults import duplicate_keys, misread_numbers, syntax_error

CONFIG = Path(__file__).parents[2] / "config"


def test_a_name_given_twice_in_yaml_is_found(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("systems:\n  a: {seeds: [1]}\n  b: {}\n  a: {seeds: [2]}\n")
    assert duplicate_keys(path) == ["systems.a"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"a: 1\nb: [2\nc: 3\n", ", line 3, column 2: this is no YAML: expected ',' or ']'"),
        (b"a:\n\t- 1\n", ", line 2, column 1: this is no YAML: found character '\\t'"),
        (b"a: 1\nb: *gone\n", ", line 2, column 4: this is no YAML: found undefined alias"),
        (b"? {a: 1}\n: 2\n", ", line 1, column 3: this is no YAML: found unhashable key"),
        (b"", ": this file is empty; expected named entries"),
        (b"# nothing\n", ": this file is empty; expected named entries"),
        (b"- systems\n", ": this is a list; expected named entries"),
        (b"a: \xff\n", ": this is no YAML: unacceptable character #x00ff: invalid"),
        (b"a: \x00\n", ": this is no YAML: unacceptable character"),
    ],
)
def test_what_is_no_yaml_is_named_with_file_line_and_column(tmp_path, content, fault):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert syntax_error(path).startswith(f"{path}{fault}")


def test_a_tab_is_answered_with_what_to_do(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a:\n\t- 1\n")
    assert syntax_error(path).endswith("; indent with spaces, not with tabs")


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("a: 1\nseeds: [010]\n", ["line 2: 010 is read as 8, in base 8; write 10, or 8 if that "]),
        ("memory: 12:30\n", ["line 1: 12:30 is read as 750, in base 60; write 750, or what is "]),
        ("a: 1:30.5\n", ["line 1: 1:30.5 is read as 90.5, in base 60; "]),
        ("a: [011, {b: 012}]\n", ["line 1: 011 is read as 9", "line 1: 012 is read as 10"]),
        ("a: '010'\nb: 007\nc: 0\nd: 0x10\ne: 1_000\nf: depth:3\ng: 0.5\nh: 1.0e-3\n", []),
        ("a: &a [*a]\n", []),
        ("", []),
    ],
)
def test_numbers_in_bases_8_and_60_are_found(tmp_path, text, faults):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    found = misread_numbers(path)
    assert len(found) == len(faults)
    for said, start in zip(found, faults, strict=True):
        assert said.startswith(f"{path}, {start}")


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_studies_have_no_fault(path):
    assert syntax_error(path) is None
    assert duplicate_keys(path) == []
    assert misread_numbers(path) == []
