"""Which law describes each sweep: competing fits of tier ratios and variances of ln F."""

import numpy as np
import pandas as pd

from fimtiers.statistics.depth_law import (
    POWER_LAWS,
    RATIO_LAWS,
    VARIANCE_LAWS,
    Law,
    compare_depth_laws,
)

RATIOS = ("tier_ratio_published", "tier_ratio", "tier_ratio_positive", "quantile_ratio")
"""The published ratio; the same where T3 = 0 is infinite; two that are finite at every depth."""
VARIANCES = ("log_variance", "log_variance_between_layers", "log_variance_within_layers")
COMPOSED = ("depth", "length")
"""Axes along which the number of composed maps changes."""
COMPOSITIONAL = (*COMPOSED, "width")
"""Axes along which depth or width changes."""


def fit_sweeps(runs: pd.DataFrame) -> pd.DataFrame:
    """Let the laws compete for every sweep over depth, length or width.

    Candidates are the claimed laws, `RATIO_LAWS` or `VARIANCE_LAWS`, and the powers of L of
    `POWER_LAWS`.

    Parameters
    ----------
    runs
        One row per sweep, point and seed: ``sweep``, ``label``, ``axis``, ``position``, ``depth``,
        ``width``, ``fit_from``, ``seed`` and the responses.

    Returns
    -------
    DataFrame
        One row per sweep, response and law, as `compare_depth_laws` gives it; ratios are fitted as
        their natural logarithm, ``log_<ratio>``. Runs without a value, such as a variance of fewer
        than ten entries, are left out; those with an infinite one are not, and no law fits them.
    """
    tables = []
    used = runs[runs["axis"].isin(COMPOSITIONAL) & (runs["position"] >= runs["fit_from"])]
    for (sweep, label), all_rows in used.groupby(["sweep", "label"], sort=False):
        for response in (*(f"log_{ratio}" for ratio in RATIOS), *VARIANCES):
            rows = values_of(all_rows, response)
            if rows.empty:
                continue
            claimed: dict[str, Law | None] = RATIO_LAWS if is_ratio(response) else VARIANCE_LAWS
            table = compare_depth_laws(
                rows["value"].to_numpy(),
                rows["depth"].to_numpy(float),
                rows["seed"].to_numpy(),
                {**claimed, **POWER_LAWS},
                rows["width"].to_numpy(float),
            )
            tables.append(table.assign(sweep=sweep, label=label, response=response))
    if not tables:
        return pd.DataFrame()
    fits = pd.concat(tables, ignore_index=True)
    first = ["sweep", "label", "response"]
    return fits[[*first, *(name for name in fits if name not in first)]]


def is_ratio(response: str) -> bool:
    """Say whether a response is the logarithm of a ratio."""
    return response.removeprefix("log_") in RATIOS


def values_of(runs: pd.DataFrame, response: str) -> pd.DataFrame:
    """Return the runs that have a value of a response, with it as ``value``."""
    column = response.removeprefix("log_") if is_ratio(response) else response
    used = runs.dropna(subset=column)
    values = used[column].to_numpy(float)
    return used.assign(value=np.log(values) if is_ratio(response) else values)
