"""How well a threshold on the tier ratio tells the groups apart, and on what the threshold hangs.

An observation is called deep if its value exceeds the threshold.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fimtiers.statistics.dichotomy import compare_groups
from fimtiers.statistics.observations import check_observations, values_of


def threshold_sensitivity(observations: pd.DataFrame, thresholds: Sequence[float]) -> pd.DataFrame:
    """Return how many observations lie on the right side of each threshold.

    Parameters
    ----------
    observations
        See `fimtiers.statistics.observations`.
    thresholds
        Tier ratios.

    Returns
    -------
    DataFrame
        One row per threshold: ``threshold``, ``deep_above``, ``n_deep``, ``rest_below``,
        ``n_rest``, ``sensitivity`` = deep_above / n_deep, ``specificity`` = rest_below / n_rest
        and ``balanced_accuracy``, their mean.
    """
    tested = check_observations(observations)
    deep, rest = values_of(tested, "deep"), values_of(tested, "rest")
    rows: list[dict[str, Any]] = []
    for threshold in thresholds:
        deep_above, rest_below = int((deep > threshold).sum()), int((rest <= threshold).sum())
        sensitivity, specificity = deep_above / len(deep), rest_below / len(rest)
        rows.append(
            {
                "threshold": threshold,
                "deep_above": deep_above,
                "n_deep": len(deep),
                "rest_below": rest_below,
                "n_rest": len(rest),
                "sensitivity": sensitivity,
                "specificity": specificity,
                "balanced_accuracy": (sensitivity + specificity) / 2,
            }
        )
    return pd.DataFrame(rows)


def roc_curve(observations: pd.DataFrame) -> pd.DataFrame:
    """Return the receiver operating characteristic, one row per distinct threshold, falling.

    Returns
    -------
    DataFrame
        ``threshold``, ``false_positive_rate``, ``true_positive_rate``; an observation counts as
        positive if its value is at least the threshold. From (0, 0) to (1, 1); tied values move
        both rates in one step.
    """
    tested = check_observations(observations)
    deep, rest = values_of(tested, "deep"), values_of(tested, "rest")
    distinct = np.unique(np.concatenate([deep, rest]))[::-1]
    return pd.DataFrame(
        {
            # No finite number is above an infinite value, so the empty corner has no threshold.
            "threshold": np.concatenate([[np.nan], distinct]),
            "false_positive_rate": np.concatenate([[0.0], _share_at_least(rest, distinct)]),
            "true_positive_rate": np.concatenate([[0.0], _share_at_least(deep, distinct)]),
        }
    )


def area_under_curve(curve: pd.DataFrame) -> float:
    """Return the area under `roc_curve` by trapezoids; ties count half."""
    return float(np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"]))


def best_thresholds(deep: NDArray[np.float64], rest: NDArray[np.float64]) -> tuple[float, float]:
    """Return the interval of thresholds with the highest balanced accuracy.

    Parameters
    ----------
    deep, rest
        Values, shapes (n_deep,), (n_rest,).

    Returns
    -------
    low, high
        The widest such interval on a logarithmic scale, low ≤ threshold < high, between
        neighbouring values; equal if there is only one distinct value.
    """
    values = np.unique(np.concatenate([deep, rest]))
    if len(values) == 1:
        return float(values[0]), float(values[0])
    low, high = values[:-1], values[1:]
    sensitivity = 1 - np.searchsorted(np.sort(deep), low, side="right") / len(deep)
    specificity = np.searchsorted(np.sort(rest), low, side="right") / len(rest)
    accuracy = sensitivity + specificity
    best = np.flatnonzero(np.isclose(accuracy, accuracy.max(), rtol=0, atol=1e-12))
    widest = best[np.argmax(np.log(high[best]) - np.log(low[best]))]
    return float(low[widest]), float(high[widest])


def leave_one_system_out(observations: pd.DataFrame) -> pd.DataFrame:
    """Drop each system in turn, test again, and try a threshold chosen without it on it.

    Returns
    -------
    DataFrame
        One row per system, in the order of the table: ``dropped``, ``group``, ``n_deep``,
        ``n_rest``, ``U``, ``p_value``, ``rank_biserial``; ``threshold_low`` and
        ``threshold_high``, the best thresholds of the remaining systems, ``threshold``, the
        geometric middle of those, or the lower if the upper is infinite; ``n_dropped``, and
        ``dropped_correct``, how many observations of the dropped system that threshold calls by
        their claimed group.

    Raises
    ------
    ValueError
        If a group has a single system, so that nothing is left of it.
    """
    tested = check_observations(observations)
    rows = []
    for system, dropped in tested.groupby("system", sort=False):
        kept = check_observations(tested[tested["system"] != system])
        deep, rest = values_of(kept, "deep"), values_of(kept, "rest")
        test = compare_groups(deep, rest)
        low, high = best_thresholds(deep, rest)
        threshold = float(np.sqrt(low) * np.sqrt(high)) if np.isfinite(high) else low
        group = dropped["group"].iloc[0]
        rows.append(
            {
                "dropped": system,
                "group": group,
                "n_deep": test.n_deep,
                "n_rest": test.n_rest,
                "U": test.U,
                "p_value": test.p_value,
                "rank_biserial": test.rank_biserial,
                "threshold_low": low,
                "threshold_high": high,
                "threshold": threshold,
                "n_dropped": len(dropped),
                "dropped_correct": int(((dropped["value"] > threshold) == (group == "deep")).sum()),
            }
        )
    return pd.DataFrame(rows)


def _share_at_least(
    values: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    return 1 - np.searchsorted(np.sort(values), thresholds, side="left") / len(values)
