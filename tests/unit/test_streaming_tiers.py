import tracemalloc

import numpy as np
import pytest

from fimtiers.boundary_prediction import STRETCH, STRETCHES, predict_boundaries
from fimtiers.pattern_counts import PIECE
from fimtiers.streaming_tiers import (
    TierHistogram,
    exact_gini,
    summarise_histogram,
    summarise_stream,
    summarise_values,
    wanted_ranks,
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
MEGABYTE = 10**6


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
    assert peak < 16 * MEGABYTE


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


MANY = 5_000_000
"""Enough for the boundaries to be predicted."""


def sampled_places(n):
    return (
        np.linspace(0, n - STRETCH, STRETCHES).astype(np.int64)[:, None] + np.arange(STRETCH)
    ).ravel()


ARRAYS = {
    "random": lambda: lognormal(MANY, zeros=0, subnormal=0),
    "zeros and subnormal values": lambda: lognormal(MANY, zeros=3_000_000, subnormal=1000),
    "ascending": lambda: np.sort(lognormal(MANY, zeros=100, subnormal=0)),
    "descending": lambda: np.sort(lognormal(MANY, zeros=0, subnormal=0))[::-1],
    "equal": lambda: np.full(MANY, 0.3, np.float32),
    "zeros alone": lambda: np.zeros(MANY, np.float32),
    "two thirds equal": lambda: np.where(
        np.arange(MANY) % 3, np.float32(1.001), lognormal(MANY, zeros=0, subnormal=0)
    ),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_has_the_very_numbers_of_its_stream(name):
    values = ARRAYS[name]()
    array, stream = summarise_values(values), summarise_stream(in_chunks(values, 1_234_567))
    for key in LOG_MOMENTS:
        np.testing.assert_allclose(array.pop(key), stream.pop(key), rtol=1e-13, atol=1e-13)
    np.testing.assert_equal(array, stream)


@pytest.mark.parametrize("name", ["random", "ascending", "descending"])
def test_a_sample_predicts_the_boundaries_whatever_the_order(name):
    patterns = ARRAYS[name]().view(np.uint32)
    histogram, predicted = TierHistogram(), predict_boundaries(patterns, wanted_ranks)
    histogram.add_patterns(patterns, predicted)
    assert histogram.boundaries().fill(histogram, predicted)


def test_a_sample_that_misleads_costs_a_second_pass_and_nothing_else():
    values = lognormal(MANY, zeros=0, subnormal=0)
    values[sampled_places(MANY)] = 1e-20
    patterns = values.view(np.uint32)
    histogram, predicted = TierHistogram(), predict_boundaries(patterns, wanted_ranks)
    histogram.add_patterns(patterns, predicted)
    assert not histogram.boundaries().fill(histogram, predicted)
    assert summarise_values(values) == summarise_stream(lambda: [values])


def test_a_short_array_is_counted_twice_instead_of_sampled():
    values = lognormal(1001, zeros=10, subnormal=0)
    assert summarise_values(values) == summarise_stream(lambda: [values])


def test_counters_do_not_overflow_where_one_bin_takes_more_than_a_piece():
    values = np.full(PIECE + 100, np.uint32(0x3F80FFFF), np.uint32).view(np.float32)
    histogram = TierHistogram()
    histogram.add(values)
    assert histogram.bins[0x3F80].tolist() == [
        len(values),
        0xFFFF * len(values),
        0xFFFF**2 * len(values),
    ]


def test_an_array_needs_less_than_16_megabytes_beside_itself():
    values = lognormal(MANY, zeros=1000, subnormal=0)
    summarise_values(values[:1000])
    tracemalloc.start()
    summarise_values(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MEGABYTE
