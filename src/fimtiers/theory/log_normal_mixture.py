"""Tier ratio of a mixture of log-normals, such as layers with their own level and spread of ln F.

A pooled diagonal of drifting layers is not log-normal, so its variance alone does not give its tier
ratio. With shares w_k, means m_k and variances v_k = s_k² of ln F in group k, and a share of exact
zeros, the tiers of the pooled diagonal follow from its quantiles t_α and t_β of ln F:

    T1 = Σ_k w_k e^{m_k + v_k/2} Φ((m_k + v_k − t_α) / s_k) / (1 − α),
    T3 = Σ_k w_k e^{m_k + v_k/2} Φ((t_β − m_k − v_k) / s_k) / β.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_ndtr, logsumexp, ndtr

from fimtiers.theory.log_normal import ALPHA, BETA

Array = NDArray[np.float64]

STANDARD_DEVIATIONS = 40.0
"""Φ(−40) < 10⁻³⁵⁰: every quantile of a mixture lies this close to one of its components."""


def mixture_log_tier_ratio(
    mean: Array,
    variance: Array,
    weight: Array,
    zero_fraction: float = 0.0,
    alpha: float = ALPHA,
    beta: float = BETA,
) -> float:
    """Return ln (T1/T3) of a mixture of log-normals with an atom at zero.

    Parameters
    ----------
    mean, variance
        m_k and v_k of ln F, shape (component,); variances positive.
    weight
        Relative numbers of positive entries, shape (component,); not negative.
    zero_fraction
        Share of entries that are exactly zero; they enter tier 3.
    alpha, beta
        Quantiles that bound the tiers.

    Returns
    -------
    float
        Infinite if zeros fill tier 3.

    Raises
    ------
    ValueError
        If a variance is not positive, a weight is negative, or zeros reach into tier 1.
    """
    if not (variance > 0).all() or (weight < 0).any() or not weight.sum() > 0:
        raise ValueError(
            f"variances {variance} and weights {weight}; expected positive variances and weights "
            "that are not negative"
        )
    if not 0 <= zero_fraction < alpha:
        raise ValueError(f"zero_fraction {zero_fraction}; expected 0 ≤ zero_fraction < {alpha}")
    if zero_fraction >= beta:
        return np.inf
    share = weight / weight.sum() * (1 - zero_fraction)
    deviation = np.sqrt(variance)
    with np.errstate(divide="ignore"):
        log_first_moment = np.log(share) + mean + variance / 2
    upper = _quantile(alpha - zero_fraction, mean, deviation, share)
    lower = _quantile(beta - zero_fraction, mean, deviation, share)
    shifted = mean + variance
    tier1 = logsumexp(log_first_moment + log_ndtr((shifted - upper) / deviation))
    tier3 = logsumexp(log_first_moment + log_ndtr((lower - shifted) / deviation))
    return float(tier1 - np.log1p(-alpha) - tier3 + np.log(beta))


def _quantile(probability: float, mean: Array, deviation: Array, share: Array) -> float:
    """Return t with Σ_k w_k Φ((t − m_k) / s_k) = probability."""
    reach = STANDARD_DEVIATIONS * deviation
    return float(
        brentq(
            lambda t: share @ ndtr((t - mean) / deviation) - probability,
            (mean - reach).min(),
            (mean + reach).max(),
            xtol=1e-13,
        )
    )
