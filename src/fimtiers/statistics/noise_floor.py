"""What a tier ratio of a finite number of probes is when all parameters are truly alike.

An estimate of F from n probes scatters around its true value, and sorting turns scatter into a
ratio above one. A measured ratio means something only by how far it is above this floor.
"""

import numpy as np
from scipy import stats

from fimtiers.tiers.ratio import BOTTOM_PERCENT, TOP_PERCENT

_TOP, _BOTTOM = TOP_PERCENT / 100, BOTTOM_PERCENT / 100

TIER1_SHIFT = float(stats.norm.pdf(stats.norm.isf(_TOP)) / _TOP)
"""Mean of the largest 1 % of a standard normal, φ(z) / 0.01 at its 99th percentile z: 2.665."""

TIER3_SHIFT = float(stats.norm.pdf(stats.norm.ppf(_BOTTOM)) / _BOTTOM)
"""Minus the mean of the smallest half of a standard normal, φ(0) / 0.5 = √(2/π): 0.798."""


def gaussian_noise_floor(relative_error: float) -> float:
    """Return T1 / T3 of equal parameters, each estimated with the same relative error.

    (1 + c1 s) / (1 − c3 s), with c1 and c3 the means of the tiers of a standard normal, in the
    limit of many parameters and of errors that are normal.

    Parameters
    ----------
    relative_error
        s, standard error of one estimated F divided by F; not negative. From 1 / c3 = 1.25 on,
        the floor is infinite.
    """
    if relative_error < 0:
        raise ValueError(f"relative error is {relative_error}; expected at least 0")
    denominator = 1 - TIER3_SHIFT * relative_error
    return (1 + TIER1_SHIFT * relative_error) / denominator if denominator > 0 else np.inf


def relative_error_of_mean_square(probes: int) -> float:
    """Return √(2 / probes), the relative error of F if gradients are normal and independent."""
    return float(np.sqrt(2 / probes))


def chi_squared_tier_ratio(probes: int) -> float:
    """Return the exact T1 / T3 of equal parameters with independent normal gradients.

    Then F ~ χ²_n / n for n probes, and with G_k the distribution of χ²_k and q its quantiles,
    T1 = (1 − G_{n+2}(q_0.99)) / 0.01 and T3 = G_{n+2}(q_0.5) / 0.5, for many parameters.

    Parameters
    ----------
    probes
        n, at least 1.
    """
    if probes < 1:
        raise ValueError(f"{probes} probes; expected at least 1")
    upper = stats.chi2.isf(_TOP, probes)
    lower = stats.chi2.ppf(_BOTTOM, probes)
    tier1_mean = stats.chi2.sf(upper, probes + 2) / _TOP
    tier3_mean = stats.chi2.cdf(lower, probes + 2) / _BOTTOM
    return float(tier1_mean / tier3_mean)
