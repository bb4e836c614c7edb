"""Which law describes each sweep: competing fits of tier ratios and variances of ln F."""

import numpy as np
import pandas as pd

from fimtiers.statistics.depth_law import RATIO_LAWS, VARIANCE_LAWS, compare_depth_laws

RATIOS = ("tier_ratio_published", "tier_ratio", "tier_ratio_positive", "quantile_ratio")
"""The published ratio; the same where T3 = 0 is infinite; two that are finite at every depth."""
VARIANCES = ("log_variance", "log_variance_between_layers", "log_variance_within_layers")
COMPOSITIONAL = ("depth", "length", "width")
"""Axes along which depth or width changes."""


def fit_sweeps(runs: pd.DataFrame) -> pd.DataFrame:
    """Let the laws compete for every sweep over depth, length or width.

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
        for response in (*RATIOS, *VARIANCES):
            ratio = response in RATIOS
            rows = all_rows.dropna(subset=response)
            if rows.empty:
                continue
            value = rows[response].to_numpy(float)
            table = compare_depth_laws(
                np.log(value) if ratio else value,
                rows["depth"].to_numpy(float),
                rows["seed"].to_numpy(),
                RATIO_LAWS if ratio else VARIANCE_LAWS,
                rows["width"].to_numpy(float),
            )
            name = f"log_{response}" if ratio else response
            tables.append(table.assign(sweep=sweep, label=label, response=name))
    if not tables:
        return pd.DataFrame()
    fits = pd.concat(tables, ignore_index=True)
    first = ["sweep", "label", "response"]
    return fits[[*first, *(name for name in fits if name not in first)]]
