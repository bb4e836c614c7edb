"""The dichotomy without tiers: Gini coefficient, effective rank and top mass of the panel.

The study registered what these three look like in a deep and in another system. Its rule counts a
system as consistent if it fits either description, even that of the other group; here the group it
was claimed to be in is compared too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

STATISTICS = ("gini", "effective_rank", "top_mass")
PASSING_FRACTION = 0.8
FEWEST_SYSTEMS = 3


@dataclass(frozen=True)
class Predicate:
    """A registered description: bounds on the three statistics, all of them strict.

    Attributes
    ----------
    gini
        Bound on the Gini coefficient.
    effective_rank
        Bound on (Σ F)² / Σ F² / n, n counting all parameters.
    top_mass
        Bound on the share of Σ F in the largest 1 %.
    """

    gini: float
    effective_rank: float
    top_mass: float


DEEP = Predicate(gini=0.7, effective_rank=0.05, top_mass=0.4)
"""Deep: Gini above, effective rank below, top mass above these (registered for version 12)."""

REST = Predicate(gini=0.5, effective_rank=0.3, top_mass=0.1)
"""Rest: Gini below, effective rank above, top mass below these (registered for version 12)."""


def classify_partition_free(
    gini: NDArray[np.float64], effective_rank: NDArray[np.float64], top_mass: NDArray[np.float64]
) -> NDArray[np.str_]:
    """Return ``deep``, ``rest`` or ``neither``, by the registered predicates.

    Parameters
    ----------
    gini, effective_rank, top_mass
        Statistics with all parameters counted, zeros included; any common shape.
    """
    deep = (gini > DEEP.gini) & (effective_rank < DEEP.effective_rank) & (top_mass > DEEP.top_mass)
    rest = (gini < REST.gini) & (effective_rank > REST.effective_rank) & (top_mass < REST.top_mass)
    return np.where(deep, "deep", np.where(rest, "rest", "neither"))


def partition_free_panel(summaries: pd.DataFrame) -> pd.DataFrame:
    """Average the three statistics by system and classify each system.

    Parameters
    ----------
    summaries
        One row per system, point and seed: ``system``, ``group``, ``gini``, ``effective_rank``,
        ``top_mass``.

    Returns
    -------
    DataFrame
        One row per system, in order of appearance: ``system``, ``group``, the three means, for
        each its smallest and largest value (``gini_low``, ``gini_high``, …), ``description``
        (``deep``, ``rest``, ``neither``), ``consistent`` (fits either description, as registered)
        and ``agrees`` (fits that of its own group).
    """
    missing = [name for name in ("system", "group", *STATISTICS) if name not in summaries]
    if missing:
        raise ValueError(f"summaries lack {missing}; they have {list(summaries)}")
    rows: list[dict[str, Any]] = []
    for (system, group), block in summaries.groupby(["system", "group"], sort=False):
        row: dict[str, Any] = {"system": system, "group": group}
        for name in STATISTICS:
            row[name] = block[name].mean()
            row[f"{name}_low"], row[f"{name}_high"] = block[name].min(), block[name].max()
        rows.append(row)
    panel = pd.DataFrame(rows)
    description = classify_partition_free(*(panel[name].to_numpy() for name in STATISTICS))
    return panel.assign(
        description=description,
        consistent=description != "neither",
        agrees=description == panel["group"].to_numpy(),
    )


@dataclass(frozen=True)
class PartitionFreeVerdict:
    """Registered verdict on the panel, and what it leaves out.

    Attributes
    ----------
    n_systems
        Systems in the panel.
    consistent_fraction
        Share that fits either description.
    registered_verdict
        ``PASS`` if that share is at least 0.8, else ``FAIL``; ``INSUFFICIENT_DATA`` with fewer
        than three systems.
    agreeing_fraction
        Share that fits the description of its own group.
    exceptions
        Systems that do not.
    overlaps
        For each statistic, whether the ranges of the groups over all points and seeds overlap.
    """

    n_systems: int
    consistent_fraction: float
    registered_verdict: str
    agreeing_fraction: float
    exceptions: tuple[str, ...]
    overlaps: dict[str, bool]


def partition_free_verdict(panel: pd.DataFrame) -> PartitionFreeVerdict:
    """Decide the registered claim on the table that `partition_free_panel` returns.

    A system in group ``reference`` takes no part.
    """
    tested = panel[panel["group"].isin(("deep", "rest"))]
    consistent = float(tested["consistent"].mean()) if len(tested) else np.nan
    verdict = "PASS" if consistent >= PASSING_FRACTION else "FAIL"
    return PartitionFreeVerdict(
        n_systems=len(tested),
        consistent_fraction=consistent,
        registered_verdict=verdict if len(tested) >= FEWEST_SYSTEMS else "INSUFFICIENT_DATA",
        agreeing_fraction=float(tested["agrees"].mean()) if len(tested) else np.nan,
        exceptions=tuple(tested.loc[~tested["agrees"], "system"]),
        overlaps={name: _overlap(tested, name) for name in STATISTICS},
    )


def _overlap(panel: pd.DataFrame, name: str) -> bool:
    deep, rest = (panel[panel["group"] == group] for group in ("deep", "rest"))
    deep_low, deep_high = deep[f"{name}_low"].min(), deep[f"{name}_high"].max()
    rest_low, rest_high = rest[f"{name}_low"].min(), rest[f"{name}_high"].max()
    return bool(deep_low <= rest_high and rest_low <= deep_high)
