import math

import numpy as np
import pytest

from fimtiers.tiers import cut_tiers, tier_ratio, tier_size, zero_fraction


def test_a_uniform_diagonal_has_tier_ratio_exactly_one():
    assert tier_ratio(np.full((3, 1000), 0.3)).tolist() == [1.0, 1.0, 1.0]


def test_the_tiers_of_1_to_1000_are_the_top_ten_the_middle_490_and_the_bottom_500():
    tiers = cut_tiers(np.random.default_rng(0).permutation(np.arange(1.0, 1001)))
    assert tiers.tier1_mean == np.arange(991, 1001).mean()
    assert tiers.tier2_mean == np.arange(501, 991).mean()
    assert tiers.tier3_mean == np.arange(1, 501).mean()
    assert tiers.ratio == 995.5 / 250.5


def test_every_row_is_cut_by_itself_and_the_last_axis_disappears():
    fim = np.random.default_rng(1).exponential(size=(2, 3, 400))
    ratio = tier_ratio(fim)
    assert ratio.shape == (2, 3)
    assert ratio[1, 2] == tier_ratio(fim[1, 2])


@pytest.mark.parametrize("n", [1, 2, 99, 100, 199, 330, 700, 1056, 4240, 5700, 16384, 205840])
def test_tier_sizes_are_whole_percents_rounded_down_but_at_least_one(n):
    assert tier_size(n, 1.0) == max(1, n // 100) == max(1, int(n * 0.01))
    assert tier_size(n, 50.0) == max(1, n // 2)


def test_a_bottom_of_zeros_gives_an_infinite_ratio_and_is_not_replaced():
    fim = np.concatenate([np.zeros(50), np.ones(50)])
    assert tier_ratio(fim) == math.inf
    assert zero_fraction(fim) == 0.5


def test_a_single_positive_value_in_the_bottom_makes_the_ratio_finite():
    fim = np.concatenate([np.zeros(49), [1e-300], np.ones(50)])
    assert np.isfinite(tier_ratio(fim))


def test_a_diagonal_of_zeros_has_no_ratio():
    assert np.isnan(tier_ratio(np.zeros(200)))


def test_one_parameter_is_its_own_top_and_bottom_and_has_no_middle():
    tiers = cut_tiers(np.array([2.0]))
    assert (tiers.tier1_mean, tiers.tier3_mean, tiers.ratio) == (2.0, 2.0, 1.0)
    assert np.isnan(tiers.tier2_mean)


def test_single_precision_values_are_averaged_in_double_precision():
    fim = np.full(2_000_000, np.float32(0.1))
    assert cut_tiers(fim).tier3_mean == pytest.approx(float(np.float32(0.1)), rel=1e-15)


@pytest.mark.parametrize("wrong", [-1e-30, np.nan, np.inf])
def test_a_diagonal_with_a_negative_or_infinite_entry_is_refused_by_value(wrong):
    with pytest.raises(ValueError, match="finite and not negative"):
        tier_ratio(np.array([1.0, wrong]))


@pytest.mark.parametrize("shape", [(0,), (), (3, 0)])
def test_an_empty_diagonal_is_refused(shape):
    with pytest.raises(ValueError, match="not empty"):
        tier_ratio(np.zeros(shape))


def test_tiers_that_overlap_are_refused():
    with pytest.raises(ValueError, match="at most 100"):
        cut_tiers(np.ones(10), top_percent=60, bottom_percent=50)
