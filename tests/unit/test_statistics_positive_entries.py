"""The tier ratio over positive entries."""

import numpy as np

from fimtiers.statistics.positive_entries import positive_ratio
from fimtiers.tiers import tier_ratio


def test_zeros_are_left_out_and_change_nothing_else():
    kept = np.arange(1.0, 9.0)
    with_zeros = np.concatenate([np.zeros(20), kept])
    assert np.isinf(tier_ratio(with_zeros))
    np.testing.assert_array_equal(positive_ratio(with_zeros[None]), tier_ratio(kept[None]))


def test_without_zeros_it_is_the_tier_ratio():
    fim = np.random.default_rng(0).chisquare(1, size=(3, 50))
    np.testing.assert_array_equal(positive_ratio(fim), tier_ratio(fim))


def test_of_nothing_but_zeros_it_is_undefined():
    assert np.isnan(positive_ratio(np.zeros((1, 5)))).all()
