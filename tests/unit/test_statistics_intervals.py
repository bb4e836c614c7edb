from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fimtiers.statistics.intervals import (
    log_bootstrap_interval,
    log_t_factor,
    log_t_interval,
    panel_intervals,
    point_intervals,
)

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


@pytest.fixture(scope="module")
def panel():
    return pd.read_csv(PUBLISHED / "panel_per_seed.csv")


@pytest.fixture(scope="module")
def intervals(panel):
    return panel_intervals(panel)


@pytest.mark.parametrize(
    ("measured", "published"),
    [
        ("system", "system"),
        ("group", "group"),
        ("n", "n"),
        ("geometric_mean", "geometric_mean"),
        ("low", "ci95_low"),
        ("high", "ci95_high"),
        ("bonferroni_low", "bonferroni_low"),
        ("bonferroni_high", "bonferroni_high"),
    ],
)
def test_the_published_values_give_the_published_intervals_to_all_printed_digits(
    intervals, measured, published
):
    expected = pd.read_csv(PUBLISHED / "dichotomy.csv")[published]
    assert intervals.round(4)[measured].tolist() == expected.tolist()


def test_the_smallest_and_largest_values_are_the_published_ones(intervals):
    expected = pd.read_csv(PUBLISHED / "dichotomy.csv")
    np.testing.assert_allclose(intervals["smallest"], expected["smallest"], rtol=5e-6)
    np.testing.assert_allclose(intervals["largest"], expected["largest"], rtol=5e-6)


def test_no_published_pooled_interval_contains_the_threshold(intervals):
    assert not intervals["crosses_threshold"].any()


def test_over_seeds_and_not_over_pooled_widths_the_trained_interval_is_from_287_to_395(intervals):
    trained = intervals.set_index("system").loc["nn_trained_pooled"]
    assert trained["seeds"] == 5
    assert (round(trained["t_low"]), round(trained["t_high"])) == (287, 395)
    assert (round(trained["low"]), round(trained["high"])) == (246, 468)
    assert not trained["t_crosses_threshold"]


def test_student_t_is_wider_than_the_bootstrap_for_three_to_six_seeds(intervals):
    one_point = intervals[intervals["n"] <= 6]
    assert len(one_point) == 11
    student = np.log(one_point["t_high"] / one_point["t_low"])
    assert (student > 1.1 * np.log(one_point["high"] / one_point["low"])).all()


def test_intervals_carry_the_definition_and_the_ratio_over_positive_entries_where_known(panel):
    known = panel.assign(definition="loss", positive_ratio=2 * panel["value"])
    result = panel_intervals(known).set_index("system")
    assert set(result["definition"]) == {"loss"}
    circuit = result.loc["boolean_circuit"]
    assert circuit["positive_mean"] == pytest.approx(2 * circuit["geometric_mean"])
    assert circuit["positive_smallest"] == pytest.approx(2 * circuit["smallest"])


def test_an_infinite_value_leaves_student_t_undefined():
    rows = {"system": "s", "group": "deep", "seed": range(3), "value": [2.0, 3.0, np.inf]}
    table = pd.concat([pd.DataFrame(rows), pd.DataFrame(rows).assign(system="r", group="rest")])
    result = panel_intervals(table.assign(value=[2.0, 3.0, np.inf, 1.0, 2.0, 3.0]))
    assert result["t_low"].isna().tolist() == [True, False]
    assert result["t_crosses_threshold"].tolist() == [False, False]


def test_the_width_64_network_alone_is_not_above_the_threshold_after_correction(panel):
    points = point_intervals(panel).set_index(["system", "point"])
    width_64 = points.loc[("nn_trained_pooled", "width=64")]
    assert (round(width_64["low"]), round(width_64["high"])) == (103, 359)
    assert (round(width_64["bonferroni_low"]), round(width_64["bonferroni_high"])) == (50, 740)
    assert width_64["bonferroni_crosses_threshold"]


