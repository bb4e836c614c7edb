"""The exponent a of y = b + c L^a, fitted to the runs of a sweep.

Written as y = b + c (L^a − 1)/a (Box & Cox 1964, J. R. Stat. Soc. B 26, 211), the family goes on
through a = 0, where it is y = b + c ln L, to negative exponents, of curves that level off.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from fimtiers.statistics.depth_law import corrected_akaike, jackknife_error, lack_of_fit

Array = NDArray[np.float64]

SMALLEST, LARGEST = -4.0, 8.0
"""Exponents between which the best one is sought."""
GRID = 49
"""Exponents at which the search starts, every quarter."""
AT_THE_END = 1e-3
"""An exponent this near to an end of the range is not determined."""
COEFFICIENTS = 3


@dataclass(frozen=True)
class PowerLaw:
    """The power of L that describes the runs of a sweep best.

    Attributes
    ----------
    exponent
        a by least squares over runs; NaN with fewer than four depths, or if the best one is at an
        end of `SMALLEST` to `LARGEST`.
    low, high
        Student's t interval from leaving out one seed at a time; NaN if one of these fits has no
        exponent.
    aicc
        As that of `fimtiers.statistics.depth_law.DepthLaw`, with one parameter more.
    lack_of_fit_p
        As there: small where no power describes the means.
    """

    exponent: float
    low: float
    high: float
    aicc: float
    lack_of_fit_p: float


def fit_power_law(
    value: Array, depth: Array, seed: NDArray[np.integer], confidence: float = 0.95
) -> PowerLaw:
    """Fit y = b + c L^a to all runs of a sweep.

    Parameters
    ----------
    value
        y of each run, shape (run,). If one is not finite, all is NaN.
    depth
        L ≥ 1 of each run, shape (run,).
    seed
        Seed of each run, shape (run,), left out as a whole.
    confidence
        Level of the interval.

    Raises
    ------
    ValueError
        If a depth is below 1.
    """
    if len(depth) and depth.min() < 1:
        raise ValueError(f"depth {depth.min():g}; expected at least 1")
    if not np.isfinite(value).all() or len(np.unique(depth)) <= COEFFICIENTS:
        return PowerLaw(np.nan, np.nan, np.nan, np.nan, np.nan)
    exponent, rss = _best(value, depth)
    seeds = np.unique(seed)
    half = np.nan
    if len(seeds) > 1:
        without = [_best(value[seed != one], depth[seed != one])[0] for one in seeds]
        error = float(jackknife_error(without))
        half = float(stats.t.ppf((1 + confidence) / 2, len(seeds) - 1)) * error
    return PowerLaw(
        exponent=exponent,
        low=exponent - half,
        high=exponent + half,
        aicc=corrected_akaike(rss, len(value), COEFFICIENTS + 1),
        lack_of_fit_p=lack_of_fit(rss, COEFFICIENTS, value, depth[:, None]),
    )


def _best(value: Array, depth: Array) -> tuple[float, float]:
    """Return the exponent with the smallest sum of squared residuals, and that sum."""

    def rss(exponent: float) -> float:
        return _residual_sum(exponent, value, depth)

    grid = np.linspace(SMALLEST, LARGEST, GRID)
    start = int(np.argmin([rss(one) for one in grid]))
    low, high = grid[max(start - 1, 0)], grid[min(start + 1, GRID - 1)]
    found = optimize.minimize_scalar(rss, bounds=(low, high), method="bounded")
    exponent = float(found.x)
    if min(exponent - SMALLEST, LARGEST - exponent) < AT_THE_END:
        return np.nan, float(found.fun)
    return exponent, float(found.fun)


def _residual_sum(exponent: float, value: Array, depth: Array) -> float:
    logs = exponent * np.log(depth)
    predictor = np.log(depth) if exponent == 0 else np.expm1(logs) / exponent
    design = np.column_stack([np.ones_like(depth), predictor / np.abs(predictor).max()])
    residual = value - design @ np.linalg.lstsq(design, value, rcond=None)[0]
    return float(residual @ residual)
