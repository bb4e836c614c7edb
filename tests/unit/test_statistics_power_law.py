"""The exponent of L: what made the runs is found, with an interval that covers it."""

import numpy as np
import pytest
from scipy import stats

from fimtiers.statistics.power_law import LARGEST, fit_power_law

DEPTHS = np.array([2.0, 3, 4, 6, 8, 12, 20])


def runs(exponent, noise=0.0, seeds=5, rng=None):
    depth, seed = np.repeat(DEPTHS, seeds), np.tile(np.arange(seeds), len(DEPTHS))
    clean = np.log(depth) if exponent == 0 else depth**exponent
    rng = rng or np.random.default_rng(0)
    return 1 + 2 * clean + noise * rng.standard_normal(len(depth)), depth, seed


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.5, 1.0, 2.5])
def test_the_exponent_that_made_the_runs_is_found(exponent):
    assert fit_power_law(*runs(exponent)).exponent == pytest.approx(exponent, abs=1e-4)


def test_the_interval_covers_the_exponent_as_often_as_it_says():
    rng = np.random.default_rng(1)
    fits = [fit_power_law(*runs(1.5, 0.3, rng=rng)) for _ in range(100)]
    covered = sum(fit.low <= 1.5 <= fit.high for fit in fits)
    assert stats.binom.cdf(covered, 100, 0.95) > 1e-3


def test_a_curve_that_is_no_power_is_rejected_and_a_power_is_not():
    value, depth, seed = runs(2, 0.1)
    assert fit_power_law(value, depth, seed).lack_of_fit_p > 0.01
    bent = value + 20 * (depth > 6) * (depth < 20)
    assert fit_power_law(bent, depth, seed).lack_of_fit_p < 1e-6


def test_an_exponent_beyond_the_range_is_not_determined():
    assert np.isnan(fit_power_law(*runs(LARGEST + 2)).exponent)


def test_what_cannot_be_fitted_is_nan():
    value, depth, seed = runs(1)
    few = depth < 6
    assert np.isnan(fit_power_law(value[few], depth[few], seed[few]).exponent)
    value[0] = np.inf
    assert np.isnan(fit_power_law(value, depth, seed).exponent)


def test_a_single_seed_has_an_exponent_and_no_interval():
    fit = fit_power_law(*runs(1, seeds=1))
    assert fit.exponent == pytest.approx(1, abs=1e-4)
    assert np.isnan([fit.low, fit.high]).all()


def test_depths_below_one_are_refused():
    with pytest.raises(ValueError, match=r"depth 0\.5; expected at least 1"):
        fit_power_law(np.ones(4), np.array([0.5, 1, 2, 3]), np.zeros(4, int))
