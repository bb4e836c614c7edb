"""How concentrated a Fisher diagonal is, without a cut into tiers.

Zeros matter here: a quantity may count all parameters or the positive ones only. The published
scripts disagree on this, so it is an argument wherever it changes the value.
"""

from collections.abc import Callable
from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fimtiers.tiers.ratio import checked_diagonal

Entries = Literal["all", "positive"]
Rounding = Literal["floor", "ceil"]


def gini_coefficient(fim: NDArray[Any]) -> NDArray[np.float64]:
    """Return the Gini coefficient G = Σ_ij |F_i − F_j| / (2 n² F̄), between 0 and 1 − 1/n.

    Parameters
    ----------
    fim
        F, not negative, shape (..., parameter); zeros count. If all are zero, G is zero.
    """
    ordered = np.sort(checked_diagonal(fim), axis=-1)
    n = ordered.shape[-1]
    weight = 2 * np.arange(1, n + 1) - n - 1
    total = ordered.sum(axis=-1)
    weighted = (ordered * weight).sum(axis=-1)
    return np.divide(weighted, n * total, out=np.zeros_like(total), where=total > 0)


def effective_rank(fim: NDArray[Any], normalise: Entries = "all") -> NDArray[np.float64]:
    """Return the participation ratio (Σ F)² / Σ F² as a fraction of the parameters.

    Parameters
    ----------
    fim
        F, not negative, shape (..., parameter).
    normalise
        Divide by the number of ``all`` parameters, or of those with ``positive`` F.

    Returns
    -------
    NDArray
        Between 1/n and 1, shape of `fim` less its last axis; NaN if all of F is zero.
    """
    _check_choice("normalise", normalise, ("all", "positive"))
    return _along_parameters(lambda row: _effective_rank(row, normalise), fim)


def _effective_rank(row: NDArray[np.float64], normalise: Entries) -> float:
    positive = row[row > 0]
    if not len(positive):
        return np.nan
    # The value is free of scale; without one, squares of tiny F would vanish.
    scaled = positive / positive.max()
    count = len(row) if normalise == "all" else len(positive)
    return float(scaled.sum() ** 2 / (scaled**2).sum() / count)


def top_mass(
    fim: NDArray[Any],
    percent: float = 1.0,
    rounding: Rounding = "floor",
    entries: Entries = "all",
) -> NDArray[np.float64]:
    """Return the share of Σ F that its largest k = max(1, n · percent / 100) entries hold.

    Parameters
    ----------
    fim
        F, not negative, shape (..., parameter).
    percent
        Size of the top in percent of n.
    rounding
        Round k down (``floor``) or up (``ceil``).
    entries
        Let n be the number of ``all`` parameters, or of those with ``positive`` F.

    Returns
    -------
    NDArray
        Between 1/n and 1, shape of `fim` less its last axis; NaN if all of F is zero.
    """
    _check_choice("rounding", rounding, ("floor", "ceil"))
    _check_choice("entries", entries, ("all", "positive"))
    if not 0 < percent <= 100:
        raise ValueError(f"percent is {percent}; expected more than 0 and at most 100")
    return _along_parameters(lambda row: _top_mass(row, percent, rounding, entries), fim)


def _top_mass(
    row: NDArray[np.float64], percent: float, rounding: Rounding, entries: Entries
) -> float:
    n = len(row) if entries == "all" else int((row > 0).sum())
    if not row.any():
        return np.nan
    exact = n * percent / 100
    size = max(1, ceil(exact) if rounding == "ceil" else int(exact))
    top = np.partition(row, len(row) - size)[len(row) - size :]
    scale = top.max()
    return float((top / scale).sum() / (row / scale).sum())


def _along_parameters(
    statistic: Callable[[NDArray[np.float64]], float], fim: NDArray[Any]
) -> NDArray[np.float64]:
    return np.asarray(np.apply_along_axis(statistic, -1, checked_diagonal(fim)))


def _check_choice(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{argument} is {value!r}; allowed: {', '.join(allowed)}")
