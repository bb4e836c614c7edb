"""Comparisons of depth laws, normality and spectra do not depend on units or order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fimtiers.statistics.depth_law import RATIO_LAWS, compare_depth_laws, fit_means
from fimtiers.statistics.normality import log_normality
from fimtiers.statistics.spectrum import compare_with_spectrum

seeds = st.integers(0, 2**32 - 1)


def runs(seed):
    rng = np.random.default_rng(seed)
    depth = np.repeat([2.0, 4, 8, 16], 3)
    return rng, depth + rng.standard_normal(12), depth, np.tile(np.arange(3), 4)


@given(seeds, st.floats(0.1, 10), st.floats(-100, 100))
def test_a_change_of_unit_changes_coefficients_and_no_verdict(seed, scale, shift):
    _, value, depth, label = runs(seed)
    table = compare_depth_laws(value, depth, label, RATIO_LAWS)
    moved = compare_depth_laws(scale * value + shift, depth, label, RATIO_LAWS)
    for name in ("akaike_weight", "lack_of_fit_p", "r_squared"):
        np.testing.assert_allclose(moved[name], table[name], rtol=1e-5, atol=1e-9)
    for name in ("slope", "slope_error", "held_out_error", "held_out_standard_error"):
        np.testing.assert_allclose(moved[name], scale * table[name], rtol=1e-6, atol=1e-8)


@given(seeds)
def test_the_order_of_runs_does_not_matter(seed):
    rng, value, depth, label = runs(seed)
    order = rng.permutation(12)
    table = compare_depth_laws(value, depth, label, RATIO_LAWS)
    moved = compare_depth_laws(value[order], depth[order], label[order], RATIO_LAWS)
    np.testing.assert_allclose(moved.iloc[:, 1:], table.iloc[:, 1:], rtol=1e-7, atol=1e-9)
    line, other = fit_means(depth, value), fit_means(depth[order], value[order])
    np.testing.assert_allclose(other.slope, line.slope, rtol=1e-9)


@given(seeds, st.floats(0.2, 5), st.floats(-50, 50))
def test_normality_of_ln_f_does_not_depend_on_the_unit_or_a_power_of_f(seed, power, shift):
    logs = np.random.default_rng(seed).gumbel(size=(2, 100))
    plain, moved = log_normality(np.exp(logs)), log_normality(np.exp(power * logs + shift))
    np.testing.assert_allclose(moved.skewness, plain.skewness, atol=1e-8)
    np.testing.assert_allclose(moved.kolmogorov_distance, plain.kolmogorov_distance, atol=1e-8)


@given(seeds, st.integers(2, 30), st.integers(2, 30))
def test_the_spectrum_of_any_gradients_is_at_least_as_concentrated_as_its_diagonal(seed, n, p):
    gradients = np.random.default_rng(seed).standard_normal((n, p))
    matrix = gradients.T @ gradients / n if p <= n else gradients @ gradients.T / n
    eigenvalues = np.linalg.eigvalsh(matrix)[None]
    comparison = compare_with_spectrum((gradients**2).mean(axis=0)[None], eigenvalues)
    assert comparison.rank == min(n, p)
    assert comparison.spectrum_participation <= comparison.diagonal_participation * (1 + 1e-9)
    assert comparison.spectrum_tier1_mean >= comparison.diagonal_tier1_mean * (1 - 1e-9)
