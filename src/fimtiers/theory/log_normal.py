"""Tier ratio of a log-normal Fisher diagonal, exactly and in its two limits.

Let ln F ~ N(m, v) and s = √v. Tier 1 lies above the quantile α, tier 3 below the quantile β. With
Φ the normal distribution function, z_q = Φ⁻¹(q), and E[e^{sZ}; Z > z] = e^{s²/2} Φ(s − z),

    T1/T3 = [Φ(s − z_α) / (1 − α)] / [Φ(z_β − s) / β].

The published law, ln (T1/T3) = 3.463 √v for all v, is the first term of the expansion at small v.
At large v the logarithm grows like v/2: if v grows with depth, ln (T1/T3) ends up linear in depth.
The two are within 3.5 % of each other up to v ≈ 17, which is why the law looks right.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import log_ndtr
from scipy.stats import norm

ALPHA = 0.99
"""Tier 1 is the largest 1 %."""
BETA = 0.5
"""Tier 3 is the smallest 50 %."""


def log_tier_ratio(
    variance: ArrayLike, alpha: float = ALPHA, beta: float = BETA
) -> NDArray[np.float64]:
    """Return ln (T1/T3) of a log-normal, exactly and without overflow at any variance.

    ln T = lnΦ(s − z_α) − ln(1 − α) − lnΦ(z_β − s) + ln β.

    Parameters
    ----------
    variance
        v = Var[ln F], not negative, any shape.
    alpha, beta
        Quantiles that bound the tiers, 0 < β ≤ α < 1.

    Raises
    ------
    ValueError
        If a variance is negative or the quantiles are out of order.
    """
    s, z_alpha, z_beta = _arguments(variance, alpha, beta)
    return np.asarray(
        log_ndtr(s - z_alpha) - np.log1p(-alpha) - log_ndtr(z_beta - s) + np.log(beta)
    )


def small_variance_log_ratio(
    variance: ArrayLike, order: int = 1, alpha: float = ALPHA, beta: float = BETA
) -> NDArray[np.float64]:
    """Return the expansion of ln (T1/T3) at v → 0, to first or second order in s = √v.

    First order, the published law: s (z̄⁺ − z̄⁻) with the means z̄⁺ = E[Z | Z > z_α] and
    z̄⁻ = E[Z | Z < z_β] of the truncated normal. Second order adds ½ v times the difference of
    their variances, which does not vanish: −0.1333 v at α = 0.99, β = 0.5.

    Parameters
    ----------
    variance, alpha, beta
        As `log_tier_ratio`.
    order
        1 or 2.
    """
    if order not in (1, 2):
        raise ValueError(f"order {order}; allowed: 1, 2")
    s, z_alpha, z_beta = _arguments(variance, alpha, beta)
    upper, lower = norm.pdf(z_alpha) / (1 - alpha), -norm.pdf(z_beta) / beta
    linear = s * (upper - lower)
    if order == 1:
        return np.asarray(linear)
    upper_variance = 1 + z_alpha * upper - upper**2
    lower_variance = 1 + z_beta * lower - lower**2
    return np.asarray(linear + s**2 * (upper_variance - lower_variance) / 2)


def large_variance_log_ratio(
    variance: ArrayLike, alpha: float = ALPHA, beta: float = BETA
) -> NDArray[np.float64]:
    """Return the limit of ln (T1/T3) at v → ∞, x²/2 + ln(x √(2π)) + ln β/(1 − α), x = s − z_β.

    At β = ½ this is v/2 + ½ ln(2πv) + ln β/(1 − α). Arguments as `log_tier_ratio`.

    Raises
    ------
    ValueError
        Also if √v is not above z_β, where there is no such limit.
    """
    s, _, z_beta = _arguments(variance, alpha, beta)
    x = s - z_beta
    if (x <= 0).any():
        raise ValueError(f"variance {s[x <= 0].flat[0] ** 2}; expected more than {z_beta**2}")
    return np.asarray(x**2 / 2 + np.log(x * np.sqrt(2 * np.pi)) + np.log(beta / (1 - alpha)))


def variance_for_log_ratio(log_ratio: float, alpha: float = ALPHA, beta: float = BETA) -> float:
    """Return the v at which `log_tier_ratio` is `log_ratio`; 1.88 at a tier ratio of 100.

    Raises
    ------
    ValueError
        If `log_ratio` is negative or not finite.
    """
    if not 0 <= log_ratio < np.inf:
        raise ValueError(f"log ratio {log_ratio}; expected a finite number, not negative")
    if log_ratio <= log_tier_ratio(0.0, alpha, beta):  # zero up to rounding
        return 0.0
    # ln T ≥ v/2 for β ≤ ½ ≤ α, and doubling covers all other quantiles.
    high = 1.0 + 2 * log_ratio
    while log_tier_ratio(high, alpha, beta) < log_ratio:
        high *= 2
    return float(
        brentq(lambda v: log_tier_ratio(v, alpha, beta) - log_ratio, 0.0, high, xtol=1e-12)
    )


def published_slope(variance_slope: float) -> float:
    """Return the slope of ln (T1/T3) against √L that the published law infers from Var[ln F] = bL.

    It is 3.463 √b, with b the measured slope: a fit of the same data, not a prediction.
    """
    return float(small_variance_log_ratio(variance_slope))


def _arguments(
    variance: ArrayLike, alpha: float, beta: float
) -> tuple[NDArray[np.float64], float, float]:
    v = np.asarray(variance, dtype=np.float64)
    if (v < 0).any():
        raise ValueError(f"variance {v[v < 0].flat[0]}; expected a number that is not negative")
    if not 0 < beta <= alpha < 1:
        raise ValueError(f"quantiles alpha {alpha} and beta {beta}; expected 0 < beta ≤ alpha < 1")
    return np.sqrt(v), float(norm.ppf(alpha)), float(norm.ppf(beta))
