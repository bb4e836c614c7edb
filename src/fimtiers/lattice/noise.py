"""The tier ratio that noise alone gives when all exact Fisher values are equal."""

from scipy.special import gammainc, gammaincc, gammaincinv

TOP, BOTTOM = 0.01, 0.5
"""Fractions of the parameters in the first and the third tier."""


def noise_floor(relative_standard_error: float) -> float:
    """Return T1 / T3 of equal Fisher values, each estimated with the same relative error s.

    The estimates are taken to follow a gamma law of mean 1 and variance s², with shape k = 1/s²:
    exact for a mean of 2/s² squares of independent Gaussian numbers, which has a χ² law. With the
    quantiles q of the law, and Q and P the upper and lower incomplete gamma functions,

        T1 = Q(k + 1, k q₀.₉₉) / 0.01,    T3 = P(k + 1, k q₀.₅) / 0.5.

    For small s this is (1 + 2.665 s) / (1 − 0.798 s), the ratio for a Gaussian law.

    Parameters
    ----------
    relative_standard_error
        s ≥ 0, dimensionless.
    """
    if relative_standard_error < 0:
        raise ValueError(f"relative standard error {relative_standard_error} is negative")
    if relative_standard_error == 0:
        return 1.0
    k = 1 / relative_standard_error**2
    top = gammaincc(k + 1, gammaincinv(k, 1 - TOP)) / TOP
    bottom = gammainc(k + 1, gammaincinv(k, BOTTOM)) / BOTTOM
    return float(top / bottom)
