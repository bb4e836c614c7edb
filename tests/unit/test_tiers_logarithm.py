import numpy as np
import pytest
from scipy import stats

from fimtiers.tiers import log_moments, log_variance_between_groups, quantile_ratio


def test_moments_are_those_of_the_logarithms_of_positive_entries():
    logs = 2 * np.random.default_rng(0).standard_gamma(2, size=500)
    moments = log_moments(np.concatenate([np.exp(logs), np.zeros(100)]))
    assert moments.positive_count == 500
    assert moments.mean == pytest.approx(logs.mean())
    assert moments.variance == pytest.approx(logs.var())
    assert moments.skewness == pytest.approx(stats.skew(logs))
    assert moments.excess_kurtosis == pytest.approx(stats.kurtosis(logs))


def test_moments_are_undefined_with_fewer_than_ten_positive_entries():
    moments = log_moments(np.concatenate([np.ones(9), np.zeros(91)]))
    assert np.isnan([moments.mean, moments.variance, moments.skewness]).all()
    assert moments.positive_count == 9


def test_equal_entries_have_no_variance_and_no_shape():
    moments = log_moments(np.full(100, 0.1))
    assert moments.variance == 0
    assert np.isnan([moments.skewness, moments.excess_kurtosis]).all()


def test_variance_is_between_groups_if_each_group_is_constant():
    group = np.repeat([5, 2, 9], 20)
    split = log_variance_between_groups(np.exp(group.astype(float)), group)
    assert split.between == pytest.approx(np.var([5, 2, 9]))
    assert split.within == pytest.approx(0)


def test_variance_is_within_groups_if_all_groups_are_alike():
    values = np.exp(np.random.default_rng(1).standard_normal(50))
    split = log_variance_between_groups(np.tile(values, 4), np.repeat(np.arange(4), 50))
    assert split.between == pytest.approx(0, abs=1e-25)
    assert split.within == pytest.approx(np.log(values).var())


def test_the_parts_add_up_to_the_variance_of_log_f_with_zeros_left_out():
    generator = np.random.default_rng(2)
    fim = np.exp(3 * generator.standard_normal((4, 600)))
    fim[:, generator.random(600) < 0.3] = 0
    group = generator.integers(0, 5, 600)
    fim[:, group == 4] = 0
    split = log_variance_between_groups(fim, group)
    np.testing.assert_allclose(split.between + split.within, log_moments(fim).variance, rtol=1e-12)


def test_groups_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"group has shape \(3,\); fim has 10 parameters"):
        log_variance_between_groups(np.ones(10), np.zeros(3, int))


def test_the_quantile_ratio_interpolates_between_order_statistics():
    assert quantile_ratio(np.arange(101.0)) == 99 / 25


def test_the_quantile_ratio_is_infinite_once_a_quarter_is_zero():
    assert quantile_ratio(np.concatenate([np.zeros(30), np.ones(70)])) == np.inf
    with pytest.raises(ValueError, match="expected 0 ≤ lower < upper"):
        quantile_ratio(np.ones(10), upper=0.2, lower=0.3)
