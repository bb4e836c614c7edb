"""Tier ratio of pure drift: ln F spread evenly over a range R, without any fluctuation.

A chain of L layers with mean-square gain χ per layer multiplies F by χ from each layer to the
next, so ln F takes L equally spaced values, R = L |ln χ| in total. With as many parameters in each
layer and L large, ln F is uniform on an interval of length R, and

    ln (T1/T3) = (1 − β) R + g((1 − α) R) − g(β R),    g(x) = ln((1 − e^{−x}) / x).

Drift makes Var[ln F] = R²/12 quadratic in depth, and ln (T1/T3) linear in depth.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import exprel

from fimtiers.theory.log_normal import ALPHA, BETA


def drift_log_range(gain: ArrayLike, depth: ArrayLike) -> NDArray[np.float64]:
    """Return R = L |ln χ| for a mean-square gain χ > 0 per layer and L layers."""
    return np.asarray(np.multiply(depth, np.abs(np.log(gain))), dtype=np.float64)


def drift_log_tier_ratio(
    log_range: ArrayLike, alpha: float = ALPHA, beta: float = BETA
) -> NDArray[np.float64]:
    """Return ln (T1/T3) of F with ln F uniform on an interval of length R.

    Parameters
    ----------
    log_range
        R, not negative, any shape.
    alpha, beta
        Quantiles that bound the tiers, 0 < β ≤ α ≤ 1. At α = 1 tier 1 is the single largest
        entry, and the ratio is (R/2) e^{R/2} / (1 − e^{−R/2}) for β = ½.

    Raises
    ------
    ValueError
        If a range is negative or the quantiles are out of order.
    """
    r = np.asarray(log_range, dtype=np.float64)
    if (r < 0).any():
        raise ValueError(f"log_range {r[r < 0].flat[0]}; expected a number that is not negative")
    if not 0 < beta <= alpha <= 1:
        raise ValueError(f"quantiles alpha {alpha} and beta {beta}; expected 0 < beta ≤ alpha ≤ 1")
    return np.asarray((1 - beta) * r + np.log(exprel(-(1 - alpha) * r)) - np.log(exprel(-beta * r)))


def drift_log_variance(gain: float, depth: int) -> float:
    """Return Var[ln F] of L equally spaced values, (ln χ)² (L² − 1) / 12."""
    return float(np.log(gain) ** 2 * (depth**2 - 1) / 12)
