import math

import numpy as np
import pytest

from fimtiers.tiers import (
    PUBLISHED_RULES,
    cut_tiers,
    published_ratio,
    published_top_mass,
    smallest_tenth_ratio,
    tier_ratio,
)


@pytest.fixture
def lognormal():
    return np.exp(2 * np.random.default_rng(0).standard_normal((3, 2000)))


def with_zeros(zeros, positive):
    return np.concatenate([np.zeros(zeros), np.asarray(positive, dtype=float)])


@pytest.mark.parametrize("rule", [r for r in PUBLISHED_RULES if not r.startswith("percentile")])
def test_all_counting_rules_agree_on_positive_values_of_an_even_number(rule, lognormal):
    np.testing.assert_allclose(published_ratio(lognormal, rule), tier_ratio(lognormal), rtol=1e-14)


def test_the_percentile_rules_take_one_more_value_into_the_top_where_the_rank_is_broken(lognormal):
    ordered = np.sort(lognormal[0, :1940])
    # 0.01 (n − 1) = 19.39, so 20 values are at or above the percentile, where the count rule has 19
    expected = ordered[-20:].mean() / ordered[:970].mean()
    for rule in ("percentile", "percentile_constant_floor"):
        assert published_ratio(lognormal[0, :1940], rule) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("n", "top"), [(4240, 43), (14608, 147), (53776, 538), (205840, 2059)])
def test_the_percentile_rule_has_the_published_top_sizes_of_the_four_networks(n, top):
    fim = np.arange(1.0, n + 1)
    expected = fim[-top:].mean() / fim[: n // 2].mean()
    assert published_ratio(fim, "percentile") == pytest.approx(expected, rel=1e-14)


def test_zeros_are_replaced_by_the_smallest_positive_value():
    fim = with_zeros(60, np.arange(1, 41))
    assert published_ratio(fim, "smallest_positive_floor") == 40 / 1


def test_a_bottom_mean_below_1e_20_counts_as_zero_for_the_smallest_positive_floor_only():
    fim = with_zeros(50, [1e-21] * 10 + [1.0] * 40)
    fim[:50] = 1e-22
    assert published_ratio(fim, "smallest_positive_floor") == 1e10
    assert published_ratio(fim, "smallest_tenth_floor") == pytest.approx(1e22)


def test_the_smallest_positive_floor_caps_the_ratio_at_1e10():
    fim = with_zeros(60, [1e-15] + [1.0] * 39)
    assert published_ratio(fim, "smallest_positive_floor") == 1e10


def test_the_smallest_positive_floor_takes_a_tenth_as_top_below_twenty_parameters():
    fim = np.arange(1.0, 20.0)
    assert published_ratio(fim, "smallest_positive_floor") == 19 / fim[:9].mean()


def test_zeros_are_replaced_by_the_mean_of_the_smallest_tenth_of_positive_values():
    fim = with_zeros(160, np.arange(1, 41))
    for rule in ("smallest_tenth_floor", "percentile", "rounded_up_half"):
        expected = {"percentile": 39.5}.get(rule, 39.5) / 2.5
        assert published_ratio(fim, rule) == expected


def test_an_empty_bottom_is_replaced_by_1e_20_under_the_constant_floor():
    fim = with_zeros(160, np.arange(1, 41))
    assert published_ratio(fim, "percentile_constant_floor") == pytest.approx(39.5e20)


def test_the_infinite_rule_is_infinite_at_zero_and_undefined_below_a_hundred_parameters():
    assert published_ratio(with_zeros(160, np.ones(40)), "infinite_at_zero") == math.inf
    assert np.isnan(published_ratio(np.ones(99), "infinite_at_zero"))


def test_an_odd_number_of_parameters_has_a_larger_bottom_under_the_rounded_up_rule():
    fim = np.arange(1.0, 102.0)
    assert published_ratio(fim, "rounded_up_half") == 101 / fim[:51].mean()
    assert published_ratio(fim, "smallest_tenth_floor") == 101 / fim[:50].mean()


def test_one_rule_keeps_single_precision_and_refuses_small_systems():
    fim = np.random.default_rng(0).exponential(size=10_001).astype(np.float32)
    ordered = np.sort(fim)
    expected = ordered[-100:].mean() / ordered[:5001].mean()
    assert expected.dtype == np.float32
    measured = published_ratio(fim, "rounded_up_half_input_precision")
    assert measured == pytest.approx(float(expected), rel=1e-7)
    with pytest.raises(ValueError, match="at least 100"):
        published_ratio(np.ones(99), "rounded_up_half_input_precision")


def test_a_diagonal_of_zeros_has_ratio_zero_under_the_floors():
    for rule in ("smallest_positive_floor", "smallest_tenth_floor", "percentile"):
        assert published_ratio(np.zeros(200), rule) == 0


def test_an_unknown_rule_is_refused_with_the_rules_there_are():
    with pytest.raises(ValueError, match="'floor'; allowed: smallest_positive_floor"):
        published_ratio(np.ones(100), "floor")


def test_other_tier_sizes_use_the_same_floor(lognormal):
    np.testing.assert_allclose(
        smallest_tenth_ratio(lognormal, 5, 30), cut_tiers(lognormal, 5, 30).ratio, rtol=1e-14
    )
    assert smallest_tenth_ratio(with_zeros(160, np.arange(1, 41)), 1, 10) == 39.5 / 2.5


def test_the_published_top_mass_of_equal_values_is_one_percent():
    assert published_top_mass(np.ones(500)) == pytest.approx(0.01)
