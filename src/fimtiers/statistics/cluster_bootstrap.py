"""Bootstrap over systems: what the panel says if another choice of systems could have been made."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fimtiers.statistics.intervals import percentiles
from fimtiers.statistics.observations import GROUPS, check_observations


@dataclass(frozen=True)
class ClusterBootstrap:
    """Percentile intervals over resampled panels.

    Attributes
    ----------
    resamples
        Number of resampled panels.
    confidence
        Level of the intervals.
    auc, auc_low, auc_high
        Chance that a deep value exceeds one of the rest, each system having equal weight.
    margin_nats, margin_nats_low, margin_nats_high
        ln (smallest deep value / largest value of the rest).
    difference_nats, difference_nats_low, difference_nats_high
        Mean over deep systems of the mean ln ratio, less that of the rest.
    separated_fraction
        Share of resampled panels in which every deep value exceeds every other one.
    """

    resamples: int
    confidence: float
    auc: float
    auc_low: float
    auc_high: float
    margin_nats: float
    margin_nats_low: float
    margin_nats_high: float
    difference_nats: float
    difference_nats_low: float
    difference_nats_high: float
    separated_fraction: float


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
        See `fimtiers.statistics.observations`. Infinite values are allowed; margin and difference
        are NaN once both groups have some.
    generator
        Source of the draws.
    resamples
        Number of resampled panels.
    confidence
        Level of the percentile intervals, between 0 and 1.
    unit
        Column that names what is independent.
    """
    tested = check_observations(observations)
    deep, rest = (_logs_by_unit(tested, group, unit) for group in GROUPS)
    statistics = np.array(
        [
            _panel_statistics(_resample(deep, generator), _resample(rest, generator))
            for _ in range(resamples)
        ]
    )
    observed = _panel_statistics(deep, rest)
    tail = 100 * (1 - confidence) / 2
    low, high = percentiles(statistics, [tail, 100 - tail])
    return ClusterBootstrap(
        resamples=resamples,
        confidence=confidence,
        auc=observed[0],
        auc_low=float(low[0]),
        auc_high=float(high[0]),
        margin_nats=observed[1],
        margin_nats_low=float(low[1]),
        margin_nats_high=float(high[1]),
        difference_nats=observed[2],
        difference_nats_low=float(low[2]),
        difference_nats_high=float(high[2]),
        separated_fraction=float((statistics[:, 1] > 0).mean()),
    )


def _logs_by_unit(observations: pd.DataFrame, group: str, unit: str) -> list[NDArray[np.float64]]:
    rows = observations[observations["group"] == group]
    return [np.log(block.to_numpy()) for _, block in rows.groupby(unit, sort=False)["value"]]


def _resample(
    units: list[NDArray[np.float64]], generator: np.random.Generator
) -> list[NDArray[np.float64]]:
    chosen = generator.integers(0, len(units), size=len(units))
    return [units[i][generator.integers(0, len(units[i]), size=len(units[i]))] for i in chosen]


def _panel_statistics(
    deep: list[NDArray[np.float64]], rest: list[NDArray[np.float64]]
) -> tuple[float, float, float]:
    smallest, largest = min(map(np.min, deep)), max(map(np.max, rest))
    with np.errstate(invalid="ignore"):
        margin = smallest - largest
        difference = _mean_of_means(deep) - _mean_of_means(rest)
    auc = 1.0 if smallest > largest else _auc_of_equal_units(deep, rest)
    return auc, float(margin), float(difference)


def _mean_of_means(units: list[NDArray[np.float64]]) -> np.float64:
    return np.mean([unit.mean() for unit in units])


def _auc_of_equal_units(deep: list[NDArray[np.float64]], rest: list[NDArray[np.float64]]) -> float:
    deep_values, rest_values = np.concatenate(deep)[:, None], np.concatenate(rest)
    wins = (deep_values > rest_values) + 0.5 * (deep_values == rest_values)
    return float(_equal_unit_weights(deep) @ wins @ _equal_unit_weights(rest))


def _equal_unit_weights(units: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([np.full(len(unit), 1 / len(unit) / len(units)) for unit in units])
