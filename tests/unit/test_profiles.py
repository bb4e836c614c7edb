"""The shipped profiles: what they may set, that they name every rule, that no rule retries."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULE_FILES = [ROOT / "workflow/Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
RENAMED = re.compile(r"^use rule \w+ as (\w+) with:", re.MULTILINE)
RULES = re.compile(r"^(?:rule|checkpoint) (\w+):\n((?:(?: .*)?\n)*)", re.MULTILINE)
TARGETS = {"all", "panel", "mechanism"}
UNGROUPED = {*TARGETS, "build_states", "build_state", "build_swept_state"}


def rules():
    """Text of every rule by its name."""
    return {name: body for path in RULE_FILES for name, body in RULES.findall(path.read_text())}


def profile(name):
    return yaml.safe_load((ROOT / "workflow/profiles" / name / "profile.yaml").read_text())


def test_profile_slurm_is_found_from_the_root_of_a_clone():
    assert (ROOT / "slurm").is_symlink()
    assert (ROOT / "slurm/profile.yaml").samefile(ROOT / "workflow/profiles/slurm/profile.yaml")


def test_the_default_profile_sets_nothing_that_the_slurm_profile_sets():
    shared = set(profile("default")) & set(profile("slurm"))
    assert {key for key in shared if not key.startswith("__")} == set()


def test_every_rule_after_the_states_is_in_a_group_of_the_slurm_profile():
    named = set(rules()) | set(RENAMED.findall("".join(path.read_text() for path in RULE_FILES)))
    assert set(profile("slurm")["groups"]) == named - UNGROUPED


def test_every_job_that_builds_a_state_or_takes_a_diagonal_alone_is_cached():
    text = "".join(path.read_text() for path in RULE_FILES)
    inherited = re.findall(r"^use rule (\w+) as (\w+) with:", text, re.MULTILINE)
    alone = {
        name
        for name, body in rules().items()
        if re.search(r"/(build_states|extract_fisher).py", body)
    }
    alone |= {name for base, name in inherited if base in alone}
    (cached,) = (entry["cache"] for key, entry in profile("default").items() if key[0] == "?")
    assert set(cached) == alone


def test_retries_are_set_in_the_slurm_profile_and_in_no_rule():
    assert profile("slurm")["retries"] == 2
    assert [name for name, body in rules().items() if "retries:" in body] == []


@pytest.mark.parametrize("name", sorted(set(rules()) - TARGETS))
def test_every_rule_has_a_log_an_environment_memory_and_time_that_grow_with_the_attempt(name):
    body = rules()[name]
    for directive in ("log:", "conda:", "resources:"):
        assert f"    {directive}" in body
    assert re.search(r"mem_mb=(small_)?memory,", body)
    assert re.search(r"runtime=(small_)?runtime,", body)


def test_no_rule_names_a_partition_or_an_account():
    text = "".join(path.read_text() for path in RULE_FILES)
    assert "slurm_partition" not in text
    assert "slurm_account" not in text


def test_every_entry_of_the_slurm_profile_is_explained():
    lines = (ROOT / "workflow/profiles/slurm/profile.yaml").read_text().splitlines()
    blocks = "\n".join(lines).split("\n\n")
    entries = [block for block in blocks if re.search(r"^[a-z]", block, re.MULTILINE)]
    unexplained = [block for block in entries if "#" not in block]
    assert unexplained == ["executor: slurm"]
