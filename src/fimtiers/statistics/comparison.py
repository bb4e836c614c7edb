"""Measured beside published: per seed, and per system with the corrected twin."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

ROW = ["system", "point", "seed"]
INTERVAL = ["n", "geometric_mean", "low", "high", "bonferroni_low", "bonferroni_high"]
ONLY_POINT = "single"


def per_seed_comparison(
    observations: pd.DataFrame, published: pd.DataFrame, published_as: Mapping[str, str]
) -> pd.DataFrame:
    """Set every measured tier ratio beside the published one.

    Parameters
    ----------
    observations
        Measured: ``system``, ``group``, ``point``, ``seed``, ``value``.
    published
        Published: ``system``, ``point`` (missing for a system with one point), ``seed``,
        ``value``, ``source``.
    published_as
        Name of each measured system in the published table.

    Returns
    -------
    DataFrame
        One row per measured value: ``system``, ``group``, ``point``, ``seed``, ``published``,
        ``measured``, ``relative_difference`` (measured / published − 1) and ``source``. What was
        not published is missing.
    """
    names = {published_name: name for name, published_name in published_as.items()}
    known = published.assign(
        system=published["system"].map(names), point=published["point"].fillna(ONLY_POINT)
    ).rename(columns={"value": "published"})
    table = observations[[*ROW, "group", "value"]].rename(columns={"value": "measured"})
    table = table.merge(known[[*ROW, "published", "source"]], on=ROW, how="left")
    table["relative_difference"] = table["measured"] / table["published"] - 1
    columns = ["system", "group", "point", "seed", "published", "measured"]
    return table[[*columns, "relative_difference", "source"]]


def panel_comparison(
    measured: pd.DataFrame,
    corrected: pd.DataFrame,
    published: pd.DataFrame,
    per_seed: pd.DataFrame,
    published_as: Mapping[str, str],
    corrects: Mapping[str, str],
) -> pd.DataFrame:
    """Set the interval of every system beside the published one and that of its corrected twin.

    Parameters
    ----------
    measured, corrected
        Intervals of the two panels, as `fimtiers.statistics.intervals.panel_intervals` gives them.
    published
        Published intervals: ``system``, ``geometric_mean``, ``ci95_low``, ``ci95_high``,
        ``bonferroni_low``, ``bonferroni_high``.
    per_seed
        What `per_seed_comparison` returned for the published panel.
    published_as
        Name of each measured system in the published table.
    corrects
        Corrected twin to the system that it puts right.

    Returns
    -------
    DataFrame
        One row per system of the published panel, in its order: ``system``, ``group``, ``n``, then
        ``published_…`` and ``measured_…`` for mean and intervals, ``largest_difference`` (over
        seeds, relative), ``corrected_system`` and ``corrected_…``. A system without a twin is its
        own.
    """
    twin = {corrected_system: twin for twin, corrected_system in corrects.items()}
    published = published.set_index("system").rename(
        columns={"ci95_low": "low", "ci95_high": "high"}
    )
    corrected = corrected.set_index("system")
    difference = per_seed["relative_difference"].abs().groupby(per_seed["system"]).max()
    rows = []
    for row in measured.to_dict("records"):
        name = row["system"]
        twin_name = twin.get(name, name)
        rows.append(
            {
                "system": name,
                "group": row["group"],
                "n": row["n"],
                **_columns("published", published, published_as[name]),
                **_columns("measured", measured.set_index("system"), name),
                "largest_difference": difference.get(name, np.nan),
                "corrected_system": twin_name,
                **_columns("corrected", corrected, twin_name),
            }
        )
    return pd.DataFrame(rows)


def _columns(prefix: str, table: pd.DataFrame, name: str) -> dict[str, float]:
    return {
        f"{prefix}_{column}": table.loc[name, column] if name in table.index else np.nan
        for column in INTERVAL
        if column != "n"
    }
