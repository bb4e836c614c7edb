"""The tiers of a Fisher diagonal and the ratio of their means, the quantity of the study.

Sort F along its last axis, n values. Tier 1 is the largest k1 = max(1, ⌊n/100⌋), tier 3 the
smallest k3 = max(1, ⌊n/2⌋), zeros included, tier 2 the rest.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP_PERCENT = 1.0
BOTTOM_PERCENT = 50.0


@dataclass(frozen=True)
class Tiers:
    """Means of the three tiers, float64, with the shape of F less its last axis.

    Attributes
    ----------
    tier1_mean, tier2_mean, tier3_mean
        Means of the tiers, in the units of F; a tier without members has mean NaN.
    ratio
        T1 / T3; infinite if T3 is zero, NaN if T1 is zero too.
    """

    tier1_mean: NDArray[np.float64]
    tier2_mean: NDArray[np.float64]
    tier3_mean: NDArray[np.float64]
    ratio: NDArray[np.float64]


def cut_tiers(
    fim: NDArray[Any], top_percent: float = TOP_PERCENT, bottom_percent: float = BOTTOM_PERCENT
) -> Tiers:
    """Cut F into three tiers by rank and average each in double precision.

    Parameters
    ----------
    fim
        F, not negative, shape (..., parameter).
    top_percent, bottom_percent
        Sizes of tier 1 and tier 3 in percent of the parameters.

    Raises
    ------
    ValueError
        If F is empty, negative or not a number, or if the two tiers together exceed 100 percent.
    """
    if not 0 < top_percent <= top_percent + bottom_percent <= 100:
        raise ValueError(
            f"tiers of {top_percent} and {bottom_percent} percent; "
            "expected positive percentages that sum to at most 100"
        )
    fim = checked_diagonal(fim)
    n = fim.shape[-1]
    k1, k3 = tier_size(n, top_percent), tier_size(n, bottom_percent)
    ordered = np.sort(fim, axis=-1)
    tier1_mean = ordered[..., n - k1 :].mean(axis=-1)
    tier3_mean = ordered[..., :k3].mean(axis=-1)
    middle = ordered[..., k3 : n - k1]
    tier2_mean = middle.mean(axis=-1) if middle.shape[-1] else np.full_like(tier1_mean, np.nan)
    return Tiers(tier1_mean, tier2_mean, tier3_mean, divide(tier1_mean, tier3_mean))


def tier_ratio(fim: NDArray[Any]) -> NDArray[np.float64]:
    """Return T1 / T3 of F of shape (..., parameter); infinite where T3 is zero."""
    return cut_tiers(fim).ratio


def zero_fraction(fim: NDArray[Any]) -> NDArray[np.float64]:
    """Return the fraction of F that is exactly zero, for F of shape (..., parameter)."""
    return (checked_diagonal(fim) == 0).mean(axis=-1)


def tier_size(n: int, percent: float) -> int:
    """Return max(1, ⌊n · percent / 100⌋), the number of parameters in a tier."""
    return max(1, int(n * percent / 100))


def divide(
    numerator: NDArray[np.float64] | np.floating[Any],
    denominator: NDArray[np.float64] | np.floating[Any],
) -> NDArray[np.float64]:
    """Divide with x / 0 = ∞ and 0 / 0 = NaN, both meant and so without a warning."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(numerator / denominator)


def checked_diagonal(fim: NDArray[Any]) -> NDArray[np.float64]:
    """Return F in double precision, once it is known to be a Fisher diagonal.

    Raises
    ------
    ValueError
        If F has no last axis to work on, or an entry that is negative, infinite or NaN.
    """
    values = np.asarray(fim, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"fim has shape {values.shape}; expected (..., parameter), not empty")
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        raise ValueError(
            f"fim contains {values[wrong][0]} and {wrong.sum() - 1} more such entries; "
            "a Fisher diagonal is finite and not negative"
        )
    return values
