from pathlib import Path

import pytest

from fimtiers.yaml_faults import duplicate_keys, syntax_error

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
        (b"a: \xff\n", ": this is no YAML: unacceptable character #x00ff: invalid"),
        (b"a: \x00\n", ": this is no YAML: unacceptable character"),
    ],
)
def test_what_is_no_yaml_is_named_with_file_line_and_column(tmp_path, content, fault):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert syntax_error(path).startswith(f"{path}{fault}")


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_studies_have_no_fault(path):
    assert syntax_error(path) is None
    assert duplicate_keys(path) == []
