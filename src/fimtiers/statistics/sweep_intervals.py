"""Tier ratios along sweeps and factors between them, each with its interval over seeds.

With three to six seeds a percentile bootstrap is too narrow, so Student's t on logarithms stands
beside it, and is what sentences quote.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fimtiers.statistics.intervals import (
    GeometricMeanInterval,
    log_bootstrap_interval,
    log_t_factor,
    log_t_interval,
)

RATIOS = ("tier_ratio_published", "tier_ratio", "tier_ratio_positive")
"""By the published rule; infinite where T3 = 0; and over positive F alone."""
FACTOR_COLUMNS = [
    *("sweep", "label", "axis", "kind", "start", "position", "ratio", "seeds", "factor"),
    *("low", "high", "loss_left", "loss_left_low", "loss_left_high"),
]


def sweep_intervals(
    runs: pd.DataFrame, seed: int = 42, confidence: float = 0.95, resamples: int = 2000
) -> pd.DataFrame:
    """Return the geometric mean of every point of every sweep, with two intervals.

    Parameters
    ----------
    runs
        One row per sweep, point and seed: ``sweep``, ``label``, ``axis``, ``position``, ``seed``
        and `RATIOS`.
    seed, resamples
        Of the bootstrap; one generator serves the whole table.
    confidence
        Level of the intervals.

    Returns
    -------
    DataFrame
        One row per sweep, point and ``ratio``: ``n``, ``geometric_mean``, ``smallest``,
        ``largest``, ``t_low``, ``t_high``, ``bootstrap_low``, ``bootstrap_high``. Where a seed is
        infinite, so is the mean, and Student's t has no interval.
    """
    generator = np.random.default_rng(seed)
    rows = []
    keys = ["sweep", "label", "axis", "position"]
    for where, group in runs.groupby(keys, sort=False):
        for ratio in RATIOS:
            values = group[ratio].dropna().to_numpy(float)
            if not len(values):
                continue
            student = log_t_interval(values, confidence)
            drawn = log_bootstrap_interval(values, generator, confidence, resamples)
            rows.append(
                {
                    **dict(zip(keys, where, strict=True)),
                    "ratio": ratio,
                    "n": student.n,
                    "geometric_mean": student.geometric_mean,
                    "smallest": values.min(),
                    "largest": values.max(),
                    "t_low": student.low,
                    "t_high": student.high,
                    "bootstrap_low": drawn.low,
                    "bootstrap_high": drawn.high,
                }
            )
    return pd.DataFrame(rows)


def sweep_factors(
    runs: pd.DataFrame, untrained: Mapping[str, str], confidence: float = 0.95
) -> pd.DataFrame:
    """Return factors between tier ratios, paired by seed, with Student's t intervals.

    Parameters
    ----------
    runs
        As for `sweep_intervals`; trained sweeps also with ``probe_loss`` and
        ``first_training_loss``.
    untrained
        From a sweep of trained networks to that of the same networks before training.
    confidence
        Level of the intervals.

    Returns
    -------
    DataFrame
        One row per factor and ``ratio``, of all factors that are finite. ``kind`` is ``along``,
        from each position, ``start``, to the last of the same sweep, ``position``; or ``training``,
        trained over untrained at the same ``position``. Then ``seeds``, ``factor``, ``low``,
        ``high``, and for a training ``loss_left``, the loss after it over that before, the mean
        over seeds, with ``loss_left_low`` and ``loss_left_high``, the least and the most of a seed.
    """
    rows = [*_along(runs, confidence), *_training(runs, untrained, confidence)]
    return pd.DataFrame(rows, columns=FACTOR_COLUMNS)


def factor_of_seeds(
    above: pd.DataFrame, below: pd.DataFrame, ratio: str, confidence: float = 0.95
) -> GeometricMeanInterval:
    """Return the factor between the ratios of runs with equal seeds; NaN if one is not finite.

    Parameters
    ----------
    above, below
        Runs of one point each, with ``seed``. Seeds that only one of them has are left out.
    ratio
        The column.
    confidence
        Level of the interval.
    """
    pairs = above[["seed", ratio]].merge(below[["seed", ratio]], on="seed", suffixes=("", "_below"))
    numerator, denominator = (pairs[name].to_numpy(float) for name in (ratio, f"{ratio}_below"))
    if not len(pairs) or not (np.isfinite(numerator).all() and np.isfinite(denominator).all()):
        return GeometricMeanInterval(len(pairs), np.nan, np.nan, np.nan)
    return log_t_factor(numerator, denominator, paired=True, confidence=confidence)


def _along(runs: pd.DataFrame, confidence: float) -> Iterator[dict[str, Any]]:
    for (sweep, label, axis), own in runs.groupby(["sweep", "label", "axis"], sort=False):
        last = own["position"].max()
        end = own[own["position"] == last]
        for position, start in own[own["position"] < last].groupby("position"):
            about = {"sweep": sweep, "label": label, "axis": axis, "kind": "along"}
            about |= {"start": position, "position": last}
            yield from _rows(about, end, start, confidence)


def _training(
    runs: pd.DataFrame, untrained: Mapping[str, str], confidence: float
) -> Iterator[dict[str, Any]]:
    for sweep, before in untrained.items():
        trained, twin = runs[runs["sweep"] == sweep], runs[runs["sweep"] == before]
        for position, own in trained.groupby("position"):
            same = twin[twin["position"] == position]
            left = own["probe_loss"] / own["first_training_loss"]
            about = {"sweep": sweep, "label": own["label"].iloc[0], "axis": own["axis"].iloc[0]}
            about |= {"kind": "training", "start": position, "position": position}
            loss = {
                "loss_left": left.mean(),
                "loss_left_low": left.min(),
                "loss_left_high": left.max(),
            }
            for row in _rows(about, own, same, confidence):
                yield {**row, **loss}


def _rows(
    about: Mapping[str, Any], above: pd.DataFrame, below: pd.DataFrame, confidence: float
) -> Iterator[dict[str, Any]]:
    for ratio in RATIOS:
        factor = factor_of_seeds(above, below, ratio, confidence)
        if np.isfinite(factor.geometric_mean):
            yield {
                **about,
                "ratio": ratio,
                "seeds": factor.n,
                "factor": factor.geometric_mean,
                "low": factor.low,
                "high": factor.high,
            }
