"""The made-up per-seed values behind the published threshold, ROC and leave-one-out tables.

The published scripts did not read the measured values. They rebuilt values for every system from
its rounded interval, with the standard error of the mean in place of the spread between seeds (too
small by √n), and with the same noise vector in every system. What they report is therefore not
about the measurements. It is rebuilt here to be shown beside the same tables from measured values.
"""

import numpy as np
import pandas as pd

NOISE_SEED = 42
INTERVAL_WIDTH_IN_SIGMA = 3.92
SMALLEST_LOW = 1e-10
SMALLEST_GAP = 1e-6


def why_undefined(intervals: pd.DataFrame) -> str | None:
    """Say why no values can be made up from these intervals, or return None if they can.

    An infinite tier ratio, of a system whose third tier is all zeros, makes the interval infinite,
    and there is no noise around infinity. The published ratio is a substitute that is finite for
    every published system, so this case did not occur there.

    Parameters
    ----------
    intervals
        See `pseudo_observations`.
    """
    ends = intervals[["geometric_mean", "low", "high"]].to_numpy(dtype=np.float64)
    infinite = intervals.loc[~np.isfinite(ends).all(axis=1), "system"].tolist()
    if not infinite:
        return None
    return (
        f"the interval of {', '.join(infinite)} is infinite, since a tier ratio is: the mean of "
        "tier 3 is zero; with a ratio_rule the system has a finite ratio"
    )


def pseudo_observations(intervals: pd.DataFrame) -> pd.DataFrame:
    """Make up per-seed values from intervals, as the published scripts did.

    μ = ln(mean), lo = ln(max(low, 1e-10)), hi = ln(max(high, lo + 1e-6)), σ = (hi − lo) / 3.92,
    values = exp(μ + σ z) with z = the first n normals of generator 42, afresh for every system.

    Parameters
    ----------
    intervals
        One row per system: ``system``, ``group``, ``n``, ``geometric_mean``, ``low``, ``high``.
        The published scripts read them rounded to four decimals.

    Returns
    -------
    DataFrame
        ``system``, ``group``, ``seed`` (only a count), ``value``.

    Raises
    ------
    ValueError
        If an interval is infinite, see `why_undefined`.
    """
    if reason := why_undefined(intervals):
        raise ValueError(reason)
    blocks = []
    for row in intervals.itertuples(index=False):
        low = np.log(max(row.low, SMALLEST_LOW))
        # The comparison of a ratio with a logarithm is in the published construction.
        high = np.log(max(row.high, low + SMALLEST_GAP))
        sigma = (high - low) / INTERVAL_WIDTH_IN_SIGMA
        noise = np.random.default_rng(NOISE_SEED).standard_normal(row.n)
        blocks.append(
            pd.DataFrame(
                {
                    "system": row.system,
                    "group": row.group,
                    "seed": np.arange(row.n),
                    "value": np.exp(np.log(row.geometric_mean) + sigma * noise),
                }
            )
        )
    return pd.concat(blocks, ignore_index=True)
