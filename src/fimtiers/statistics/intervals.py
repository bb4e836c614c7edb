"""Confidence intervals of geometric-mean tier ratios: bootstrap of logarithms, and Student's t.

With few seeds no bootstrap has its nominal coverage: three values have ten distinct resampled
means, so every interval beyond 93 % is simply from the smallest value to the largest.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from fimtiers.statistics.observations import check_observations

FEWEST_TO_RESAMPLE = 3


@dataclass(frozen=True)
class GeometricMeanInterval:
    """Geometric mean of positive values with a confidence interval.

    Attributes
    ----------
    n
        Number of positive values, those that entered.
    geometric_mean
        exp of the mean logarithm; infinite if a value is.
    low, high
        Ends of the interval.
    """

    n: int
    geometric_mean: float
    low: float
    high: float


def log_bootstrap_interval(
    values: NDArray[np.float64],
    generator: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> GeometricMeanInterval:
    """Return the percentile bootstrap interval of the geometric mean.

    Draw n of the n logarithms with replacement, average, repeat; the interval runs between the
    α/2 and 1 − α/2 percentiles of the averages, interpolated linearly, α = 1 − confidence. With
    fewer than three values it is the normal interval, mean ± z sd / √n.

    Parameters
    ----------
    values
        Positive values, shape (n,); values of zero are left out.
    generator
        Advanced by resamples × n bounded integers if there are three values or more, else not.
    confidence
        Between 0 and 1.
    resamples
        Number of bootstrap samples.

    Raises
    ------
    ValueError
        If no value is positive.
    """
    logs = _positive_logs(values)
    tail = (1 - confidence) / 2
    if len(logs) < FEWEST_TO_RESAMPLE:
        low, high = _normal_interval(logs, tail)
    else:
        chosen = generator.integers(0, len(logs), size=(resamples, len(logs)))
        means = logs[chosen].mean(axis=1)
        low, high = percentiles(means, [100 * tail, 100 * (1 - tail)])
    return GeometricMeanInterval(
        n=len(logs),
        geometric_mean=float(np.exp(logs.mean())),
        low=float(np.exp(low)),
        high=float(np.exp(high)),
    )


def log_t_interval(values: NDArray[np.float64], confidence: float = 0.95) -> GeometricMeanInterval:
    """Return the interval of the geometric mean by Student's t on logarithms, mean ± t sd / √n.

    Parameters
    ----------
    values
        Positive values, shape (n,); values of zero are left out. The interval of a single or of
        an infinite value is NaN.
    confidence
        Between 0 and 1.
    """
    logs = _positive_logs(values)
    half = np.nan
    if len(logs) > 1 and np.isfinite(logs).all():
        quantile = stats.t.ppf((1 + confidence) / 2, len(logs) - 1)
        half = quantile * logs.std(ddof=1) / np.sqrt(len(logs))
    mean = logs.mean()
    return GeometricMeanInterval(
        n=len(logs),
        geometric_mean=float(np.exp(mean)),
        low=float(np.exp(mean - half)),
        high=float(np.exp(mean + half)),
    )


def log_t_factor(
    numerator: NDArray[np.float64],
    denominator: NDArray[np.float64],
    *,
    paired: bool,
    confidence: float = 0.95,
) -> GeometricMeanInterval:
    """Return the factor between two geometric means, with Student's t interval on logarithms.

    Paired, the factors of the pairs have the interval of `log_t_interval`. Unpaired, the variance
    of the difference of the mean logarithms is the sum of theirs, with Welch's degrees of freedom
    (Welch 1947, Biometrika 34, 28).

    Parameters
    ----------
    numerator, denominator
        Positive, finite values; if paired, of equal shape (n,), one pair per index.
    paired
        Whether values of the same index share what makes them vary, such as a seed.
    confidence
        Between 0 and 1.

    Returns
    -------
    GeometricMeanInterval
        `n` is the number of pairs, or of all values; the ends are NaN with fewer than two values
        on either side.

    Raises
    ------
    ValueError
        If a value is not positive and finite, or if pairs are incomplete.
    """
    for name, values in (("numerator", numerator), ("denominator", denominator)):
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ValueError(f"{name} must be positive and finite, not {values!r}")
    if paired:
        if len(numerator) != len(denominator):
            raise ValueError(
                f"pairs need equally many values, not {len(numerator)} and {len(denominator)}"
            )
        return log_t_interval(numerator / denominator, confidence)
    above, below = np.log(numerator), np.log(denominator)
    difference = above.mean() - below.mean()
    half = np.nan
    if min(len(above), len(below)) > 1:
        parts = np.array([x.var(ddof=1) / len(x) for x in (above, below)])
        freedom = np.array([len(above), len(below)]) - 1
        spread = (parts**2 / freedom).sum()
        degrees = parts.sum() ** 2 / spread if spread > 0 else freedom.sum()
        half = stats.t.ppf((1 + confidence) / 2, degrees) * np.sqrt(parts.sum())
    return GeometricMeanInterval(
        n=len(above) + len(below),
        geometric_mean=float(np.exp(difference)),
        low=float(np.exp(difference - half)),
        high=float(np.exp(difference + half)),
    )


def panel_intervals(
    observations: pd.DataFrame,
    seed: int = 42,
    confidence: float = 0.95,
    resamples: int = 2000,
    threshold: float = 100.0,
) -> pd.DataFrame:
    """Return bootstrap intervals of every system, plain and Bonferroni-corrected.

    One generator serves the whole panel. For each system, in the order of the table, the plain
    interval is drawn first, then the corrected one, at level 1 − α / (number of systems).

    Parameters
    ----------
    observations
        See `fimtiers.statistics.observations`.
    seed
        Seed of the generator.
    confidence, resamples
        See `log_bootstrap_interval`.
    threshold
        Tier ratio that is claimed to separate the groups.

    Returns
    -------
    DataFrame
        One row per system: ``system``, ``group``, ``n``, ``geometric_mean``, ``low``, ``high``,
        ``bonferroni_low``, ``bonferroni_high`` by the bootstrap, as published; ``seeds``, their
        number, and ``t_low``, ``t_high``, ``t_bonferroni_low``, ``t_bonferroni_high``, Student's t
        intervals over `seed_means`, NaN if a value is infinite; ``smallest``, ``largest``;
        ``crosses_threshold``, whether the plain bootstrap interval contains the threshold, and
        ``t_crosses_threshold``. With columns ``definition`` and ``positive_ratio`` in the
        observations there are ``definition``, ``positive_smallest``, ``positive_mean`` and
        ``positive_largest``, of the ratio over positive entries.
    """
    generator = np.random.default_rng(seed)
    systems = check_observations(observations).groupby("system", sort=False)
    corrected = 1 - (1 - confidence) / systems.ngroups
    rows: list[dict[str, Any]] = []
    for system, block in systems:
        values = block["value"].to_numpy(dtype=np.float64)
        plain = log_bootstrap_interval(values, generator, confidence, resamples)
        bonferroni = log_bootstrap_interval(values, generator, corrected, resamples)
        means = seed_means(block)
        student = log_t_interval(means, confidence)
        student_bonferroni = log_t_interval(means, corrected)
        rows.append(
            {
                "system": system,
                "group": block["group"].iloc[0],
                "n": plain.n,
                "geometric_mean": plain.geometric_mean,
                "low": plain.low,
                "high": plain.high,
                "bonferroni_low": bonferroni.low,
                "bonferroni_high": bonferroni.high,
                "seeds": len(means),
                "t_low": student.low,
                "t_high": student.high,
                "t_bonferroni_low": student_bonferroni.low,
                "t_bonferroni_high": student_bonferroni.high,
                "smallest": values.min(),
                "largest": values.max(),
                "crosses_threshold": plain.low < threshold < plain.high,
                "t_crosses_threshold": student.low < threshold < student.high,
                **_description(block),
            }
        )
    return pd.DataFrame(rows)


def seed_means(block: pd.DataFrame) -> NDArray[np.float64]:
    """Return the geometric mean over the points of a system for each of its seeds, shape (seed,).

    The points of a sweep were chosen and the seeds drawn, so that only these say how a mean would
    vary. The values of one seed at several points are not independent either.
    """
    logs = np.log(block["value"].to_numpy(dtype=np.float64))
    with np.errstate(invalid="ignore"):
        means = pd.Series(logs).groupby(block["seed"].to_numpy(), sort=False).mean()
    return np.exp(means.to_numpy())


def point_intervals(
    observations: pd.DataFrame, confidence: float = 0.95, threshold: float = 100.0
) -> pd.DataFrame:
    """Return Student's t intervals of every point of every system, plain and Bonferroni-corrected.

    Pooling the points of a sweep hides that a single point may not clear the threshold. The
    correction is for the number of systems, as in `panel_intervals`.

    Parameters
    ----------
    observations
        See `fimtiers.statistics.observations`; with a column ``point``.
    confidence
        Between 0 and 1.
    threshold
        Tier ratio that is claimed to separate the groups.

    Returns
    -------
    DataFrame
        One row per point: ``system``, ``group``, ``point``, ``n``, ``geometric_mean``, ``low``,
        ``high``, ``bonferroni_low``, ``bonferroni_high``, ``crosses_threshold``,
        ``bonferroni_crosses_threshold``.
    """
    tested = check_observations(observations)
    corrected = 1 - (1 - confidence) / tested["system"].nunique()
    rows: list[dict[str, Any]] = []
    for (system, group, point), block in tested.groupby(
        ["system", "group", "point"], sort=False, dropna=False
    ):
        values = block["value"].to_numpy(dtype=np.float64)
        plain = log_t_interval(values, confidence)
        bonferroni = log_t_interval(values, corrected)
        rows.append(
            {
                "system": system,
                "group": group,
                "point": point,
                "n": plain.n,
                "geometric_mean": plain.geometric_mean,
                "low": plain.low,
                "high": plain.high,
                "bonferroni_low": bonferroni.low,
                "bonferroni_high": bonferroni.high,
                "crosses_threshold": plain.low < threshold < plain.high,
                "bonferroni_crosses_threshold": bonferroni.low < threshold < bonferroni.high,
            }
        )
    return pd.DataFrame(rows)


def percentiles(values: NDArray[np.float64], percent: list[float]) -> NDArray[np.float64]:
    """Return percentiles along the first axis, interpolated linearly, of values up to infinity.

    Between two infinite order statistics the percentile is infinite, where interpolation alone
    would give ∞ − ∞. A column with a NaN has NaN percentiles.
    """
    with np.errstate(invalid="ignore"):
        ends = np.percentile(values, percent, axis=0)
    undefined = np.isnan(values).any(axis=0)
    return np.where(np.isnan(ends) & ~undefined, np.inf, ends)


def _description(block: pd.DataFrame) -> dict[str, Any]:
    if not {"definition", "positive_ratio"} <= set(block):
        return {}
    positive = block["positive_ratio"].to_numpy(dtype=np.float64)
    return {
        "definition": "/".join(block["definition"].unique()),
        "positive_smallest": positive.min(),
        "positive_mean": np.exp(np.log(positive).mean()),
        "positive_largest": positive.max(),
    }


def _positive_logs(values: NDArray[np.float64]) -> NDArray[np.float64]:
    positive = values[values > 0]
    if not len(positive):
        raise ValueError(f"no positive value among {values!r}")
    return np.log(positive)


def _normal_interval(logs: NDArray[np.float64], tail: float) -> tuple[float, float]:
    error = logs.std(ddof=1) / np.sqrt(len(logs)) if len(logs) > 1 else 0.0
    half = stats.norm.ppf(1 - tail) * error
    return float(logs.mean() - half), float(logs.mean() + half)
