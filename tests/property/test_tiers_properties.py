import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fimtiers.tiers import (
    PUBLISHED_RULES,
    cut_tiers,
    effective_rank,
    gini_coefficient,
    log_moments,
    log_variance_between_groups,
    published_ratio,
    quantile_ratio,
    summarise,
    tier_ratio,
    top_mass,
)

entry = st.one_of(st.just(0.0), st.floats(1e-30, 1e30))
diagonals = st.integers(1, 300).flatmap(lambda n: arrays(np.float64, n, elements=entry))
positive_diagonals = st.integers(100, 300).flatmap(
    lambda n: arrays(np.float64, n, elements=st.floats(1e-12, 1e12))
)


@given(diagonals)
def test_tier_means_are_in_order_and_the_ratio_is_at_least_one(fim):
    tiers = cut_tiers(fim)
    assert tiers.tier1_mean >= tiers.tier3_mean * (1 - 1e-12)
    assert np.isnan(tiers.ratio) or tiers.ratio >= 1 - 1e-12
    if not np.isnan(tiers.tier2_mean):
        assert tiers.tier1_mean * (1 + 1e-12) >= tiers.tier2_mean
        assert tiers.tier2_mean >= tiers.tier3_mean * (1 - 1e-12)


@given(diagonals)
def test_the_ratio_is_infinite_exactly_if_the_bottom_is_zero_and_the_top_is_not(fim):
    bottom = np.sort(fim)[: max(1, len(fim) // 2)]
    assert np.isinf(tier_ratio(fim)) == (not bottom.any() and fim.any())


@given(diagonals, st.randoms(use_true_random=False))
def test_no_statistic_depends_on_the_order_of_the_parameters(fim, random):
    shuffled = fim[random.sample(range(len(fim)), len(fim))]
    for name, value in summarise(fim).items():
        np.testing.assert_array_equal(summarise(shuffled)[name], value, err_msg=name)


@given(positive_diagonals, st.integers(-20, 20))
def test_no_ratio_depends_on_the_unit_of_f(fim, exponent):
    scaled = fim * 2.0**exponent
    assume((scaled > 1e-16).all())
    for statistic in (tier_ratio, gini_coefficient, effective_rank, top_mass, quantile_ratio):
        np.testing.assert_allclose(statistic(scaled), statistic(fim), rtol=1e-12, atol=1e-14)
    for rule in PUBLISHED_RULES.keys() - {"percentile_constant_floor"}:
        np.testing.assert_allclose(
            published_ratio(scaled, rule), published_ratio(fim, rule), rtol=1e-12
        )


def test_one_published_floor_depends_on_the_unit_of_f_because_equal_values_have_none_below():
    ratio = published_ratio(
        np.array([np.ones(100), np.full(100, 2.0)]), "percentile_constant_floor"
    )
    np.testing.assert_allclose(ratio, [1e20, 2e20])


@given(diagonals)
def test_concentration_stays_in_its_bounds(fim):
    n = len(fim)
    assert -1e-12 <= gini_coefficient(fim) <= 1 - 1 / n + 1e-12
    if fim.any():
        assert 1 / n - 1e-12 <= effective_rank(fim) <= 1 + 1e-12
        assert effective_rank(fim, normalise="positive") >= effective_rank(fim)
        assert 1 / n - 1e-12 <= top_mass(fim) <= 1 + 1e-12
        assert top_mass(fim, rounding="ceil") >= top_mass(fim)


@given(positive_diagonals, st.integers(2, 5))
def test_repeating_every_parameter_leaves_the_gini_coefficient_and_effective_rank(fim, times):
    repeated = np.repeat(fim, times)
    np.testing.assert_allclose(gini_coefficient(repeated), gini_coefficient(fim), atol=1e-12)
    np.testing.assert_allclose(effective_rank(repeated), effective_rank(fim), rtol=1e-12)


@given(positive_diagonals, st.integers(1, 6))
def test_variance_of_log_f_is_the_sum_of_its_parts(fim, groups):
    split = log_variance_between_groups(fim, np.arange(len(fim)) % groups)
    assert split.between >= 0
    assert split.within >= 0
    variance = log_moments(fim).variance
    np.testing.assert_allclose(split.between + split.within, variance, rtol=1e-9, atol=1e-20)


@given(diagonals.filter(lambda fim: len(fim) >= 100))
def test_the_published_floors_never_give_an_infinite_ratio(fim):
    for rule in ("smallest_positive_floor", "smallest_tenth_floor", "percentile"):
        assert np.isfinite(published_ratio(fim, rule))


@given(positive_diagonals)
def test_published_and_canonical_ratio_agree_where_nothing_is_zero(fim):
    assume(len(fim) % 2 == 0)
    assert published_ratio(fim, "smallest_tenth_floor") == pytest.approx(tier_ratio(fim), rel=1e-12)
