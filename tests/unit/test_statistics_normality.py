"""Normality of ln F: size and power of the test, and agreement with scipy."""

import numpy as np
import pytest
from scipy import stats

from fimtiers.statistics.normality import log_normality, mean_over_seeds
from fimtiers.tiers import log_moments


def test_one_in_a_hundred_log_normal_samples_is_called_not_normal():
    z = np.random.default_rng(0).standard_normal((4000, 200))
    rejected = 1 - log_normality(np.exp(2 * z - 5)).normal.mean()
    assert rejected == pytest.approx(0.01, abs=0.006)


def test_the_statistics_are_those_of_scipy():
    fim = np.random.default_rng(0).gamma(2.0, size=(3, 500))
    result = log_normality(fim)
    logs = np.log(fim)
    z = (logs - logs.mean(1, keepdims=True)) / logs.std(1, keepdims=True)
    np.testing.assert_allclose(result.skewness, stats.skew(logs, axis=1))
    np.testing.assert_allclose(result.excess_kurtosis, stats.kurtosis(logs, axis=1))
    expected = [stats.kstest(row, "norm").statistic for row in z]
    np.testing.assert_allclose(result.kolmogorov_distance, expected)
    np.testing.assert_allclose(result.skewness, log_moments(fim).skewness)


def test_a_square_of_a_normal_variable_is_not_log_normal():
    chi_square = np.random.default_rng(0).standard_normal(2000) ** 2
    result = log_normality(chi_square)
    assert not result.normal
    assert result.skewness < -1
    assert result.skewness_score < -20


def test_drifting_layers_are_normal_only_once_their_level_and_scale_are_removed():
    rng = np.random.default_rng(0)
    layer = np.repeat(np.arange(4), 5000)
    fim = np.exp(10 * layer + (1 + layer) * rng.standard_normal(20_000))
    assert not log_normality(fim).normal
    assert log_normality(fim, layer).normal
    assert log_normality(fim, layer).kolmogorov_distance < 0.01


def test_zeros_and_constant_groups_are_left_out():
    rng = np.random.default_rng(0)
    fim = np.exp(rng.standard_normal(1000))
    padded = np.concatenate([fim, np.zeros(500), np.full(700, 0.1)])
    group = np.repeat([0, 1, 2], [1000, 500, 700])
    inside, alone = log_normality(padded, group), log_normality(fim)
    assert inside.positive_count == 1000
    np.testing.assert_allclose(inside.kolmogorov_distance, alone.kolmogorov_distance)


@pytest.mark.parametrize("fim", [np.zeros(100), np.ones(100), np.arange(10.0)])
def test_too_few_or_equal_values_are_not_tested(fim):
    result = log_normality(fim)
    assert np.isnan(result.kolmogorov_distance)
    assert not result.normal


def test_a_moment_is_tested_over_seeds():
    value = np.array([0.1, 0.5, 0.3, 0.2])
    result = mean_over_seeds(value)
    assert result.mean == pytest.approx(0.275)
    assert result.p_value == pytest.approx(stats.ttest_1samp(value, 0).pvalue)
    assert result.standard_error == pytest.approx(stats.sem(value))
    assert np.isnan(mean_over_seeds(value[:1]).p_value)


def test_a_group_per_parameter_is_expected():
    with pytest.raises(ValueError, match=r"group has shape \(3,\); fim has 4"):
        log_normality(np.ones(4), np.zeros(3, int))
