"""The tier ratio of a mixture of log-normals: one component, samples, zeros."""

import numpy as np
import pytest

from fimtiers.theory.log_normal import log_tier_ratio
from fimtiers.theory.log_normal_mixture import mixture_log_tier_ratio
from fimtiers.tiers import tier_ratio


@pytest.mark.parametrize("v", [0.1, 4.0, 100.0])
def test_equal_components_give_the_ratio_of_a_single_log_normal(v):
    ratio = mixture_log_tier_ratio(np.full(3, -7.0), np.full(3, v), np.array([1.0, 2, 5]))
    assert ratio == pytest.approx(log_tier_ratio(v), rel=1e-9)


@pytest.mark.parametrize("zeros", [0.0, 0.3])
def test_a_mixture_has_the_ratio_of_a_large_sample(zeros):
    rng = np.random.default_rng(0)
    mean, variance, count = np.array([-6.0, -2.0, 0.0]), np.array([2.0, 0.5, 1.0]), [50, 30, 20]
    sample = np.concatenate([
        np.exp(m + np.sqrt(v) * rng.standard_normal(10_000 * n))
        for m, v, n in zip(mean, variance, count, strict=True)
    ])  # fmt: skip
    sample = np.append(sample, np.zeros(round(len(sample) * zeros / (1 - zeros))))
    predicted = mixture_log_tier_ratio(mean, variance, np.array(count, float), zeros)
    assert np.log(tier_ratio(sample)) == pytest.approx(predicted, abs=0.02)


def test_zeros_that_fill_tier_3_make_the_ratio_infinite():
    one = np.ones(1)
    assert mixture_log_tier_ratio(one, one, one, zero_fraction=0.5) == np.inf


def test_far_apart_components_do_not_overflow():
    ratio = mixture_log_tier_ratio(np.array([-900.0, 900]), np.array([1.0, 1]), np.array([6.0, 4]))
    assert 1790 < ratio < 1815


def test_impossible_mixtures_are_refused_by_value():
    one = np.ones(1)
    with pytest.raises(ValueError, match="variances \\[0"):
        mixture_log_tier_ratio(one, 0 * one, one)
    with pytest.raises(ValueError, match=r"zero_fraction 0\.99"):
        mixture_log_tier_ratio(one, one, one, zero_fraction=0.99)
