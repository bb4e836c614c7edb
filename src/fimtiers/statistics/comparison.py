"""Measured beside published: per seed, and per system with the corrected twin."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

ROW = ["system", "point", "seed"]
INTERVAL = ["geometric_mean", "low", "high", "bonferroni_low", "bonferroni_high"]
STUDENT = ["seeds", "t_low", "t_high", "t_bonferroni_low", "t_bonferroni_high"]
POSITIVE = ["positive_smallest", "positive_mean", "positive_largest"]
RELATIVE = ["geometric_mean", "t_low", "t_high", "smallest", "largest"]
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
    panels: Mapping[str, pd.DataFrame],
    relative: Mapping[str, pd.DataFrame],
    published: pd.DataFrame,
    per_seed: pd.DataFrame,
    published_as: Mapping[str, str],
    stands_for: Mapping[str, Mapping[str, str]],
) -> pd.DataFrame:
    """Set the intervals of every system beside the published one and those of its twins.

    Parameters
    ----------
    panels
        Intervals of each panel, ``published`` first, as
        `fimtiers.statistics.intervals.panel_intervals` gives them.
    relative
        The same of θ²F.
    published
        Published intervals: ``system``, ``geometric_mean``, ``ci95_low``, ``ci95_high``,
        ``bonferroni_low``, ``bonferroni_high``.
    per_seed
        What `per_seed_comparison` returned for the published panel.
    published_as
        Name of each measured system in the published table.
    stands_for
        For each further panel: a member to the published system that it corrects or controls.

    Returns
    -------
    DataFrame
        One row per system of the published panel, in its order: ``system``, ``group``, ``n``, then
        ``published_…`` for mean and bootstrap intervals, ``measured_…`` for these, Student's t
        intervals, the definition of F, the ratio over positive entries and, as
        ``measured_relative_…``, that of θ²F; ``largest_difference`` (over seeds, relative); and
        the same as of ``measured_`` for each further panel with its name as the prefix, and
        ``PANEL_system``. A system that no member stands for is its own.
    """
    measured, *_ = panels.values()
    published = published.set_index("system").rename(
        columns={"ci95_low": "low", "ci95_high": "high"}
    )
    difference = per_seed["relative_difference"].abs().groupby(per_seed["system"]).max()
    rows = []
    for row in measured.to_dict("records"):
        name = row["system"]
        entry = {
            "system": name,
            "group": row["group"],
            "n": row["n"],
            **_columns("published", published, published_as[name], INTERVAL),
        }
        for panel, intervals in panels.items():
            prefix = "measured" if panel == "published" else panel
            twins = {other: twin for twin, other in stands_for.get(panel, {}).items()}
            twin = twins.get(name, name)
            own, scaled = (table.set_index("system") for table in (intervals, relative[panel]))
            if prefix != "measured":
                entry[f"{prefix}_system"] = twin
            columns = [*INTERVAL, *STUDENT, "smallest", "largest", "definition", *POSITIVE]
            entry |= _columns(prefix, own, twin, columns)
            entry |= _columns(f"{prefix}_relative", scaled, twin, RELATIVE)
            if prefix == "measured":
                entry["largest_difference"] = difference.get(name, np.nan)
        rows.append(entry)
    return pd.DataFrame(rows)


def _columns(prefix: str, table: pd.DataFrame, name: str, columns: list[str]) -> dict[str, Any]:
    return {
        f"{prefix}_{column}": table.loc[name, column] if name in table.index else np.nan
        for column in columns
        if column in table
    }
