"""A system whose tier 3 is all zeros has an infinite tier ratio; the study runs all the same."""

import math

import pytest

from fimtiers.tables import read_json, read_table

PSEUDODATA = "results/statistics/published/pseudodata_"
REASON = "the interval of circuit is infinite, since a tier ratio is: the mean of tier 3 is zero"


@pytest.mark.slow
def test_an_infinite_tier_ratio_is_reported_and_what_it_leaves_undefined_says_so(clone, following):
    clone.edit("config/config.yaml", "{gates: 12,", "{gates: 40,")
    assert clone.run() == following("build_states system=circuit")
    intervals = read_table(clone.root / "results/statistics/published/intervals.csv")
    means = intervals.set_index("system")["geometric_mean"]
    assert math.isinf(means.pop("circuit"))
    assert means.map(math.isfinite).all()
    assert read_json(clone.root / "results/statistics/published/dichotomy.json")
    thresholds = read_table(clone.root / f"{PSEUDODATA}thresholds.csv")
    assert thresholds["threshold"].tolist() == [10, 100]
    assert thresholds["undefined_because"].str.startswith(REASON).all()
    bootstrap = read_json(clone.root / f"{PSEUDODATA}bootstrap.json")
    assert list(bootstrap) == ["undefined_because"]
    assert bootstrap["undefined_because"].startswith(REASON)
    assert "2 values are infinite" in clone.read("results/figures/dichotomy_published.rst")
    assert not clone.planned()
