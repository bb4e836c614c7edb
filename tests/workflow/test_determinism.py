"""The same study gives the same bytes, whatever ran when and beside what."""

import pytest


@pytest.mark.slow
def test_every_result_is_the_same_to_the_byte_on_one_core_in_another_order(
    untouched, finished, tmp_path
):
    other = untouched.copy(tmp_path / "other")
    # Last stages first, one job at a time, with another seed of Python's own hashes.
    other.environment["PYTHONHASHSEED"] = "12345"
    for system in ("net", "matrix", "automaton"):
        other.run(f"results/tiers/{system}.nc", cores=1)
    other.run("--scheduler", "greedy", cores=1)
    here, there = finished.results(), other.results()
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []
