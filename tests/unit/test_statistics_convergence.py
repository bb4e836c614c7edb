import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fimtiers.statistics.convergence import extrapolate_tier_ratio, margin_by_probe_count
from fimtiers.statistics.noise_floor import (
    TIER1_SHIFT,
    TIER3_SHIFT,
    chi_squared_tier_ratio,
    gaussian_noise_floor,
    relative_error_of_mean_square,
)
from fimtiers.tiers import tier_ratio


def chi_squared_ratios(probes, parameters, seeds, spread=0.0):
    generator = np.random.default_rng(0)
    truth = np.exp(spread * generator.standard_normal((seeds, parameters)))
    return np.array(
        [tier_ratio(truth * generator.chisquare(n, (seeds, parameters)) / n) for n in probes]
    )


@pytest.mark.parametrize(
    ("probes", "published"),
    [(20, 2.73), (60, 1.82), (80, 1.68), (100, 1.60), (200, 1.40), (2000, 1.114), (1, 59)],
)
def test_equal_parameters_have_the_reference_tier_ratios(probes, published):
    printed = len(str(published).partition(".")[2])
    assert round(chi_squared_tier_ratio(probes), printed) == published


@pytest.mark.parametrize("probes", [1, 20, 80])
def test_the_reference_is_what_random_gradients_give(probes):
    sample = np.random.default_rng(1).chisquare(probes, 1_000_000)
    assert tier_ratio(sample) == pytest.approx(chi_squared_tier_ratio(probes), rel=0.01)


def test_the_constants_of_the_noise_floor_are_tier_means_of_a_standard_normal():
    top, _ = stats.truncnorm.stats(stats.norm.isf(0.01), np.inf)
    assert pytest.approx(top, rel=1e-10) == TIER1_SHIFT
    assert pytest.approx(np.sqrt(2 / np.pi), rel=1e-14) == TIER3_SHIFT
    assert (round(TIER1_SHIFT, 3), round(TIER3_SHIFT, 3)) == (2.665, 0.798)


def test_the_noise_floor_is_what_normal_errors_give():
    sample = 1 + 0.1 * np.random.default_rng(2).standard_normal(1_000_000)
    assert tier_ratio(sample) == pytest.approx(gaussian_noise_floor(0.1), rel=2e-3)


@pytest.mark.parametrize(("probes", "floor"), [(80, 1.627), (60, 1.740)])
def test_the_lattice_probe_counts_have_the_published_noise_floor(probes, floor):
    assert round(gaussian_noise_floor(relative_error_of_mean_square(probes)), 3) == floor


def test_the_two_noise_floors_meet_at_many_probes():
    exact, normal = chi_squared_tier_ratio(10**6), gaussian_noise_floor(np.sqrt(2e-6))
    assert exact - 1 == pytest.approx(normal - 1, rel=2e-3)


def test_no_error_has_floor_one_and_a_large_one_has_none():
    assert gaussian_noise_floor(0.0) == 1
    assert gaussian_noise_floor(1.3) == np.inf
    with pytest.raises(ValueError, match="expected at least 0"):
        gaussian_noise_floor(-0.1)
    with pytest.raises(ValueError, match="0 probes"):
        chi_squared_tier_ratio(0)


def test_equal_parameters_extrapolate_to_one():
    probes = np.array([80, 320, 1280])
    exact = np.array([[chi_squared_tier_ratio(n)] for n in probes])
    assert extrapolate_tier_ratio(probes, exact).ratio == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("spread", [0.17, 0.7, 1.7])
def test_unequal_parameters_extrapolate_to_the_ratio_of_infinitely_many_probes(spread):
    probes = np.array([50, 200, 800])
    ratio = chi_squared_ratios(probes, parameters=20_000, seeds=6, spread=spread)
    generator = np.random.default_rng(0)
    truth = tier_ratio(np.exp(spread * generator.standard_normal((6, 20_000))))
    limit = extrapolate_tier_ratio(probes, ratio)
    assert limit.low < limit.ratio < limit.high
    assert limit.ratio == pytest.approx(np.exp(np.log(truth).mean()), rel=0.02)
    assert limit.ratio < np.exp(np.log(ratio[-1]).mean())


def test_two_counts_are_fitted_by_a_line_in_one_over_n():
    limit = extrapolate_tier_ratio(np.array([10, 40]), np.exp(np.sqrt([[4.0 + 3.0], [4.0 + 0.75]])))
    assert limit.log_ratio_squared == pytest.approx(4)
    assert limit.ratio == pytest.approx(np.exp(2))
    assert np.isnan([limit.low, limit.high, limit.standard_error]).all()


def test_an_infinite_ratio_has_an_infinite_limit():
    assert extrapolate_tier_ratio(np.array([1, 4]), np.array([[2.0], [np.inf]])).ratio == np.inf


@pytest.mark.parametrize(
    ("probes", "ratio", "message"),
    [
        ([10, 10], [[2.0], [2.0]], "two distinct counts"),
        ([10, 20], [2.0, 2.0], "expected two distinct counts or more and shape"),
        ([10, 20], [[2.0], [0.5]], "ratio 0.5"),
    ],
)
def test_ratios_that_cannot_be_extrapolated_are_refused(probes, ratio, message):
    with pytest.raises(ValueError, match=message):
        extrapolate_tier_ratio(np.array(probes), np.array(ratio))


def test_the_margin_is_reported_for_every_probe_count_in_order():
    table = pd.DataFrame(
        {
            "probe_factor": [4.0, 4.0, 1.0, 1.0],
            "system": ["net", "matrix"] * 2,
            "group": ["deep", "rest"] * 2,
            "value": [82.8, 86.0, 88.8, 86.0],
        }
    )
    margins = margin_by_probe_count(table)
    assert margins["probe_factor"].tolist() == [1, 4]
    assert margins["separated"].tolist() == [True, False]
    np.testing.assert_allclose(margins["margin_nats"], np.log([88.8 / 86, 82.8 / 86]))
    assert margins["smallest_deep_system"].tolist() == ["net", "net"]
    assert "carried_systems" not in margins


def test_a_margin_says_which_of_its_ends_were_measured_at_another_number_of_probes():
    table = pd.DataFrame(
        {
            "system": ["net", "net", "chain", "chain", "other", "other"],
            "group": ["deep", "deep", "rest", "rest", "rest", "rest"],
            "probe_factor": [1, 4] * 3,
            "value": [90.0, 80.0, 50.0, 40.0, 45.0, 45.0],
            "carried": [False, False, False, False, False, True],
        }
    )
    margins = margin_by_probe_count(table)
    assert margins["largest_rest_system"].tolist() == ["chain", "other"]
    assert margins["largest_rest_carried"].tolist() == [False, True]
    assert margins["smallest_deep_carried"].tolist() == [False, False]
    assert margins["carried_systems"].tolist() == [0, 1]