def test_a_bootstrap_draws_as_many_calls_to_choice_would():
    logs = np.log([1.0, 2.0, 5.0, 7.0])
    generator = np.random.default_rng(7)
    means = [generator.choice(logs, size=4, replace=True).mean() for _ in range(500)]
    interval = log_bootstrap_interval(np.exp(logs), np.random.default_rng(7), resamples=500)
    expected = np.exp(np.percentile(means, [2.5, 97.5]))
    np.testing.assert_allclose([interval.low, interval.high], expected, rtol=1e-14)


def test_three_values_have_the_interval_from_smallest_to_largest_beyond_93_percent():
    interval = log_bootstrap_interval(np.array([2.0, 3, 5]), np.random.default_rng(0), 0.996)
    assert (interval.low, interval.high) == pytest.approx((2, 5))


def test_two_values_have_the_normal_interval_and_draw_nothing():
    generator = np.random.default_rng(0)
    interval = log_bootstrap_interval(np.exp([1.0, 3.0]), generator)
    half = 1.959963984540054 * np.sqrt(2) / np.sqrt(2)
    assert np.log([interval.low, interval.high]) == pytest.approx([2 - half, 2 + half])
    assert generator.random() == np.random.default_rng(0).random()


def test_a_single_value_has_an_interval_without_width():
    interval = log_bootstrap_interval(np.array([4.0]), np.random.default_rng(0))
    assert (interval.low, interval.geometric_mean, interval.high) == pytest.approx((4, 4, 4))


def test_zeros_are_left_out_and_counted_out():
    with_zero = log_bootstrap_interval(np.array([0.0, 2, 3, 5]), np.random.default_rng(0))
    assert with_zero == log_bootstrap_interval(np.array([2.0, 3, 5]), np.random.default_rng(0))
    assert with_zero.n == 3
    with pytest.raises(ValueError, match="no positive value"):
        log_bootstrap_interval(np.zeros(3), np.random.default_rng(0))


def test_an_infinite_value_gives_an_infinite_mean_and_upper_end_and_no_nan():
    values = np.array([2.0, 3, 5, 7, np.inf])
    interval = log_bootstrap_interval(values, np.random.default_rng(0))
    assert (interval.geometric_mean, interval.high) == (np.inf, np.inf)
    assert 2 < interval.low < 7


def test_student_t_covers_the_true_geometric_mean_as_often_as_it_says():
    logs = np.random.default_rng(3).normal(1.0, 2.0, size=(2000, 5))
    covered = 0
    for row in logs:
        interval = log_t_interval(np.exp(row), confidence=0.9)
        covered += interval.low < np.e < interval.high
    assert covered / 2000 == pytest.approx(0.9, abs=0.02)


def test_student_t_of_one_value_is_undefined():
    assert np.isnan(log_t_interval(np.array([2.0])).low)


def test_the_factor_of_pairs_is_not_disturbed_by_what_they_share():
    shared = np.exp(np.random.default_rng(5).normal(0, 3, 6))
    factor = log_t_factor(2 * shared, shared, paired=True)
    assert (factor.low, factor.geometric_mean, factor.high) == pytest.approx((2, 2, 2))
    unpaired = log_t_factor(2 * shared, shared, paired=False)
    assert unpaired.low < 1 < unpaired.high
    assert unpaired.geometric_mean == pytest.approx(2)


def test_the_unpaired_factor_has_the_interval_of_the_test_of_welch():
    generator = np.random.default_rng(6)
    above, below = generator.normal(3, 1, 5), generator.normal(1, 4, 9)
    factor = log_t_factor(np.exp(above), np.exp(below), paired=False, confidence=0.9)
    expected = stats.ttest_ind(above, below, equal_var=False).confidence_interval(0.9)
    assert np.log([factor.low, factor.high]) == pytest.approx([expected.low, expected.high])
    assert factor.n == 14


def test_factors_need_finite_values_and_whole_pairs():
    with pytest.raises(ValueError, match="denominator must be positive and finite"):
        log_t_factor(np.ones(2), np.array([1, np.inf]), paired=False)
    with pytest.raises(ValueError, match="equally many values, not 2 and 3"):
        log_t_factor(np.ones(2), np.ones(3), paired=True)
    assert np.isnan(log_t_factor(np.ones(1), np.ones(3), paired=False).high)
