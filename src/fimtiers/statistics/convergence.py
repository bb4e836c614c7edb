"""The tier ratio and the margin between the groups as the number of probes grows.

Scatter of F adds to the true spread, so a ratio falls with the number of probes n. To leading
order ln T is proportional to the standard deviation of ln F, whose square is the true variance plus
a variance in 1/n; hence

    (ln T)² = (ln T_∞)² + b / n + c / n^{3/2},

the last term from the skewness of the scatter.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from fimtiers.statistics.dichotomy import separation

EXPONENTS = (0.0, -1.0, -1.5)


@dataclass(frozen=True)
class TierRatioLimit:
    """Tier ratio extrapolated to infinitely many probes.

    Attributes
    ----------
    ratio
        T_∞; 1 if the extrapolated square of its logarithm is negative.
    low, high
        Ends of the confidence interval; NaN with a single seed.
    log_ratio_squared, standard_error
        Mean over seeds of the extrapolated (ln T)², and its standard error.
    seeds
        Number of seeds.
    """

    ratio: float
    low: float
    high: float
    log_ratio_squared: float
    standard_error: float
    seeds: int


def extrapolate_tier_ratio(
    probes: NDArray[np.integer[Any]],
    ratio: NDArray[np.float64],
    confidence: float = 0.95,
    terms: int = len(EXPONENTS),
) -> TierRatioLimit:
    """Extrapolate the tier ratio in the number of probes.

    Each seed is fitted by least squares weighted by n, with as many terms as there are probe
    counts, up to `terms`. The spread of the seeds gives the error, since the ratios of one seed
    share probes and are not independent. For equal parameters with normal gradients, and 80, 320
    and 1280 probes, the limit is within 1 % of one.

    Parameters
    ----------
    probes
        n, at least two distinct counts, shape (count,).
    ratio
        T, at least 1, shape (count, seed). An infinite ratio makes the limit infinite.
    confidence
        Level of Student's t interval over seeds.
    terms
        Largest number of terms; two leave a freedom to three counts of which the smaller are but
        halves and quarters of the largest.

    Raises
    ------
    ValueError
        If there are fewer than two distinct counts, the shapes disagree, or a ratio is below 1.
    """
    if len(np.unique(probes)) < 2 or ratio.ndim != 2 or len(ratio) != len(probes):
        raise ValueError(
            f"probes {probes.tolist()} and ratios of shape {ratio.shape}; "
            "expected two distinct counts or more and shape (count, seed)"
        )
    if not (ratio >= 1).all():
        raise ValueError(f"ratio {ratio.min()}; the mean of a top is at least that of a bottom")
    if np.isinf(ratio).any():
        return TierRatioLimit(np.inf, np.nan, np.nan, np.inf, np.nan, ratio.shape[1])
    terms = min(len(np.unique(probes)), terms)
    # In units of the smallest count the columns are of order one.
    relative = probes / probes.min()
    design = np.stack([relative**power for power in EXPONENTS[:terms]], axis=1)
    weight = np.sqrt(relative)[:, None]
    limits = np.linalg.lstsq(weight * design, weight * np.log(ratio) ** 2, rcond=None)[0][0]
    mean, error, half = limits.mean(), np.nan, np.nan
    if len(limits) > 1:
        error = limits.std(ddof=1) / np.sqrt(len(limits))
        half = stats.t.ppf((1 + confidence) / 2, len(limits) - 1) * error
    return TierRatioLimit(
        ratio=_from_square(mean),
        low=_from_square(mean - half),
        high=_from_square(mean + half),
        log_ratio_squared=float(mean),
        standard_error=float(error),
        seeds=len(limits),
    )


def margin_by_probe_count(observations: pd.DataFrame, by: str = "probe_factor") -> pd.DataFrame:
    """Return how far the groups are apart for every number of probes.

    Parameters
    ----------
    observations
        See `fimtiers.statistics.observations`, once for every number of probes.
    by
        Column that tells these apart, such as the factor on each system's own number of probes.

    Returns
    -------
    DataFrame
        One row per value of `by`, ascending: that value, ``separated``, ``margin_ratio``,
        ``margin_nats``, ``smallest_deep`` and ``largest_rest`` (values),
        ``smallest_deep_system``, ``largest_rest_system``; with a column ``carried`` in the
        observations, ``smallest_deep_carried`` and ``largest_rest_carried``, whether that value was
        measured at another number of probes, and ``carried_systems``, how many were.
    """
    rows = []
    for value, block in observations.groupby(by):
        gap = separation(block)
        carried = {}
        if "carried" in block:
            carried = {
                "smallest_deep_carried": gap.smallest_deep["carried"],
                "largest_rest_carried": gap.largest_rest["carried"],
                "carried_systems": block.loc[block["carried"], "system"].nunique(),
            }
        rows.append(
            {
                by: value,
                "separated": gap.separated,
                "margin_ratio": gap.margin_ratio,
                "margin_nats": gap.margin_nats,
                "smallest_deep": gap.smallest_deep["value"],
                "largest_rest": gap.largest_rest["value"],
                "smallest_deep_system": gap.smallest_deep["system"],
                "largest_rest_system": gap.largest_rest["system"],
                **carried,
            }
        )
    return pd.DataFrame(rows)


def _from_square(log_ratio_squared: float) -> float:
    """Return T from (ln T)², 1 if that is negative; NaN stays NaN."""
    return float(np.exp(np.sqrt(np.maximum(log_ratio_squared, 0.0))))
