"""The dichotomy claim: every deep system exceeds every other one, and how surely that is known.

The published test pools the seeds of all systems and treats them as independent. They are not:
seeds of one system are replicates, and systems, not seeds, were assigned to the groups. The tests
by system stand beside it.
"""

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from fimtiers.statistics.observations import (
    check_observations,
    geometric_means,
    row_as_dict,
    values_of,
)

TIED_DECIMALS = 12
"""Logarithms of geometric means that agree in so many decimals are equal."""


@dataclass(frozen=True)
class GroupComparison:
    """One-sided Mann–Whitney test of deep > rest with its effect sizes.

    Attributes
    ----------
    n_deep, n_rest
        Numbers of values.
    U
        Pairs in which the deep value is larger, ties counted half.
    p_value
        Asymptotic, with correction for continuity and ties.
    common_language_effect_size
        U / (n_deep n_rest), the chance that a deep value exceeds another one, 1/2 under the null
        hypothesis. Equal to the area under the ROC curve.
    rank_biserial
        2 U / (n_deep n_rest) − 1, 0 under the null hypothesis.
    """

    n_deep: int
    n_rest: int
    U: float
    p_value: float
    common_language_effect_size: float
    rank_biserial: float


def compare_groups(deep: NDArray[np.float64], rest: NDArray[np.float64]) -> GroupComparison:
    """Compare two samples by rank.

    Parameters
    ----------
    deep, rest
        Values, or any increasing function of them; infinite values are allowed, NaN is not.
        Shapes (n_deep,), (n_rest,).
    """
    result = stats.mannwhitneyu(deep, rest, alternative="greater", method="asymptotic")
    effect = result.statistic / (len(deep) * len(rest))
    return GroupComparison(
        n_deep=len(deep),
        n_rest=len(rest),
        U=float(result.statistic),
        p_value=float(result.pvalue),
        common_language_effect_size=float(effect),
        rank_biserial=float(2 * effect - 1),
    )


def compare_pooled(observations: pd.DataFrame) -> GroupComparison:
    """Compare the groups as published: all seeds of all systems pooled, none averaged."""
    tested = check_observations(observations)
    return compare_groups(values_of(tested, "deep"), values_of(tested, "rest"))


@dataclass(frozen=True)
class PermutationTest:
    """Exact one-sided permutation test of deep > rest over whole systems.

    Attributes
    ----------
    n_deep, n_rest
        Numbers of units.
    U
        Pairs of units in which the deep one has the larger geometric mean, ties counted half.
    p_value
        Share of all assignments of units to groups with at least this U.
    smallest_possible_p_value
        1 / C(n_deep + n_rest, n_deep), for complete separation.
    """

    n_deep: int
    n_rest: int
    U: float
    p_value: float
    smallest_possible_p_value: float


def permutation_test(observations: pd.DataFrame, unit: str = "system") -> PermutationTest:
    """Test the dichotomy with systems as the units that were assigned to groups.

    Parameters
    ----------
    observations
        See `fimtiers.statistics.observations`.
    unit
        Column that names what is independent; ``system``, or a coarser class in which trained and
        untrained networks with common initial weights are one.
    """
    means = geometric_means(check_observations(observations), unit)
    deep = (means["group"] == "deep").to_numpy()
    # Means that are equal but for rounding are ties.
    logs = np.log(means["value"]).round(TIED_DECIMALS)
    # Twice the mid-ranks are integers, so rank sums can be counted exactly.
    ranks = np.rint(2 * stats.rankdata(logs)).astype(int)
    n_deep, n_rest = int(deep.sum()), int((~deep).sum())
    rank_sum = int(ranks[deep].sum())
    counts = _subsets_by_sum(ranks.tolist(), n_deep)
    at_least = sum(count for total, count in counts.items() if total >= rank_sum)
    assignments = comb(n_deep + n_rest, n_deep)
    return PermutationTest(
        n_deep=n_deep,
        n_rest=n_rest,
        U=rank_sum / 2 - n_deep * (n_deep + 1) / 2,
        p_value=at_least / assignments,
        smallest_possible_p_value=1 / assignments,
    )


def _subsets_by_sum(items: list[int], size: int) -> dict[int, int]:
    """Count the subsets of `size` items by their sum, one item at a time."""
    by_size: list[dict[int, int]] = [{0: 1}] + [{} for _ in range(size)]
    for item in items:
        for k in range(size, 0, -1):
            for total, count in by_size[k - 1].items():
                by_size[k][total + item] = by_size[k].get(total + item, 0) + count
    return by_size[size]


@dataclass(frozen=True)
class Separation:
    """Where the two groups come closest.

    Attributes
    ----------
    separated
        Whether every deep value exceeds every other one.
    smallest_deep, largest_rest
        The rows of the two closest observations: system, point, seed, value.
    margin_ratio
        Smallest deep value / largest value of the rest.
    margin_nats
        Its natural logarithm, negative if the groups overlap; NaN if both are infinite.
    """

    separated: bool
    smallest_deep: dict[str, Any]
    largest_rest: dict[str, Any]
    margin_ratio: float
    margin_nats: float


def separation(observations: pd.DataFrame) -> Separation:
    """Return how far the smallest deep observation is above the largest of the rest."""
    tested = check_observations(observations).reset_index(drop=True)
    deep, rest = (tested.loc[tested["group"] == group, "value"] for group in ("deep", "rest"))
    smallest, largest = tested.loc[deep.idxmin()], tested.loc[rest.idxmax()]
    margin = _margin_nats(float(smallest["value"]), float(largest["value"]))
    return Separation(
        separated=bool(smallest["value"] > largest["value"]),
        smallest_deep=row_as_dict(smallest),
        largest_rest=row_as_dict(largest),
        margin_ratio=float(np.exp(margin)),
        margin_nats=margin,
    )


def _margin_nats(smallest_deep: float, largest_rest: float) -> float:
    if np.isinf(smallest_deep) and np.isinf(largest_rest):
        return np.nan
    return float(np.log(smallest_deep) - np.log(largest_rest))
