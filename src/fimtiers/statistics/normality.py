"""Is ln F normal? Tested on the distribution of each diagonal, and then over seeds.

The published check compares seed means of skewness and kurtosis with 0.5, which five values of any
symmetric law would pass. Here the whole distribution of each diagonal is compared with a normal
one, as it is or with the mean and scale of each layer removed: a mixture of drifting layers is not
normal even if every layer is.

The entries of a diagonal are not independent, as those of a layer share activations and
gradients. The test of one diagonal is therefore nominal, and `kolmogorov_distance` is its effect
size. Seeds are independent: `mean_over_seeds` tests a moment over seeds.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr

from fimtiers.tiers.ratio import checked_diagonal

Array = NDArray[np.float64]

FEWEST = 20
"""Fewer positive entries than this are not tested."""

ROUNDING = 1e-9
"""The logarithms in a group that scatter by less are equal, up to rounding."""

CRITICAL_AT_1_PERCENT = 1.035
"""Of the modified Kolmogorov statistic with estimated mean and variance (Stephens 1974, J. Am.
Stat. Assoc. 69, 730, table 1A)."""


@dataclass(frozen=True)
class LogNormality:
    """How far ln F is from normal, each with the shape of F less its last axis.

    Attributes
    ----------
    positive_count
        n, number of positive entries, int64.
    skewness, excess_kurtosis
        Population moments, 0 for a normal law.
    skewness_score, kurtosis_score
        The same over their standard errors √(6/n) and √(24/n) for n independent normal values.
    kolmogorov_distance
        D, largest distance between the distribution function of ln F and that of the normal law
        with its mean and variance, between 0 and 1.
    kolmogorov_statistic
        D (√n − 0.01 + 0.85/√n), above 1.035 in 1 % of normal samples of independent values.
    normal
        Whether the statistic is below that.
    """

    positive_count: NDArray[np.int64]
    skewness: Array
    excess_kurtosis: Array
    skewness_score: Array
    kurtosis_score: Array
    kolmogorov_distance: Array
    kolmogorov_statistic: Array
    normal: NDArray[np.bool_]


def log_normality(fim: NDArray[Any], group: NDArray[np.integer[Any]] | None = None) -> LogNormality:
    """Compare the distribution of ln F over positive entries with the normal law.

    Parameters
    ----------
    fim
        F, not negative, shape (..., parameter).
    group
        If given, shape (parameter,): ln F is first reduced to zero mean and unit variance within
        each group, such as each layer. Groups with fewer than two different values are left out.

    Returns
    -------
    LogNormality
        NaN, and not normal, with fewer than 20 entries or if all are equal.

    Raises
    ------
    ValueError
        If `group` does not name one group per parameter.
    """
    fim = checked_diagonal(fim)
    if group is None:
        group = np.zeros(fim.shape[-1], np.int64)
    if group.shape != fim.shape[-1:]:
        raise ValueError(f"group has shape {group.shape}; fim has {fim.shape[-1]} parameters")
    label = np.unique(group, return_inverse=True)[1]
    count, skewness, kurtosis, distance = np.moveaxis(
        np.apply_along_axis(_shape, -1, fim, label), -1, 0
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(count)
        statistic = distance * (root - 0.01 + 0.85 / root)
    return LogNormality(
        positive_count=count.astype(np.int64),
        skewness=skewness,
        excess_kurtosis=kurtosis,
        skewness_score=skewness * root / np.sqrt(6),
        kurtosis_score=kurtosis * root / np.sqrt(24),
        kolmogorov_distance=distance,
        kolmogorov_statistic=statistic,
        normal=statistic < CRITICAL_AT_1_PERCENT,
    )


@dataclass(frozen=True)
class SeedMean:
    """Mean of one number per seed, with its standard error and p of a t test of zero mean."""

    mean: float
    standard_error: float
    p_value: float


def mean_over_seeds(value: Array) -> SeedMean:
    """Test whether a moment, such as the skewness of ln F, is zero in the mean over seeds.

    Parameters
    ----------
    value
        One number per seed, shape (seed,). With a single seed the error and p are NaN.
    """
    if len(value) < 2:
        return SeedMean(float(np.mean(value)), np.nan, np.nan)
    error = float(np.std(value, ddof=1) / np.sqrt(len(value)))
    return SeedMean(float(np.mean(value)), error, float(stats.ttest_1samp(value, 0).pvalue))


def _shape(row: Array, label: NDArray[np.integer[Any]]) -> Array:
    """Return count, skewness, excess kurtosis and Kolmogorov distance of ln F within groups."""
    z = _standardised_logs(row, label)
    if len(z) < FEWEST:
        return np.array([len(z), np.nan, np.nan, np.nan])
    z = np.sort((z - z.mean()) / z.std())
    normal = ndtr(z)
    rank = np.arange(1, len(z) + 1) / len(z)
    distance = max(np.max(rank - normal), np.max(normal - rank + 1 / len(z)))
    return np.array([len(z), np.mean(z**3), np.mean(z**4) - 3, distance])


def _standardised_logs(row: Array, label: NDArray[np.integer[Any]]) -> Array:
    positive = row > 0
    logs, label = np.log(row[positive]), label[positive]
    if not len(logs):
        return logs
    count = np.maximum(np.bincount(label), 1)
    residual = logs - (np.bincount(label, weights=logs) / count)[label]
    deviation = np.sqrt(np.bincount(label, weights=residual**2) / count)
    varies = deviation > ROUNDING
    return np.asarray((residual / np.where(varies, deviation, 1)[label])[varies[label]])
