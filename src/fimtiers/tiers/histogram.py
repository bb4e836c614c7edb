"""Tiers of a Fisher diagonal that is known only by a fine histogram."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.tiers.ratio import BOTTOM_PERCENT, TOP_PERCENT, divide, tier_size

Array = NDArray[np.float64]


def histogram_tier_ratio(lower: Array, count: NDArray[np.integer[Any]], total: Array) -> Array:
    """Return T1 / T3 from counts and sums of F in bins; infinite where tier 3 is zero.

    Exact but for the two bins that a boundary between tiers cuts. There the values are taken as
    spread evenly about the mean of the bin, as far as to its nearer edge. Bins of relative width
    w that hold a share s of the sum of a tier make a relative error below w s / 2.

    Parameters
    ----------
    lower
        Smallest possible value of each bin, ascending, shape (bin,). A bin ends where the next
        begins, at the latest, or at twice its smallest value.
    count, total
        Number and sum of the entries of F in each bin, shape (..., bin).
    """
    size = count.sum(axis=-1)
    upper = np.minimum(np.append(lower[1:], np.inf), 2 * lower)
    with np.errstate(invalid="ignore"):
        mean = np.where(count > 0, total / np.maximum(count, 1), lower)
    half_width = np.where(count > 1, np.minimum(mean - lower, upper - mean), 0)
    k1 = np.vectorize(lambda n: tier_size(n, TOP_PERCENT))(size)
    k3 = np.vectorize(lambda n: tier_size(n, BOTTOM_PERCENT))(size)
    before = np.cumsum(count, axis=-1) - count

    def sum_of_smallest(k: NDArray[np.integer[Any]]) -> Array:
        taken = np.clip(k[..., None] - before, 0, count)
        with np.errstate(invalid="ignore"):
            share = np.where(count > 0, taken / np.maximum(count, 1), 0)
        return np.asarray((taken * (mean - half_width * (1 - share))).sum(axis=-1))

    whole = total.sum(axis=-1)
    return divide((whole - sum_of_smallest(size - k1)) / k1, sum_of_smallest(k3) / k3)
