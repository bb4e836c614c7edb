from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fimtiers.statistics.mann_whitney_bootstrap import mann_whitney_bootstrap

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


@pytest.fixture(scope="module")
def published():
    table = pd.read_csv(
        PUBLISHED / "mann_whitney_bootstrap.csv",
        index_col="quantity",
        float_precision="round_trip",
    )
    return table["value"]


def test_two_runs_of_integers_give_the_published_numbers_to_the_last_digit(published):
    result = mann_whitney_bootstrap(np.arange(100.0, 146.0), np.arange(50.0))
    for name in ("U", "median_p", "mean_p", "max_p", "p95_p", "p99_p"):
        assert getattr(result, name) == published[name], name
    assert result.smallest_rank_biserial == published["rank_biserial"]
    assert not result.depends_on_values


def test_the_measured_panel_gives_the_same_numbers_because_values_play_no_part():
    panel = pd.read_csv(PUBLISHED / "panel_per_seed.csv")
    deep, rest = (panel.loc[panel["group"] == g, "value"].to_numpy() for g in ("deep", "rest"))
    measured = mann_whitney_bootstrap(deep, rest, resamples=300)
    assert measured == mann_whitney_bootstrap(np.arange(100.0, 146.0), np.arange(50.0), 42, 300)


def test_overlapping_groups_do_depend_on_the_values():
    deep, rest = np.arange(5.0, 25.0), np.arange(15.0)
    result = mann_whitney_bootstrap(deep, rest, seed=3, resamples=50)
    generator = np.random.default_rng(3)
    tests = []
    for _ in range(50):
        first = generator.choice(deep, 20, replace=True)
        second = generator.choice(rest, 15, replace=True)
        tests.append(stats.mannwhitneyu(first, second, alternative="greater", method="asymptotic"))
    assert result.depends_on_values
    assert result.max_p == pytest.approx(max(test.pvalue for test in tests))
    assert result.smallest_rank_biserial == pytest.approx(
        2 * min(test.statistic for test in tests) / 300 - 1
    )
