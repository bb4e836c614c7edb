"""Observations: the tidy table on which the statistics work, one row per system, point and seed.

Columns: ``system`` (name), ``group`` (``deep``, ``rest``, or ``reference`` for systems in no
test), ``value`` (tier ratio, positive, possibly infinite). Further columns, such as ``point`` and
``seed``, are kept and named where a single row is singled out. The order of systems is the order
of their first rows; random draws follow it.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

GROUPS = ("deep", "rest")
REQUIRED_COLUMNS = ("system", "group", "value")


def check_observations(observations: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the two groups, once the table is known to be sound.

    Raises
    ------
    ValueError
        If a column is missing, a group is unknown, a value is not positive, a system is in two
        groups, or a group has no observation.
    """
    missing = [column for column in REQUIRED_COLUMNS if column not in observations]
    if missing:
        raise ValueError(f"observations lack {missing}; they have {list(observations)}")
    unknown = set(observations["group"]) - {*GROUPS, "reference"}
    if unknown:
        raise ValueError(f"group {sorted(unknown)}; allowed: deep, rest, reference")
    tested = observations[observations["group"].isin(GROUPS)]
    wrong = tested[~(tested["value"] > 0)]
    if len(wrong):
        row = wrong.iloc[0]
        raise ValueError(f"system {row['system']!r} has the value {row['value']}; expected > 0")
    mixed = tested.groupby("system")["group"].nunique()
    if (mixed > 1).any():
        raise ValueError(f"system {mixed.idxmax()!r} is in both groups")
    for group in GROUPS:
        if not (tested["group"] == group).any():
            raise ValueError(f"no observation in group {group!r}")
    return tested


def values_of(observations: pd.DataFrame, group: str) -> NDArray[np.float64]:
    """Return the values of one group, in the order of the table."""
    rows = observations["group"] == group
    return observations.loc[rows, "value"].to_numpy(dtype=np.float64)


def geometric_means(observations: pd.DataFrame, unit: str = "system") -> pd.DataFrame:
    """Return one row per unit, in order of appearance: ``unit``, ``group``, ``value``.

    Parameters
    ----------
    observations
        See the module.
    unit
        Column that names what is independent, such as ``system``; values of a unit are averaged
        on the logarithmic scale.
    """
    logs = observations.assign(value=np.log(observations["value"]))
    means = logs.groupby([unit, "group"], sort=False)["value"].mean().reset_index()
    return means.assign(value=np.exp(means["value"]))


def row_as_dict(row: "pd.Series[Any]") -> dict[str, Any]:
    """Return a row of a table as plain Python values, without the columns it leaves empty."""
    return {
        str(name): value.item() if isinstance(value, np.generic) else value
        for name, value in row.dropna().items()
    }
