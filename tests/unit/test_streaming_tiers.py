import tracemalloc

import numpy as np
import pytest

from fimtiers.streaming_tiers import (
    TierHistogram,
    exact_gini,
    summarise_histogram,
    summarise_stream,
)
from fimtiers.tiers import gini_coefficient, summarise

EXACT = [
    "tier1_mean",
    "tier2_mean",
    "tier3_mean",
    "tier_ratio",
    "zero_fraction",
    "effective_rank",
    "effective_rank_positive",
    "top_mass",
    "top_mass_positive",
    "positive_count",
    "quantile_ratio",
]
LOG_MOMENTS = ["log_mean", "log_variance", "log_skewness", "log_excess_kurtosis"]
MEBIBYTE = 2**20


def lognormal(n, zeros, subnormal, seed=0):
    generator = np.random.default_rng(seed)
    values = np.exp(4 * generator.standard_normal(n)).astype(np.float32)
    values[:zeros] = 0
    values[zeros : zeros + subnormal] = generator.uniform(1e-45, 1e-38, subnormal)
    generator.shuffle(values)
    return values


def in_chunks(values, size):
    return lambda: (values[i : i + size] for i in range(0, len(values), size))


@pytest.mark.parametrize(
    ("zeros", "subnormal"), [(0, 0), (200_000, 1000), (499_999, 0), (700_000, 100_000)]
)
def test_a_million_streamed_values_have_the_statistics_of_the_sorted_ones(zeros, subnormal):
    values = lognormal(1_000_000, zeros, subnormal)
    streamed = summarise_stream(in_chunks(values, 123_457))
    expected = summarise(values)
    for name in EXACT:
        np.testing.assert_allclose(streamed[name], expected[name], rtol=3e-14, err_msg=name)
    for name in LOG_MOMENTS:
        np.testing.assert_allclose(
            streamed[name], expected[name], rtol=1e-9, atol=1e-9, err_msg=name
        )
    assert abs(streamed["gini"] - expected["gini"]) <= streamed["gini_error_bound"] < 2e-8


@pytest.mark.parametrize("n", [1, 2, 3, 99, 100, 101, 1999])
def test_short_diagonals_have_the_same_tiers_too(n):
    values = np.random.default_rng(n).exponential(size=n).astype(np.float32)
    streamed, expected = summarise_stream(lambda: [values]), summarise(values)
    for name in EXACT:
        np.testing.assert_allclose(streamed[name], expected[name], rtol=1e-14, err_msg=name)


def test_values_that_all_fall_into_one_bin_are_still_told_apart():
    values = np.linspace(1.0, 1.007, 10_000).astype(np.float32)
    streamed, expected = summarise_stream(lambda: [values]), summarise(values)
    for name in EXACT:
        np.testing.assert_allclose(streamed[name], expected[name], rtol=1e-14, err_msg=name)


def test_equal_values_have_ratio_one_and_no_variance_also_beside_zeros():
    values = np.full(1000, 0.3, np.float32)
    streamed = summarise_stream(lambda: [values, np.zeros(10, np.float32)])
    assert streamed["log_variance"] == 0
    assert np.isnan(streamed["log_skewness"])
    assert summarise_stream(lambda: [values])["tier_ratio"] == 1


def test_a_few_distinct_values_have_their_moments_to_the_last_digits():
    values = np.repeat([1.0, 2.0, 1024.0, 1e-30], [10, 90, 7, 3]).astype(np.float32)
    streamed, expected = summarise_stream(lambda: [values]), summarise(values)
    for name in LOG_MOMENTS:
        np.testing.assert_allclose(streamed[name], expected[name], rtol=1e-13, err_msg=name)


def test_zeros_alone_have_no_ratio():
    streamed = summarise_stream(lambda: [np.zeros(200, np.float32)])
    assert np.isnan(
        [streamed["tier_ratio"], streamed["effective_rank"], streamed["log_mean"]]
    ).all()
    assert (streamed["gini"], streamed["zero_fraction"], streamed["positive_count"]) == (0, 1, 0)


def test_a_bottom_of_zeros_has_an_infinite_ratio():
    values = np.concatenate([np.zeros(60), np.ones(40)]).astype(np.float32)
    assert summarise_stream(lambda: [values])["tier_ratio"] == np.inf


def test_order_and_chunks_make_no_difference_at_all():
    values = lognormal(100_000, zeros=10_000, subnormal=0)
    shuffled = np.random.default_rng(1).permutation(values)
    whole = summarise_stream(lambda: [values])
    assert summarise_stream(in_chunks(shuffled, 999)) == whole
    assert summarise_stream(lambda: [values.reshape(100, -1).T]) == whole


def test_merged_shards_have_the_statistics_of_the_whole():
    values = lognormal(100_000, zeros=10_000, subnormal=50)
    shards = [values[:30_000], values[30_000:]]
    first, second = TierHistogram(), TierHistogram()
    first.add(shards[0])
    second.add(shards[1])
    merged = first.merge(second)
    left, right = merged.boundaries(), merged.boundaries()
    left.add(shards[0])
    right.add(shards[1])
    streamed = summarise_histogram(merged, left.merge(right))
    whole = summarise_stream(lambda: [values])
    assert {name: pytest.approx(value, rel=1e-14) for name, value in whole.items()} == streamed


def test_the_exact_gini_coefficient_is_that_of_all_pairs():
    values = lognormal(3_000_000, zeros=1000, subnormal=10)
    assert exact_gini(values) == pytest.approx(gini_coefficient(values), rel=1e-13)
    assert exact_gini(np.zeros(5, np.float32)) == 0


def test_two_passes_need_less_than_16_megabytes_however_many_values_there_are():
    values = lognormal(4_000_000, zeros=1000, subnormal=0)
    summarise_stream(lambda: [values[:1000]])
    tracemalloc.start()
    summarise_stream(lambda: [values])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MEBIBYTE


@pytest.mark.parametrize("wrong", [-1.0, np.inf, np.nan, -np.inf, -1e-45])
def test_a_value_that_is_negative_or_not_finite_is_refused_with_its_place(wrong):
    values = np.array([0.0, 1.0, wrong, 2.0], np.float32)
    with pytest.raises(ValueError, match="at 2; a Fisher diagonal is finite and not negative"):
        TierHistogram().add(values)


def test_negative_zero_is_zero():
    assert summarise_stream(lambda: [np.array([-0.0, 1.0], np.float32)])["zero_fraction"] == 0.5


def test_double_precision_is_refused_because_the_bins_are_those_of_float32():
    with pytest.raises(TypeError, match="dtype float64"):
        TierHistogram().add(np.ones(3))


def test_a_second_pass_over_other_values_is_noticed():
    histogram = TierHistogram()
    histogram.add(np.ones(10, np.float32))
    boundaries = histogram.boundaries()
    boundaries.add(np.ones(9, np.float32))
    with pytest.raises(ValueError, match="both need the same values"):
        summarise_histogram(histogram, boundaries)


def test_boundaries_of_different_histograms_do_not_merge():
    first, second = TierHistogram(), TierHistogram()
    first.add(np.ones(10, np.float32))
    second.add(np.full(10, 5, np.float32))
    with pytest.raises(ValueError, match="differ; take the boundaries from the merged"):
        first.boundaries().merge(second.boundaries())


def test_an_empty_histogram_has_no_boundaries():
    with pytest.raises(ValueError, match="empty"):
        TierHistogram().boundaries()
