"""Tier statistics of a float32 diagonal of any length, in two passes and a few megabytes.

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

from fimtiers.float_bins import (
    BINS,
    LOWER_BITS,
    LOWER_VALUES,
    SMALLEST_NORMAL_PATTERN,
    bin_sums,
    gini_coefficient,
    log_moments,
    participation,
)
from fimtiers.tiers.ratio import BOTTOM_PERCENT, TOP_PERCENT, divide, tier_size

LARGEST_FINITE_PATTERN = 0x7F7FFFFF
NEGATIVE_ZERO_PATTERN = 0x80000000
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
            If one is negative, infinite or NaN; what precedes it is counted then.
        """
        patterns = _patterns(values)
        zeros, stopped = _count_upper(patterns, self.bins, self.subnormal_log_sums)
        self.zeros += int(zeros)
        if stopped < len(patterns):
            raise ValueError(
                f"value {patterns[stopped : stopped + 1].view(np.float32)[0]} at {stopped}; "
                "a Fisher diagonal is finite and not negative"
            )

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
        wanted = np.searchsorted(last_rank, _ranks(self.size, self.size - self.zeros), "right")
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
        slot = np.full(BINS, -1, np.int8)
        slot[self.upper] = np.arange(len(self.upper))
        _count_lower(_patterns(values), slot, self.counts)

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
    order = _OrderStatistics(histogram, boundaries)
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


class _OrderStatistics:
    """Sums of the smallest values and single order statistics, from both passes."""

    def __init__(self, histogram: TierHistogram, boundaries: BoundaryCounts) -> None:
        seen = boundaries.counts.sum(axis=1)
        if not np.array_equal(seen, histogram.bins[boundaries.upper, 0]):
            raise ValueError(
                f"the second pass saw {seen.tolist()} values in bins "
                f"{boundaries.upper.tolist()}, the first "
                f"{histogram.bins[boundaries.upper, 0].tolist()}; both need the same values"
            )
        self.size = histogram.size
        self.bin_sums = bin_sums(histogram.bins)
        self.total = fsum(self.bin_sums)
        self.before = np.concatenate([[0], np.cumsum(histogram.bins[:, 0])])
        self.counts = dict(zip(boundaries.upper.tolist(), boundaries.counts, strict=True))

    def sum_of_smallest(self, k: int) -> float:
        """Return the sum of the k smallest values, 0 ≤ k ≤ n."""
        return self.sum_between(0, k)

    def sum_of_largest(self, k: int) -> float:
        """Return the sum of the k largest values, 0 ≤ k ≤ n."""
        return self.sum_between(self.size - k, self.size)

    def sum_between(self, start: int, stop: int) -> float:
        """Return the sum of the values of rank start, …, stop − 1, counted from 0."""
        first, head = self._cut(start)
        last, tail = self._cut(stop)
        return fsum([*self.bin_sums[first:last], tail, -head])

    def quantile(self, probability: float) -> float:
        """Return a quantile, interpolated linearly between ranks around (n − 1) probability."""
        position = (self.size - 1) * probability
        rank = int(position)
        low, high = self.value(rank), self.value(min(rank + 1, self.size - 1))
        return low + (high - low) * (position - rank)

    def value(self, rank: int) -> float:
        """Return the value of a rank, counted from 0."""
        upper = self._bin_of(rank)
        within = np.cumsum(self.counts[upper])
        lower = int(np.searchsorted(within, rank - self.before[upper], "right"))
        return float(_values(np.array([(upper << LOWER_BITS) | lower]))[0])

    def _cut(self, rank: int) -> tuple[int, float]:
        """Return the bin that a rank is in, and the sum of the values below the rank in it."""
        if rank == self.size:
            return BINS, 0.0
        upper = self._bin_of(rank)
        remaining = rank - int(self.before[upper])
        if remaining == 0:
            return upper, 0.0
        counts = self.counts[upper]
        before = np.concatenate([[0], np.cumsum(counts)[:-1]])
        taken = np.clip(remaining - before, 0, counts)
        lower = np.flatnonzero(taken)
        values = _values((upper << LOWER_BITS) | lower)
        return upper, fsum(values * taken[lower])

    def _bin_of(self, rank: int) -> int:
        return int(np.searchsorted(self.before, rank, "right")) - 1


def _ranks(n: int, positive: int) -> NDArray[np.int64]:
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


def _values(patterns: NDArray[np.int64]) -> NDArray[np.float64]:
    return patterns.astype(np.uint32).view(np.float32).astype(np.float64)


def _patterns(values: NDArray[Any]) -> NDArray[np.uint32]:
    if values.dtype != np.float32:
        raise TypeError(f"values have dtype {values.dtype}; the bins are those of float32")
    return np.ravel(values).view(np.uint32)


@numba.njit(nogil=True)
def _count_upper(patterns, bins, subnormal_log_sums):  # type: ignore[no-untyped-def]
    """Count patterns into bins up to a wrong one or the end; return the zeros and where it is."""
    zeros = 0
    for i in range(len(patterns)):
        pattern = patterns[i]
        if pattern > LARGEST_FINITE_PATTERN:
            if pattern != NEGATIVE_ZERO_PATTERN:
                return zeros, i
            pattern = np.uint32(0)
        if pattern < SMALLEST_NORMAL_PATTERN:
            if pattern == 0:
                zeros += 1
            else:
                log = np.log(np.float64(pattern) / SMALLEST_NORMAL_PATTERN)
                for power in range(4):
                    subnormal_log_sums[power] += log ** (power + 1)
        upper, lower = pattern >> LOWER_BITS, np.int64(pattern & (LOWER_VALUES - 1))
        bins[upper, 0] += 1
        bins[upper, 1] += lower
        bins[upper, 2] += lower * lower
    return zeros, len(patterns)


@numba.njit(nogil=True)
def _count_lower(patterns, slot, counts):  # type: ignore[no-untyped-def]
    """Count the lower halves of the patterns whose upper half has a slot."""
    for i in range(len(patterns)):
        pattern = patterns[i] & np.uint32(0x7FFFFFFF)
        row = slot[pattern >> LOWER_BITS]
        if row >= 0:
            counts[row, pattern & (LOWER_VALUES - 1)] += 1
