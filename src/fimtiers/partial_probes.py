"""What fewer probes would have given: F of the first quarter and the first half of them.

The sums of squares pass through these values anyway. Only a histogram of each is kept, a thousandth
of its size and fine enough to cut tiers from (`fimtiers.tiers.histogram_tiers`), so that a ratio
can be extrapolated to infinitely many probes without another probe.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.records import FisherDiagonal, Variable

DIVISORS = (4, 2)
FRACTION_BITS = 4
"""Bins of a histogram per octave: 2⁴, each wider than the one before by 1/16 to 1/31."""
SHIFT = np.finfo(np.float64).nmant - FRACTION_BITS
PREFIX = "partial_"


def partial_counts(probes: int) -> list[int]:
    """Return the numbers of first probes that are looked at: ⌊n/4⌋ and ⌊n/2⌋, if not zero."""
    return sorted({probes // divisor for divisor in DIVISORS} - {0, probes})


def stretches(probes: int) -> list[tuple[int, int]]:
    """Cut n probes at `partial_counts`: pairs of the first probe and the one after the last."""
    edges = [0, *partial_counts(probes), probes]
    return list(pairwise(edges))


def with_histograms(diagonal: FisherDiagonal) -> FisherDiagonal:
    """Replace the partial diagonals by diagnostics that histograms of them make up.

    ``partial_probes`` is the number of probes, shape (partial,); ``partial_bin`` the smallest value
    of each bin that is not empty anywhere, shape (bin,); ``partial_count`` and ``partial_sum`` the
    number and the sum of the entries of F in it, shape (partial, seed, bin). Zeros have a bin of
    their own, the first one if there are any.
    """
    if not diagonal.partial:
        return diagonal
    diagnostics = {**diagonal.diagnostics, **_histograms(diagonal.partial)}
    return replace(diagonal, partial={}, diagnostics=diagnostics)


def _histograms(partial: Mapping[int, NDArray[np.float64]]) -> dict[str, Variable]:
    """Count by bit pattern: that of a non-negative number, less its lower bits, is its bin."""
    rows = [row for values in partial.values() for row in values]
    first = int(_bin(min(row.min() for row in rows)))
    size = int(_bin(max(row.max() for row in rows))) - first + 1
    count, total = np.empty((len(rows), size), np.int64), np.empty((len(rows), size))
    for row, counts, totals in zip(rows, count, total, strict=True):
        bins = _bin(row) - first
        counts[:] = np.bincount(bins, minlength=size)
        totals[:] = np.bincount(bins, row, minlength=size)
    used = np.flatnonzero(count.any(axis=0))
    lower = ((used + first) << SHIFT).view(np.float64)
    dims = ("partial", "seed", "bin")
    shape = (len(partial), -1, len(used))
    return {
        f"{PREFIX}probes": (("partial",), np.array(list(partial))),
        f"{PREFIX}bin": (("bin",), lower),
        f"{PREFIX}count": (dims, count[:, used].astype(np.int32).reshape(shape)),
        f"{PREFIX}sum": (dims, total[:, used].reshape(shape)),
    }


def _bin(values: Any) -> Any:
    """Return ⌊pattern / 2^SHIFT⌋ of each number, the pattern read as an integer."""
    return values.view(np.int64) >> SHIFT
