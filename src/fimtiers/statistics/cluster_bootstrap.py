"""Bootstrap over systems: how far apart the groups are if other systems could have been chosen.

It is an interval of an effect and no control of the separation: if every deep value exceeds every
other one, so it does in every resample, and no share of separated resamples, area under a curve or
sign of a margin can come out otherwise. Only the size of the difference is returned.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fimtiers.statistics.intervals import percentiles
from fimtiers.statistics.observations import GROUPS, check_observations


@dataclass(frozen=True)
class ClusterBootstrap:
    """Percentile interval over resampled panels.

    Attributes
    ----------
    resamples
        Number of resampled panels.
    confidence
        Level of the interval.
    difference_nats, difference_nats_low, difference_nats_high
        Mean over deep systems of the mean ln ratio, less that of the rest.
    """

    resamples: int
    confidence: float
    difference_nats: float
    difference_nats_low: float
    difference_nats_high: float


def cluster_bootstrap(
    observations: pd.DataFrame,
    generator: np.random.Generator,
    resamples: int = 10_000,
    confidence: float = 0.95,
    unit: str = "system",
) -> ClusterBootstrap:
    """Resample units with replacement inside each group, then values inside each drawn unit.

    Parameters
    ----------
    observations
        See `fimtiers.statistics.observations`. Infinite values are allowed; the difference is NaN
        once both groups have some.
    generator
        Source of the draws.
    resamples
        Number of resampled panels.
    confidence
        Level of the percentile interval, between 0 and 1.
    unit
        Column that names what is independent.
    """
    tested = check_observations(observations)
    deep, rest = (_logs_by_unit(tested, group, unit) for group in GROUPS)
    differences = np.array(
        [
            _difference(_resample(deep, generator), _resample(rest, generator))
            for _ in range(resamples)
        ]
    )
    tail = 100 * (1 - confidence) / 2
    low, high = percentiles(differences, [tail, 100 - tail])
    return ClusterBootstrap(
        resamples=resamples,
        confidence=confidence,
        difference_nats=_difference(deep, rest),
        difference_nats_low=float(low),
        difference_nats_high=float(high),
    )


def _logs_by_unit(observations: pd.DataFrame, group: str, unit: str) -> list[NDArray[np.float64]]:
    rows = observations[observations["group"] == group]
    return [np.log(block.to_numpy()) for _, block in rows.groupby(unit, sort=False)["value"]]


def _resample(
    units: list[NDArray[np.float64]], generator: np.random.Generator
) -> list[NDArray[np.float64]]:
    chosen = generator.integers(0, len(units), size=len(units))
    return [units[i][generator.integers(0, len(units[i]), size=len(units[i]))] for i in chosen]


def _difference(deep: list[NDArray[np.float64]], rest: list[NDArray[np.float64]]) -> float:
    with np.errstate(invalid="ignore"):
        return float(_mean_of_means(deep) - _mean_of_means(rest))


def _mean_of_means(units: list[NDArray[np.float64]]) -> np.float64:
    return np.mean([unit.mean() for unit in units])
