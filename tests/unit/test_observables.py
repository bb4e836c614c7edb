"""Observables of spectra, weights and Jacobians on arrays with known answers."""

import numpy as np
import pytest

from fimtiers.statistics import observables


def test_top_to_median_and_lower_half_of_a_known_spectrum():
    eigenvalues = np.array([8.0, 1.0, 4.0, 2.0])
    assert observables.top_to_median(eigenvalues) == 8 / 3
    assert observables.top_to_lower_half(eigenvalues) == 8 / 1.5


def test_eigenvalues_below_the_floor_do_not_count():
    eigenvalues = np.array([8.0, 1.0, 4.0, 2.0, 1e-21, 0.0, -1e-9])
    assert observables.top_to_median(eigenvalues) == 8 / 3


def test_fewer_than_four_eigenvalues_give_no_number():
    eigenvalues = np.array([3.0, 2.0, 1.0, 0.0])
    assert np.isnan(observables.top_to_median(eigenvalues))
    assert np.isnan(observables.top_to_lower_half(eigenvalues))


def test_the_top_is_one_percent_of_a_long_spectrum():
    eigenvalues = np.arange(1.0, 201.0)
    assert observables.top_to_lower_half(eigenvalues) == 199.5 / 50.5


def test_tail_exponent_of_a_pareto_spectrum_is_its_exponent():
    # The quantiles of a Pareto law with density ∝ s^−3.
    quantiles = (1 - (np.arange(4000) + 0.5) / 4000) ** (-1 / 2)
    weight = np.diag(quantiles[-400:])
    assert observables.weight_tail_exponent([weight]) == pytest.approx(3, rel=0.02)


def test_tail_exponent_of_two_layers_is_their_mean_and_small_layers_do_not_count():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 30, 12))
    each = [observables.weight_tail_exponent([weight]) for weight in (first, second)]
    both = observables.weight_tail_exponent([first, np.eye(4, 20), second])
    assert both == pytest.approx(np.mean(each))
    assert np.isnan(observables.weight_tail_exponent([np.eye(4, 20)]))


def test_tail_exponent_does_not_depend_on_the_scale():
    weight = np.random.default_rng(1).standard_normal((20, 20))
    expected = observables.weight_tail_exponent([weight])
    assert observables.weight_tail_exponent([1e3 * weight]) == pytest.approx(expected)


def test_jacobian_condition_leaves_out_vanishing_singular_values():
    values = np.array([[4.0, 2.0, 0.0], [9.0, 3.0, 1.0]])
    assert observables.jacobian_condition(values) == (2 + 9) / 2


def test_jacobian_condition_of_nothing_is_not_a_number():
    assert np.isnan(observables.jacobian_condition(np.empty((3, 0))))


@pytest.mark.parametrize(
    ("deep", "rest", "sign"),
    [
        ([3, 4], [1, 2], 1),
        ([1, 2], [3, np.nan], -1),
        ([1, 3], [2, 2], 0),
        ([2, 3], [2, 1], 0),
        ([np.inf, 1], [0], 1),
        ([np.nan], [1], 0),
    ],
)
def test_separation_compares_the_extremes_of_finite_values(deep, rest, sign):
    assert observables.separation(np.array(deep, float), np.array(rest, float)) == sign
