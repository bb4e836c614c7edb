"""Two thousand malformed studies: each is refused in words, or is a study after all."""

import copy
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fimtiers.study import StudyError, read_study
from fimtiers.sweeps import read_checks, read_figures, read_sweeps
from fimtiers.yaml_faults import duplicate_keys

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
SOUND = yaml.safe_load((ROOT / "tests/mini_study.yaml").read_text())

KEYS = st.one_of(
    st.sampled_from(["systems", "panel", "seeds", "settings", "sweep", "substrate", "probes", ""]),
    st.text(max_size=8),
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(),
    st.dates(),
    st.tuples(st.integers()),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**400), math.nan, math.inf, -math.inf, -0.0, 1e-300]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["mlp", "net", "../substrates/mlp", "mlp.py", "_private", "deep", "a\nb", "\x00"]
    ),
    st.binary(max_size=4),
    st.dates(),
    st.sets(st.integers(), max_size=2),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


def places(node, path=()):
    """Every place in a study: the way to each mapping entry and to each item of a list."""
    entries = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in entries:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


ENTRIES = ("config", "systems", "panel", "statistics", "mechanism", "pathvars")
PLACES = list(places(SOUND))


@st.composite
def malformed_studies(draw):
    """Take the sound study and replace, drop, rename or add something, up to three times."""
    study = copy.deepcopy(SOUND)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(PLACES))
        parent = study
        for key in place[:-1]:
            try:
                parent = parent[key]
            except (KeyError, IndexError, TypeError):
                break
        action = draw(st.sampled_from(["replace", "replace", "drop", "rename", "add"]))
        last = place[-1]
        if isinstance(parent, dict):
            if action in ("drop", "rename") and last in parent:
                value = parent.pop(last)
                if action == "rename":
                    parent[draw(KEYS)] = value
            else:
                parent[last if action == "replace" else draw(KEYS)] = draw(VALUES)
        elif isinstance(parent, list) and isinstance(last, int) and last < len(parent):
            if action == "drop":
                del parent[last]
            else:
                parent[last] = draw(VALUES)
    return study


def check_refusal(study):
    """Read a study as the workflow does; each line of a refusal names an entry of it."""
    try:
        sound = read_study(study, SCHEMA)
        read_sweeps(sound)
        read_checks(sound)
        read_figures(sound)
    except StudyError as error:
        lines = str(error).splitlines()
        assert lines
        for line in lines:
            assert line.split(":")[0].split(".")[0] in ENTRIES
            assert len(line) < 600


@pytest.mark.slow
@settings(max_examples=1500, suppress_health_check=list(HealthCheck))
@given(malformed_studies())
def test_a_malformed_study_is_refused_in_words_and_by_no_other_error(study):
    check_refusal(study)


@settings(max_examples=500)
@given(VALUES)
def test_anything_in_place_of_a_study_is_refused_in_words(value):
    check_refusal(value)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="a:{}[],&*?-! \n\t'\"|>%@#1", max_size=60))
def test_any_text_has_duplicate_keys_or_has_none_or_is_no_yaml(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("fuzz") / "config.yaml"
    path.write_text(text)
    try:
        found = duplicate_keys(path)
    except yaml.YAMLError:
        return
    assert all(isinstance(name, str) for name in found)


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "&a {b: *a}\n", "? [1, 2]\n: 3\n? [1, 2]\n: 4\n"])
def test_a_name_that_is_no_text_and_a_loop_are_no_trouble_for_duplicate_keys(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert len(duplicate_keys(path)) <= 1
