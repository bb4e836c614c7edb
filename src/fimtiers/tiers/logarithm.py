"""The distribution of ln F: moments, its variance between and within layers, quantiles.

Logarithms are natural and taken of the positive entries only; the count of those is reported.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.tiers.ratio import checked_diagonal, divide

FEWEST_FOR_MOMENTS = 10


@dataclass(frozen=True)
class LogMoments:
    """Population moments of ln F, each with the shape of F less its last axis.

    Attributes
    ----------
    mean
        Mean of ln F.
    variance
        Var[ln F], divided by the count.
    skewness
        Mean of ((ln F − mean) / sd)³.
    excess_kurtosis
        Mean of ((ln F − mean) / sd)⁴, less 3.
    positive_count
        Number of positive entries, int64.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    skewness: NDArray[np.float64]
    excess_kurtosis: NDArray[np.float64]
    positive_count: NDArray[np.int64]


def log_moments(fim: NDArray[Any]) -> LogMoments:
    """Return the moments of ln F over the positive entries of each diagonal.

    Parameters
    ----------
    fim
        F, not negative, shape (..., parameter).

    Returns
    -------
    LogMoments
        NaN with fewer than ten positive entries; skewness and kurtosis are NaN also if all
        positive entries are equal.
    """
    fim = checked_diagonal(fim)
    moments = np.apply_along_axis(_log_moments, -1, fim)
    return LogMoments(
        mean=moments[..., 0],
        variance=moments[..., 1],
        skewness=moments[..., 2],
        excess_kurtosis=moments[..., 3],
        positive_count=np.asarray((fim > 0).sum(axis=-1)),
    )


def _log_moments(row: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.log(row[row > 0])
    if len(logs) < FEWEST_FOR_MOMENTS:
        return np.full(4, np.nan)
    if logs.min() == logs.max():
        return np.array([logs[0], 0.0, np.nan, np.nan])
    mean, variance = logs.mean(), logs.var()
    standard = (logs - mean) / np.sqrt(variance)
    return np.array([mean, variance, (standard**3).mean(), (standard**4).mean() - 3])


@dataclass(frozen=True)
class LogVariance:
    """Var[ln F] = between + within, each with the shape of F less its last axis.

    Attributes
    ----------
    between
        Variance of the group means of ln F, weighted by the groups' counts of positive entries.
    within
        Mean of the variances inside the groups, weighted alike.
    """

    between: NDArray[np.float64]
    within: NDArray[np.float64]


def log_variance_between_groups(fim: NDArray[Any], group: NDArray[np.integer[Any]]) -> LogVariance:
    """Split Var[ln F] into its part between groups of parameters and its part within them.

    Law of total variance over positive entries: with p_g the share of group g and μ_g, σ²_g its
    mean and variance of ln F, between = Σ_g p_g (μ_g − μ)² and within = Σ_g p_g σ²_g.

    Parameters
    ----------
    fim
        F, not negative, shape (..., parameter).
    group
        Group of each parameter, any integers, shape (parameter,); such as its layer.

    Returns
    -------
    LogVariance
        NaN with fewer than ten positive entries.

    Raises
    ------
    ValueError
        If `group` does not name one group per parameter.
    """
    fim = checked_diagonal(fim)
    if group.shape != fim.shape[-1:]:
        raise ValueError(f"group has shape {group.shape}; fim has {fim.shape[-1]} parameters")
    label = np.unique(group, return_inverse=True)[1]
    parts = np.apply_along_axis(_log_variance_parts, -1, fim, label)
    return LogVariance(between=parts[..., 0], within=parts[..., 1])


def _log_variance_parts(
    row: NDArray[np.float64], label: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    positive = row > 0
    if positive.sum() < FEWEST_FOR_MOMENTS:
        return np.full(2, np.nan)
    logs, label = np.log(row[positive]), label[positive]
    count = np.bincount(label)
    group_mean = np.bincount(label, weights=logs) / np.maximum(count, 1)
    residual = logs - group_mean[label]
    between = (count * (group_mean - logs.mean()) ** 2).sum() / len(logs)
    return np.array([between, (residual**2).mean()])


def quantile_ratio(
    fim: NDArray[Any], upper: float = 0.99, lower: float = 0.25
) -> NDArray[np.float64]:
    """Return q_upper / q_lower of all entries of F; infinite where the lower quantile is zero.

    Quantiles are interpolated linearly between order statistics, at rank (n − 1) q.

    Parameters
    ----------
    fim
        F, not negative, shape (..., parameter).
    upper, lower
        Probabilities, 0 ≤ lower < upper ≤ 1.
    """
    if not 0 <= lower < upper <= 1:
        raise ValueError(f"quantiles {lower} and {upper}; expected 0 ≤ lower < upper ≤ 1")
    low, high = np.quantile(checked_diagonal(fim), [lower, upper], axis=-1)
    return divide(high, low)
