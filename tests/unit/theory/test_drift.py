"""Tier ratio and variance of pure drift, against arrays with evenly spread ln F."""

import numpy as np
import pytest

from fimtiers.theory.drift import drift_log_range, drift_log_tier_ratio, drift_log_variance
from fimtiers.tiers import log_moments, tier_ratio


@pytest.mark.parametrize("log_range", [0.1, 3.0, 20.0, 100.0])
def test_evenly_spread_logarithms_have_the_predicted_ratio(log_range):
    fim = np.exp(np.linspace(0, log_range, 1_000_001))
    assert drift_log_tier_ratio(log_range) == pytest.approx(np.log(tier_ratio(fim)), rel=1e-4)


def test_without_drift_the_ratio_is_one():
    assert drift_log_tier_ratio(0.0) == 0


@pytest.mark.parametrize("r", [0.5, 6.8, 30.0])
def test_with_a_single_entry_in_tier_1_the_ratio_is_the_known_closed_form(r):
    closed = np.log(r / 2) + r / 2 - np.log1p(-np.exp(-r / 2))
    assert drift_log_tier_ratio(r, alpha=1.0) == pytest.approx(closed, rel=1e-12)


def test_a_ratio_of_100_needs_a_log_range_of_about_7():
    assert drift_log_tier_ratio(6.8, alpha=1.0) == pytest.approx(np.log(100), abs=0.06)


def test_the_log_ratio_ends_up_linear_in_depth_with_slope_half_the_log_gain():
    r = drift_log_range(1 / 6, np.array([1e5, 2e5]))
    assert np.diff(drift_log_tier_ratio(r)) / 1e5 == pytest.approx(np.log(6) / 2, rel=1e-4)


def test_the_variance_of_equally_spaced_layers_grows_with_the_square_of_depth():
    layers = np.repeat(np.arange(20), 10) * np.log(1 / 6)
    variance = log_moments(np.exp(layers)).variance
    assert drift_log_variance(1 / 6, 20) == pytest.approx(float(variance), rel=1e-12)
    quotient = drift_log_variance(1 / 6, 200) / drift_log_variance(1 / 6, 100)
    assert quotient == pytest.approx(4, rel=1e-3)


def test_impossible_arguments_are_refused_by_value():
    with pytest.raises(ValueError, match=r"log_range -2\.0"):
        drift_log_tier_ratio(-2.0)
    with pytest.raises(ValueError, match=r"alpha 1\.5"):
        drift_log_tier_ratio(1.0, alpha=1.5)
