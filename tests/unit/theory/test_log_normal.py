"""The tier ratio of a log-normal: Monte Carlo, quadrature, limits, published constants."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from fimtiers.theory.log_normal import (
    large_variance_log_ratio,
    log_tier_ratio,
    published_slope,
    small_variance_log_ratio,
    variance_for_log_ratio,
)
from fimtiers.tiers import tier_ratio


@pytest.mark.parametrize(("s", "tolerance"), [(0.5, 2e-3), (1.0, 5e-3), (2.0, 0.02)])
def test_the_exact_ratio_is_that_of_a_large_log_normal_sample(s, tolerance):
    sample = np.exp(s * np.random.default_rng(0).standard_normal(1_000_000))
    assert np.log(tier_ratio(sample)) == pytest.approx(log_tier_ratio(s**2), abs=tolerance)


@pytest.mark.parametrize(("alpha", "beta"), [(0.99, 0.5), (0.9, 0.3), (0.6, 0.6), (0.3, 0.1)])
@pytest.mark.parametrize("v", [0.01, 1.0, 9.0])
def test_the_exact_ratio_is_the_quotient_of_two_gaussian_integrals_for_any_tiers(alpha, beta, v):
    s, z_alpha, z_beta = np.sqrt(v), norm.ppf(alpha), norm.ppf(beta)

    def density(z):
        return norm.pdf(z) * np.exp(s * z)

    upper = quad(density, z_alpha, s + 15)[0] / (1 - alpha)
    lower = quad(density, -15, z_beta)[0] / beta
    assert log_tier_ratio(v, alpha, beta) == pytest.approx(np.log(upper / lower), abs=1e-6)


@pytest.mark.parametrize("v", [1e-6, 0.5, 30, 400, 1e4, 1e6])
def test_the_logarithm_is_stable_where_the_ratio_overflows(v):
    mpmath.mp.dps = 30
    s, z = mpmath.sqrt(v), mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf("0.99") - 1)
    phi = lambda x: mpmath.erfc(-x / mpmath.sqrt(2)) / 2  # noqa: E731
    exact = mpmath.log(50 * phi(s - z) / phi(-s))
    assert float(log_tier_ratio(v)) == pytest.approx(float(exact), rel=1e-10)


@pytest.mark.parametrize(
    ("v", "exact", "linear"),
    [  # table in the analysis of the published theorem
        (0.1, 1.0832, 1.0951), (0.5, 2.3970, 2.4488), (1, 3.3710, 3.4631), (2, 4.7447, 4.8976),
        (4, 6.7066, 6.9262), (8, 9.6022, 9.7951), (12, 12.0075, 11.9965), (20, 16.3577, 15.4874),
        (30, 21.5617, 18.9682), (50, 31.8061, 24.4878), (80, 47.0341, 30.9749),
        (107, 60.6765, 35.8226),
    ],
)  # fmt: skip
def test_exact_and_published_logarithms_have_the_tabulated_values(v, exact, linear):
    assert log_tier_ratio(v) == pytest.approx(exact, abs=6e-5)
    assert small_variance_log_ratio(v) == pytest.approx(linear, abs=6e-5)


@pytest.mark.parametrize(
    ("v", "quotient"),
    [(1, 0.973), (4, 0.968), (11.4, 0.997), (22.8, 1.078), (57, 1.35), (100, 1.65), (400, 3.0)],
)
def test_exact_over_published_logarithm_has_the_tabulated_quotients(v, quotient):
    measured = log_tier_ratio(v) / small_variance_log_ratio(v)
    assert measured == pytest.approx(quotient, rel=6e-4 if v < 57 else 3e-3)


def test_without_variance_the_ratio_is_one():
    assert log_tier_ratio(0) == pytest.approx(0, abs=1e-15)
    assert log_tier_ratio(0, 0.9, 0.2) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(("alpha", "beta"), [(0.99, 0.5), (0.9, 0.3)])
def test_the_expansion_at_small_variance_has_errors_of_the_next_order(alpha, beta):
    for order in (1, 2):
        errors = [
            abs(log_tier_ratio(v, alpha, beta) - small_variance_log_ratio(v, order, alpha, beta))
            for v in (1e-4, 4e-4)
        ]
        assert errors[1] / errors[0] == pytest.approx(2 ** (order + 1), rel=0.02)


def test_the_second_order_term_does_not_cancel():
    second = small_variance_log_ratio(1, order=2) - small_variance_log_ratio(1)
    assert second == pytest.approx(-0.1333, abs=5e-5)


@pytest.mark.parametrize(("alpha", "beta"), [(0.99, 0.5), (0.9, 0.3), (0.8, 0.7)])
def test_the_limit_at_large_variance_is_approached(alpha, beta):
    errors = [
        abs(log_tier_ratio(v, alpha, beta) - large_variance_log_ratio(v, alpha, beta))
        for v in (100, 1000, 10_000)
    ]
    assert errors[0] < 0.02
    assert errors[1] < errors[0] / 5
    assert errors[2] < errors[1] / 5


def test_if_variance_grows_with_depth_the_log_ratio_ends_up_linear_in_depth():
    depth = np.array([1e4, 2e4, 4e4])
    assert np.diff(log_tier_ratio(depth))[1] / np.diff(log_tier_ratio(depth))[0] == pytest.approx(
        2, rel=1e-3
    )


def test_the_square_root_law_is_within_four_percent_up_to_variance_17_and_not_beyond():
    v = np.linspace(0.01, 17, 1000)
    quotient = log_tier_ratio(v) / small_variance_log_ratio(v)
    assert np.abs(quotient - 1).max() < 0.035
    assert log_tier_ratio(50) / small_variance_log_ratio(50) > 1.29


@pytest.mark.parametrize("v", [0.0, 0.3, 12.0, 500.0])
@pytest.mark.parametrize(("alpha", "beta"), [(0.99, 0.5), (0.4, 0.3)])
def test_the_variance_is_recovered_from_the_log_ratio(v, alpha, beta):
    log_ratio = max(0.0, float(log_tier_ratio(v, alpha, beta)))
    assert variance_for_log_ratio(log_ratio, alpha, beta) == pytest.approx(v, rel=1e-9, abs=1e-9)


def test_a_ratio_of_100_needs_a_log_variance_of_about_1_9():
    assert variance_for_log_ratio(np.log(100)) == pytest.approx(1.9, abs=0.05)


def test_the_published_slope_follows_from_the_published_variance_slope():
    assert published_slope(5.725709661) == pytest.approx(8.287, abs=1e-3)
    assert published_slope(2.0) == pytest.approx(4.8976, abs=1e-4)


def test_impossible_arguments_are_refused_by_value():
    with pytest.raises(ValueError, match=r"variance -1\.0"):
        log_tier_ratio([1.0, -1.0])
    with pytest.raises(ValueError, match=r"alpha 0\.3 and beta 0\.5"):
        log_tier_ratio(1.0, alpha=0.3)
    with pytest.raises(ValueError, match="order 3"):
        small_variance_log_ratio(1.0, order=3)
    with pytest.raises(ValueError, match="log ratio inf"):
        variance_for_log_ratio(np.inf)
    with pytest.raises(ValueError, match=r"variance 0\.0; expected more than 0"):
        large_variance_log_ratio(0.0)
