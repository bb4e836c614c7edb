"""Scaling exponents: the slope of a ratio against the number of parameters on logarithmic axes.

The bootstrap resamples widths, not seeds. With three to six points its intervals mean little: a
resample with two distinct points fits them exactly, with R² = 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST_TO_RESAMPLE = 3


@dataclass(frozen=True)
class Exponent:
    """Least-squares exponent with bootstrap intervals.

    Attributes
    ----------
    points
        Number of points.
    exponent, exponent_low, exponent_high
        Slope of log10 ratio against log10 N, and its percentile interval.
    r_squared, r_squared_low, r_squared_high
        Coefficient of determination, and its percentile interval.
    """

    points: int
    exponent: float
    exponent_low: float
    exponent_high: float
    r_squared: float
    r_squared_low: float
    r_squared_high: float


def bootstrap_exponent(
    parameters: NDArray[np.float64],
    ratio: NDArray[np.float64],
    seed: int = 42,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Exponent:
    """Fit ratio ∝ N^exponent and resample the points.

    Parameters
    ----------
    parameters
        N, numbers of parameters, shape (points,), at least two distinct.
    ratio
        Ratios, shape (points,); those below 1 count as 1.
    seed
        Seed of the generator.
    resamples
        Number of resamples; those with fewer than two distinct N are left out.
    confidence
        Level of the intervals. With fewer than three points they have no width.

    Raises
    ------
    ValueError
        If the arrays differ in length or have fewer than two distinct numbers of parameters.
    """
    if len(parameters) != len(ratio) or len(np.unique(parameters)) < 2:
        raise ValueError(
            f"{len(parameters)} numbers of parameters and {len(ratio)} ratios; "
            "expected equally many, with at least two distinct numbers of parameters"
        )
    x, y = np.log10(parameters), np.log10(np.maximum(ratio, 1))
    slope, r_squared = _fit(x, y)
    fits = np.array([[slope, r_squared]])
    if len(x) >= FEWEST_TO_RESAMPLE:
        generator = np.random.default_rng(seed)
        chosen = [generator.integers(0, len(x), size=len(x)) for _ in range(resamples)]
        fits = np.array([_fit(x[i], y[i]) for i in chosen if len(np.unique(x[i])) > 1])
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(fits, [tail, 100 - tail], axis=0)
    return Exponent(
        points=len(x),
        exponent=slope,
        exponent_low=float(low[0]),
        exponent_high=float(high[0]),
        r_squared=r_squared,
        r_squared_low=float(low[1]),
        r_squared_high=float(high[1]),
    )


def _fit(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return slope and R² of y = a + b x; R² is 0 where y does not vary."""
    dx, dy = x - x.mean(), y - y.mean()
    slope = (dx @ dy) / (dx @ dx)
    total = dy @ dy
    residual = dy - slope * dx
    return float(slope), float(1 - (residual @ residual) / total) if total > 0 else 0.0
