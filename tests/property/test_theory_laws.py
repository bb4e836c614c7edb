"""Laws of ln F hold for all variances, tiers, levels and ranges."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fimtiers.theory.drift import drift_log_tier_ratio
from fimtiers.theory.hanin_nica import exact_log_norm_moments
from fimtiers.theory.log_normal import (
    large_variance_log_ratio,
    log_tier_ratio,
    small_variance_log_ratio,
    variance_for_log_ratio,
)
from fimtiers.theory.log_normal_mixture import mixture_log_tier_ratio
from fimtiers.theory.mean_field import ACTIVATIONS, layer_profile

variances = st.floats(1e-3, 1e4)
tiers = st.tuples(st.floats(0.5, 0.999), st.floats(0.01, 0.5))


@given(variances, st.floats(1e-3, 10), tiers)
def test_more_variance_gives_a_larger_ratio(v, more, quantiles):
    assert log_tier_ratio(v + more, *quantiles) > log_tier_ratio(v, *quantiles) > 0


@given(variances, tiers)
def test_the_ratio_grows_at_least_like_half_the_variance(v, quantiles):
    assert log_tier_ratio(v, *quantiles) >= v / 2


@given(st.floats(200, 1e6))
def test_the_square_root_law_is_too_small_at_large_variance_and_the_limit_is_not(v):
    exact = log_tier_ratio(v)
    assert small_variance_log_ratio(v) < exact / 2
    assert abs(large_variance_log_ratio(v) - exact) < 0.01


@given(st.floats(0, 1e4), tiers)
def test_the_variance_is_recovered_from_the_ratio(log_ratio, quantiles):
    v = variance_for_log_ratio(log_ratio, *quantiles)
    np.testing.assert_allclose(log_tier_ratio(v, *quantiles), log_ratio, rtol=1e-6, atol=1e-5)


components = st.lists(
    st.tuples(st.floats(-50, 50), st.floats(0.05, 20), st.floats(0.1, 10)), min_size=1, max_size=6
)


@given(components, st.floats(-100, 100), st.floats(0, 0.4), st.randoms())
def test_a_mixture_does_not_depend_on_the_unit_of_f_or_the_order_of_its_parts(
    parts, shift, zeros, random
):
    mean, variance, weight = np.array(parts).T
    ratio = mixture_log_tier_ratio(mean, variance, weight, zeros)
    order = list(range(len(parts)))
    random.shuffle(order)
    moved = mixture_log_tier_ratio(mean[order] + shift, variance[order], 3 * weight[order], zeros)
    assert ratio >= 0
    np.testing.assert_allclose(moved, ratio, rtol=1e-6, atol=1e-8)


@given(components, st.floats(0, 0.2), st.floats(0.01, 0.2))
def test_more_zeros_give_a_larger_ratio(parts, zeros, more):
    mean, variance, weight = np.array(parts).T
    ratios = [mixture_log_tier_ratio(mean, variance, weight, z) for z in (zeros, zeros + more)]
    assert ratios[1] > ratios[0] - 1e-9


@given(st.floats(0, 1e5), st.floats(1e-3, 10), tiers)
def test_more_drift_gives_a_larger_ratio_within_the_range(r, more, quantiles):
    ratio = drift_log_tier_ratio(np.array([r, r + more]), *quantiles)
    assert ratio[1] > ratio[0] >= 0
    assert ratio[1] <= r + more


@given(st.lists(st.integers(4, 500), min_size=1, max_size=10), st.integers(4, 500))
def test_layers_add_their_fluctuation(widths, extra):
    alone, joined = exact_log_norm_moments([extra]), exact_log_norm_moments([*widths, extra])
    np.testing.assert_allclose(np.add(exact_log_norm_moments(widths), alone), joined)
    assert joined[0] < 0 < joined[1]


@given(
    st.lists(st.integers(1, 100), min_size=2, max_size=12),
    st.sampled_from(list(ACTIVATIONS)),
    st.sampled_from(["torch_default", "he_normal"]),
)
def test_a_profile_has_one_finite_value_per_layer(sizes, activation, initialisation):
    profile = layer_profile(sizes, activation, initialisation)
    assert profile.log_weight_fisher.shape == profile.log_bias_fisher.shape == (len(sizes) - 1,)
    assert profile.gain.shape == (len(sizes) - 2,)
    assert np.isfinite(profile.log_weight_fisher).all()
    assert profile.log_range >= 0
