"""Which bins will hold the boundaries between tiers, guessed from a sample before the count.

Values of those bins are put aside while all are counted, and a second look at everything is
spared. A wrong guess costs that second look and nothing else: the guess is compared with the
boundaries of the finished histogram.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fimtiers.pattern_counts import (
    ALL_BINS,
    RANGES,
    count_and_select,
    count_lower,
    count_patterns,
    count_places,
    ranges,
)

STRETCH = 16
"""Values of one cache line; one costs as much to read as all."""

STRETCHES = 1 << 16
WORTHWHILE = 4 * STRETCH * STRETCHES
"""Fewer values are looked at twice in less time than a sample takes."""

STANDARD_ERRORS = 3.0
CAPACITY = 3 << 19
"""Patterns put aside, 6 MiB."""


@dataclass
class PredictedBins:
    """Bins that may hold a boundary, and the patterns seen in them.

    Attributes
    ----------
    pairs
        At most four inclusive ranges of upper halves, never of the bin of zero.
    """

    pairs: list[tuple[int, int]]
    _selected: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    _taken: int = 0

    def __post_init__(self) -> None:
        if self.pairs:
            self._selected = np.empty(CAPACITY, np.uint32)

    def count(self, patterns: NDArray[np.uint32], table: NDArray[np.uint64]) -> None:
        """Add patterns to the counters, and put those of the predicted bins aside."""
        if self.pairs and not self.full:
            wanted = ranges(self.pairs)
            self._taken = count_and_select(patterns, table, wanted, self._selected, self._taken)
        else:
            count_patterns(patterns, table)

    @property
    def full(self) -> bool:
        """Whether there was no room for all patterns of the predicted bins."""
        return self._taken == len(self._selected)

    def hold(self, upper: int) -> bool:
        """Return whether all patterns with this upper half have been put aside."""
        return not self.full and any(low <= upper <= high for low, high in self.pairs)

    def count_lower(self, slot: NDArray[np.int8], counts: NDArray[np.int64]) -> None:
        """Count the lower halves of what was put aside into the rows that `slot` gives."""
        count_lower(self._selected[: self._taken], slot, counts)


def predict_boundaries(
    patterns: NDArray[np.uint32],
    wanted_ranks: Callable[[int, int], NDArray[np.int64]],
) -> PredictedBins:
    """Return the bins where the values of some ranks are likely to be.

    2¹⁶ evenly spaced stretches of 16 values are the sample. A rank r of n is expected at r s / n
    in a sample of s, give or take three times √(s p (1 − p)), with p = r / n.

    Parameters
    ----------
    patterns
        Bit patterns of all values, shape (n,).
    wanted_ranks
        Gives the ranks, counted from 0, for the number of values and of positive ones.
    """
    n = len(patterns)
    if n < WORTHWHILE:
        return PredictedBins([])
    starts = np.linspace(0, n - STRETCH, STRETCHES).astype(np.int64)
    counts = count_places(patterns, starts, STRETCH)[: ALL_BINS // 2]
    last_rank = np.cumsum(counts)
    size = int(last_rank[-1])
    if size == 0:
        return PredictedBins([])
    positive = n - round(n * int(counts[0]) / size)
    fraction = wanted_ranks(n, positive) / n
    margin = STANDARD_ERRORS * np.sqrt(size * fraction * (1 - fraction)) + 1
    low, high = (
        np.searchsorted(last_rank, np.clip(size * fraction + shift, 0, size - 1), "right")
        for shift in (-margin, margin)
    )
    return PredictedBins(_joined(np.maximum(low, 1), high)[:RANGES])


def _joined(low: NDArray[np.int64], high: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return inclusive ranges, overlapping or adjacent ones in one, without empty ones."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(zip(low.tolist(), high.tolist(), strict=True)):
        if first > last:
            continue
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return joined
