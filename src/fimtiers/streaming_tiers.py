"""Tier statistics of a float32 diagonal of any length, in a few megabytes.

The bit patterns of non-negative float32 numbers are ordered as the numbers are, zero and subnormal
numbers included. The first pass counts the upper half of the patterns: 2¹⁵ bins of relative width
2⁻⁷ at most, and adds up the lower halves in each bin and their squares, all in integers. The second
pass counts the lower halves in the few bins that contain an order statistic that is asked for.
Nothing depends on the order of the values or on how they are cut into chunks, and histograms of
shards can be merged, up to 2³¹ values in one bin:

    histogram = TierHistogram()
    for chunk in chunks():
        histogram.add(chunk)
    boundaries = histogram.boundaries()
    for chunk in chunks():
        boundaries.add(chunk)
    summary = summarise_histogram(histogram, boundaries)

For an array in memory, `summarise_values` guesses those bins from a sample and needs one pass where
the guess is right.

Tier means, quantiles, masses, effective rank and zero fraction are exact up to the rounding of the
result to double precision. Moments of ln F are summed to second order inside a bin; what is left
out is below 2e-8 in ln F whatever the values, near 1e-11 where they are spread smoothly, and zero
where the values of a bin are equal. The Gini coefficient has an error bound of its own, near 1e-8
in practice; `exact_gini` sorts instead.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import ceil, fsum
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from fimtiers.boundary_prediction import PredictedBins, predict_boundaries
from fimtiers.float_bins import (
    BINS,
    SMALLEST_NORMAL_PATTERN,
    all_equal,
    gini_coefficient,
    log_moments,
    participation,
)
from fimtiers.order_statistics import OrderStatistics
from fimtiers.pattern_counts import (
    ALL_BINS,
    COUNT_SHIFT,
    LOWER_BITS,
    LOWER_VALUES,
    PIECE,
    RANGES,
    count_lower,
    move_counts,
    ranges,
    select_patterns,
)
from fimtiers.tiers.ratio import BOTTOM_PERCENT, TOP_PERCENT, divide, tier_size

LARGEST_FINITE_PATTERN = 0x7F7FFFFF
NEGATIVE_ZERO_PATTERN = 0x80000000
NEGATIVE_ZERO_BIN = NEGATIVE_ZERO_PATTERN >> LOWER_BITS
FIRST_NORMAL_BIN = SMALLEST_NORMAL_PATTERN >> LOWER_BITS
FIRST_WRONG_BIN = (LARGEST_FINITE_PATTERN >> LOWER_BITS) + 1
SELECTED = 1 << 18
"""Values looked at together in the second pass, 1 MiB."""

QUANTILES = (0.25, 0.99)
GINI_CHUNK = 1 << 20


def summarise_stream(
    chunks: Callable[[], Iterable[NDArray[np.float32]]],
) -> dict[str, float]:
    """Return the tier statistics of the values in all chunks.

    Parameters
    ----------
    chunks
        Called once for each of the two passes; gives the same float32 arrays, of any shapes.

    Returns
    -------
    dict
        See `summarise_histogram`.
    """
    histogram = TierHistogram()
    for chunk in chunks():
        histogram.add(chunk)
    boundaries = histogram.boundaries()
    for chunk in chunks():
        boundaries.add(chunk)
    return summarise_histogram(histogram, boundaries)


def summarise_values(values: NDArray[np.float32]) -> dict[str, float]:
    """Return the tier statistics of an array; the same numbers as `summarise_stream`, sooner.

    Parameters
    ----------
    values
        float32 of any shape.

    Returns
    -------
    dict
        See `summarise_histogram`.
    """
    patterns = _patterns(values)
    predicted = predict_boundaries(patterns, wanted_ranks)
    histogram = TierHistogram()
    histogram.add_patterns(patterns, predicted)
    boundaries = histogram.boundaries()
    if not boundaries.fill(histogram, predicted):
        boundaries.add(values)
    del predicted  # and what it has put aside
    return summarise_histogram(histogram, boundaries)


@dataclass
class TierHistogram:
    """First pass: counts of the upper halves of float32 bit patterns.

    Attributes
    ----------
    bins
        int64, shape (2¹⁵, 3): for each upper half, the number of values, the sum of their lower
        halves, and the sum of the squares of those.
    zeros
        Number of zeros.
    subnormal_log_sums
        float64, shape (4,): over positive subnormal values, the sums of the first four powers of
        ln F − ln 2⁻¹²⁶. The bins are too wide for logarithms there.
    """

    bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros((BINS, 3), np.int64))
    zeros: int = 0
    subnormal_log_sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(4))

    @property
    def size(self) -> int:
        """Number of values."""
        return int(self.bins[:, 0].sum())

    def add(self, values: NDArray[np.float32]) -> None:
        """Count more values, float32 of any shape.

        Raises
        ------
        TypeError
            If the values are not float32.
        ValueError
            If one is negative, infinite or NaN. Pieces of 2²³ values before it are counted then.
        """
        self.add_patterns(_patterns(values), PredictedBins([]))

    def add_patterns(self, patterns: NDArray[np.uint32], predicted: PredictedBins) -> None:
        """Count more values, given by their bit patterns; put those of predicted bins aside."""
        patterns = np.ascontiguousarray(patterns)
        table = np.zeros((ALL_BINS, 2), np.uint64)
        for start in range(0, len(patterns), PIECE):
            piece = patterns[start : start + PIECE]
            predicted.count(piece, table)
            if table[NEGATIVE_ZERO_BIN, 1] == 0:
                table[0] += table[NEGATIVE_ZERO_BIN]
                table[NEGATIVE_ZERO_BIN] = 0
            _refuse_wrong(table, piece, start)
            self._add_smallest(table, piece)
            move_counts(table, self.bins)

    def _add_smallest(self, table: NDArray[np.uint64], piece: NDArray[np.uint32]) -> None:
        """Count zeros, and add up logarithms of subnormal values if there are any."""
        if table[1:FIRST_NORMAL_BIN, 0].any() or table[0, 1]:
            self.zeros += _add_subnormal_logs(piece, self.subnormal_log_sums)
        else:
            self.zeros += int(table[0, 0] >> COUNT_SHIFT)

    def merge(self, other: "TierHistogram") -> "TierHistogram":
        """Return the histogram of the values of both."""
        return TierHistogram(
            bins=self.bins + other.bins,
            zeros=self.zeros + other.zeros,
            subnormal_log_sums=self.subnormal_log_sums + other.subnormal_log_sums,
        )

    def boundaries(self) -> "BoundaryCounts":
        """Return an empty second pass for the bins that hold a boundary between tiers.

        Raises
        ------
        ValueError
            If no value has been counted.
        """
        if self.size == 0:
            raise ValueError("the histogram is empty; add values first")
        last_rank = np.cumsum(self.bins[:, 0])
        wanted = np.searchsorted(
            last_rank, wanted_ranks(self.size, self.size - self.zeros), "right"
        )
        return BoundaryCounts(upper=np.unique(wanted))


@dataclass
class BoundaryCounts:
    """Second pass: counts of the lower halves of bit patterns in some bins of the first.

    Attributes
    ----------
    upper
        Upper halves of those bins, ascending, shape (bin,).
    counts
        int64, shape (bin, 2¹⁶).
    """

    upper: NDArray[np.int64]
    counts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros((len(self.upper), LOWER_VALUES), np.int64)

    def add(self, values: NDArray[np.float32]) -> None:
        """Count more values, the same ones as in the first pass."""
        patterns = _patterns(values)
        bins = self.upper.tolist()
        if 0 in bins:
            bins.append(NEGATIVE_ZERO_BIN)
        selected = np.empty(min(SELECTED, len(patterns)), np.uint32)
        for first in range(0, len(bins), RANGES):
            group = (bins[first : first + RANGES] * RANGES)[:RANGES]
            wanted = ranges([(upper, upper) for upper in group])
            for start in range(0, len(patterns), SELECTED):
                taken = select_patterns(patterns[start : start + SELECTED], wanted, selected)
                count_lower(selected[:taken], self._slots(), self.counts)

    def fill(self, histogram: TierHistogram, predicted: PredictedBins) -> bool:
        """Fill in the counts from what was put aside in the first pass; return whether it was all.

        Bins whose values are all equal, such as a bin of zeros, need nothing put aside.
        """
        slots = self._slots()
        for row, upper in enumerate(self.upper.tolist()):
            count, lower, _ = histogram.bins[upper].tolist()
            if all_equal(histogram.bins[upper]):
                self.counts[row, lower // count] = count
                slots[upper] = -1
            elif not predicted.hold(upper):
                self.counts[:] = 0
                return False
        predicted.count_lower(slots, self.counts)
        return True

    def _slots(self) -> NDArray[np.int8]:
        """Return the row of every upper half, −1 if it has none."""
        slots = np.full(ALL_BINS, -1, np.int8)
        slots[self.upper] = np.arange(len(self.upper))
        slots[NEGATIVE_ZERO_BIN] = slots[0]
        return slots

    def merge(self, other: "BoundaryCounts") -> "BoundaryCounts":
        """Return the counts of the values of both, which must have the same bins."""
        if not np.array_equal(self.upper, other.upper):
            raise ValueError(
                f"bins {self.upper.tolist()} and {other.upper.tolist()} differ; "
                "take the boundaries from the merged histogram"
            )
        merged = BoundaryCounts(self.upper)
        merged.counts = self.counts + other.counts
        return merged


def summarise_histogram(histogram: TierHistogram, boundaries: BoundaryCounts) -> dict[str, float]:
    """Return tier statistics by the names of `fimtiers.tiers.summarise`.

    ``gini_error_bound`` is added: the Gini coefficient is known to within it.

    Raises
    ------
    ValueError
        If the two passes did not see the same values.
    """
    seen, expected = boundaries.counts.sum(axis=1), histogram.bins[boundaries.upper, 0]
    if not np.array_equal(seen, expected):
        raise ValueError(
            f"the second pass saw {seen.tolist()} values in bins {boundaries.upper.tolist()}, "
            f"the first {expected.tolist()}; both need the same values"
        )
    order = OrderStatistics(histogram.bins, boundaries.upper, boundaries.counts)
    n, positive, total = histogram.size, histogram.size - histogram.zeros, order.total
    k1, k3 = tier_size(n, TOP_PERCENT), tier_size(n, BOTTOM_PERCENT)
    tier1_mean, tier3_mean = order.sum_of_largest(k1) / k1, order.sum_of_smallest(k3) / k3
    middle = n - k1 - k3
    low, high = (order.quantile(q) for q in QUANTILES)
    rank = participation(histogram.bins, total)
    moments = log_moments(histogram.bins, histogram.zeros, histogram.subnormal_log_sums)
    gini, gini_error_bound = gini_coefficient(histogram.bins, total)
    return {
        "tier1_mean": tier1_mean,
        "tier2_mean": order.sum_between(k3, n - k1) / middle if middle > 0 else np.nan,
        "tier3_mean": tier3_mean,
        "tier_ratio": _ratio(tier1_mean, tier3_mean),
        "zero_fraction": histogram.zeros / n,
        "gini": gini,
        "gini_error_bound": gini_error_bound,
        "effective_rank": rank / n,
        "effective_rank_positive": rank / positive if positive else np.nan,
        "top_mass": _ratio(order.sum_of_largest(_top_size_up(n)), total),
        "top_mass_positive": _ratio(order.sum_of_largest(tier_size(positive, TOP_PERCENT)), total),
        "log_mean": moments.mean,
        "log_variance": moments.variance,
        "log_skewness": moments.skewness,
        "log_excess_kurtosis": moments.excess_kurtosis,
        "positive_count": positive,
        "quantile_ratio": _ratio(high, low),
    }


def exact_gini(values: NDArray[np.float32]) -> float:
    """Return the Gini coefficient of float32 values from a sorted copy of them.

    Takes one copy of the values; sums are in double precision, in pieces of 2²⁰ values.
    """
    _patterns(values)
    ordered = np.sort(values, axis=None)
    n = len(ordered)
    weighted, total = [], []
    for start in range(0, n, GINI_CHUNK):
        chunk = ordered[start : start + GINI_CHUNK].astype(np.float64)
        weight = 2 * np.arange(start + 1, start + len(chunk) + 1, dtype=np.float64) - n - 1
        weighted.append(float(chunk @ weight))
        total.append(float(chunk.sum()))
    return fsum(weighted) / (n * fsum(total)) if fsum(total) > 0 else 0.0


def wanted_ranks(n: int, positive: int) -> NDArray[np.int64]:
    """Return the ranks, counted from 0, at which a sum is cut or a value is read."""
    ranks = [n - tier_size(n, TOP_PERCENT), tier_size(n, BOTTOM_PERCENT), n - _top_size_up(n)]
    ranks.append(n - tier_size(positive, TOP_PERCENT))
    for probability in QUANTILES:
        rank = int((n - 1) * probability)
        ranks += [rank, rank + 1]
    return np.clip(ranks, 0, n - 1)


def _top_size_up(n: int) -> int:
    return max(1, ceil(n * TOP_PERCENT / 100))


def _ratio(numerator: float, denominator: float) -> float:
    return float(divide(np.float64(numerator), np.float64(denominator)))


def _patterns(values: NDArray[Any]) -> NDArray[np.uint32]:
    if values.dtype != np.float32:
        raise TypeError(f"values have dtype {values.dtype}; the bins are those of float32")
    return np.ravel(values).view(np.uint32)


def _refuse_wrong(table: NDArray[np.uint64], piece: NDArray[np.uint32], start: int) -> None:
    """Raise if the counters of negative, infinite or NaN values are not zero."""
    if table[FIRST_WRONG_BIN:, 0].any():
        refused = (piece > LARGEST_FINITE_PATTERN) & (piece != NEGATIVE_ZERO_PATTERN)
        first = int(np.argmax(refused))
        raise ValueError(
            f"value {piece[first : first + 1].view(np.float32)[0]} at {start + first}; "
            "a Fisher diagonal is finite and not negative"
        )


@numba.njit(nogil=True)
def _add_subnormal_logs(patterns, log_sums):  # type: ignore[no-untyped-def]
    """Add powers of logarithms of subnormal values to the sums; return the number of zeros."""
    zeros = 0
    for i in range(len(patterns)):
        pattern = patterns[i] & np.uint32(0x7FFFFFFF)
        if pattern == 0:
            zeros += 1
        elif pattern < SMALLEST_NORMAL_PATTERN:
            log = np.log(np.float64(pattern) / SMALLEST_NORMAL_PATTERN)
            for power in range(4):
                log_sums[power] += log ** (power + 1)
    return zeros
