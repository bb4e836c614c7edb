"""Factors in words: a direction only where the interval has one, and the interval always."""

import numpy as np
import pandas as pd

from fimtiers.plotting.style import format_number
from fimtiers.statistics.intervals import GeometricMeanInterval
from fimtiers.statistics.sweep_intervals import factor_of_seeds

PUBLISHED = "tier_ratio_published"
FEW = 2
"""Significant digits of a factor: its interval is seldom narrower."""


def factor_between(above: pd.DataFrame, below: pd.DataFrame) -> GeometricMeanInterval:
    """Return the factor between published ratios of runs with equal seeds, 95 % Student's t."""
    return factor_of_seeds(above, below, PUBLISHED)


def inverted(factor: GeometricMeanInterval) -> GeometricMeanInterval:
    """Return the factor the other way round."""
    return GeometricMeanInterval(
        factor.n, 1 / factor.geometric_mean, 1 / factor.high, 1 / factor.low
    )


def direction(factor: GeometricMeanInterval) -> int:
    """Return 1 or −1 if the whole interval is above or below one, else 0."""
    return int(factor.low > 1) - int(factor.high < 1)


def written(factor: GeometricMeanInterval) -> str:
    """Write a factor with its interval, such as 27 (4.0 to 180)."""
    value = format_number(factor.geometric_mean, FEW)
    if np.isnan(factor.low):
        return f"{value} (no interval)"
    return f"{value} ({format_number(factor.low, FEW)} to {format_number(factor.high, FEW)})"


def change(factor: GeometricMeanInterval, rises: str = "grows", falls: str = "falls") -> str:
    """Say what a factor does, and whether the seeds tell it from none."""
    if np.isnan(factor.geometric_mean):
        return "is infinite at one end"
    if direction(factor) > 0:
        return f"{rises} by a factor {written(factor)}"
    if direction(factor) < 0:
        return f"{falls} by a factor {written(inverted(factor))}"
    if factor.geometric_mean < 1:
        return f"{falls} by a factor {written(inverted(factor))}, not told from 1"
    return f"{rises} by a factor {written(factor)}, not told from 1"
