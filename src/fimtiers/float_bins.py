"""Statistics of float32 values that are known only by a histogram of their bit patterns.

A histogram has one row for each upper half of the patterns of non-negative float32 numbers: how
many values have it, the sum of their lower halves, and the sum of the squares of those, all exact
integers. `fimtiers.streaming_tiers` makes such histograms.
"""

from dataclasses import dataclass
from functools import cache
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

from fimtiers.pattern_counts import LOWER_BITS, LOWER_VALUES
from fimtiers.tiers.logarithm import FEWEST_FOR_MOMENTS

BINS = 1 << 15
MANTISSA_BITS = 23
BINS_OF_EXPONENT = 1 << (MANTISSA_BITS - LOWER_BITS)
SMALLEST_EXPONENT = -149
SMALLEST_NORMAL_PATTERN = 1 << MANTISSA_BITS
LN_SMALLEST_NORMAL = float(np.log(2.0**-126))


def bin_sums(bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of the values of every bin, shape (bin,), from bins of shape (bin, 3)."""
    return _whole_sums(bins) * _scales()[1]


def exponent_sums(bins: NDArray[np.int64], first: int, last: int) -> list[float]:
    """Return the sums of the values in bins first, …, last − 1, one for each exponent.

    Values of one exponent are whole numbers of one unit, so that few numbers remain to be added.
    """
    whole = np.zeros(BINS, np.int64)
    whole[first:last] = _whole_sums(bins)[first:last]
    unit = _scales()[1].reshape(-1, BINS_OF_EXPONENT)[:, 0]
    return list((whole.reshape(-1, BINS_OF_EXPONENT).sum(1) * unit).tolist())


def bin_sum(upper: int, count: int, lower: int) -> float:
    """Return the sum of `count` values of one bin whose lower halves add up to `lower`."""
    mantissa, unit = _scales()
    return (count * (int(mantissa[upper]) << LOWER_BITS) + lower) * float(unit[upper])


def participation(bins: NDArray[np.int64], total: float) -> float:
    """Return (Σ F)² / Σ F²; NaN if all of F is zero."""
    if total == 0:
        return np.nan
    used = np.flatnonzero(bins[:, 0])
    mantissa, unit = (scale[used] for scale in _scales())
    count, lower, square = bins[used].T.astype(np.float64)
    base = mantissa * float(LOWER_VALUES)
    squares = (count * base**2 + 2 * base * lower + square) * unit**2
    return total**2 / float(squares.sum())


def gini_coefficient(bins: NDArray[np.int64], total: float) -> tuple[float, float]:
    """Return the Gini coefficient and a bound on its error.

    The part between bins is exact. Inside a bin with standard deviation s, the mean absolute
    difference is between 0 and √2 s; it is taken as that of a uniform distribution, 2 s / √3.
    """
    n = int(bins[:, 0].sum())
    if total == 0:
        return 0.0, 0.0
    used = np.flatnonzero(bins[:, 0])
    unit = _scales()[1][used]
    count = bins[used, 0].astype(np.float64)
    before = np.cumsum(count) - count
    between = fsum((2 * before + count - n) * bin_sums(bins)[used])
    deviation = unit * np.sqrt(_variance(bins[used]))
    pairs = float((count**2 * deviation).sum())
    within, largest = pairs / sqrt(3), pairs / sqrt(2)
    bound = max(within, largest - within)
    return (between + within) / (n * total), bound / (n * total)


@dataclass(frozen=True)
class LogMomentsOfBins:
    """Population moments of ln F over positive values; see `fimtiers.tiers.LogMoments`."""

    mean: float
    variance: float
    skewness: float
    excess_kurtosis: float


def log_moments(
    bins: NDArray[np.int64], zeros: int, subnormal_log_sums: NDArray[np.float64]
) -> LogMomentsOfBins:
    """Return the moments of ln F over positive values; NaN with fewer than ten of them.

    In a bin with mean c, ln F = ln c + t with t = ln(1 + δ), |δ| ≤ 2⁻⁷. The sum of δ is zero and
    that of δ² is known, so those of t = δ − δ²/2 and t² = δ² are, to second order.

    Parameters
    ----------
    bins
        The histogram, shape (2¹⁵, 3).
    zeros
        How many of its values are zero.
    subnormal_log_sums
        Over positive subnormal values, the sums of the first four powers of ln F − ln 2⁻¹²⁶, shape
        (4,): the bins are too wide for logarithms there.
    """
    positive = bins.copy()
    positive[0, 0] -= zeros
    count = int(positive[:, 0].sum())
    if count < FEWEST_FOR_MOMENTS:
        return LogMomentsOfBins(np.nan, np.nan, np.nan, np.nan)
    mantissa, unit = _scales()
    used = np.flatnonzero(positive[:, 0])
    normal = used[used >= SMALLEST_NORMAL_PATTERN >> LOWER_BITS]
    sums = [_log_sums(positive[normal], mantissa[normal], unit[normal])]
    subnormal = count - int(positive[normal, 0].sum())
    if subnormal:
        powers = np.concatenate([[subnormal], subnormal_log_sums])
        sums.append((np.array([LN_SMALLEST_NORMAL]), powers[:, None]))
    middle = np.concatenate([s[0] for s in sums])
    power = np.concatenate([s[1] for s in sums], axis=1)
    mean = fsum(power[0] * middle + power[1]) / count
    if len(used) == 1 and all_equal(positive[used[0]]):
        return LogMomentsOfBins(mean, 0.0, np.nan, np.nan)
    return LogMomentsOfBins(mean, *_standardised(power, middle - mean, count))


def _log_sums(
    bins: NDArray[np.int64], mantissa: NDArray[np.int64], unit: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ln c of every bin, and the sums of t⁰ … t⁴, shape (5, bin)."""
    count, lower = bins[:, :2].T.astype(np.float64)
    mean = mantissa * LOWER_VALUES + lower / count
    second = count * _variance(bins) / mean**2
    zero = np.zeros_like(count)
    return np.log(mean) + np.log(unit), np.stack([count, -second / 2, second, zero, zero])


def _standardised(
    power: NDArray[np.float64], d: NDArray[np.float64], count: int
) -> tuple[float, float, float]:
    """Return variance, skewness and excess kurtosis from sums of powers about mean + d."""
    n, t1, t2, t3, t4 = power
    d2 = d * d
    variance = float((n * d2 + 2 * d * t1 + t2).sum()) / count
    third = float((d * (n * d2 + 3 * d * t1 + 3 * t2) + t3).sum()) / count
    fourth = float((d2 * (n * d2 + 4 * d * t1 + 6 * t2) + 4 * d * t3 + t4).sum()) / count
    return variance, third / variance**1.5, fourth / variance**2 - 3


def _variance(bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the variance of the lower halves in bins that are not empty."""
    count, lower, square = bins.T.astype(np.float64)
    return np.maximum(square / count - (lower / count) ** 2, 0)


def all_equal(row: NDArray[np.int64]) -> bool:
    """Return whether the values of one bin that is not empty are equal."""
    count, lower, square = map(int, row)
    return count * square == lower**2


def _whole_sums(bins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sums of the values of the bins in units of each."""
    return bins[:, 0] * (_scales()[0] << LOWER_BITS) + bins[:, 1]


@cache
def _scales() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return mantissa m and unit u of every bin: a value is (m · 2¹⁶ + lower half) · u."""
    upper = np.arange(BINS)
    exponent = upper // BINS_OF_EXPONENT
    hidden = np.where(exponent > 0, BINS_OF_EXPONENT, 0)
    mantissa = upper % BINS_OF_EXPONENT + hidden
    return mantissa, np.ldexp(1.0, np.maximum(exponent - 1, 0) + SMALLEST_EXPONENT)
