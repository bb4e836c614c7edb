"""Order statistics of float32 values known by a histogram and by exact counts in a few bins."""

from math import fsum

import numpy as np
from numpy.typing import NDArray

from fimtiers.float_bins import BINS, bin_sum, exponent_sums
from fimtiers.pattern_counts import LOWER_BITS


class OrderStatistics:
    """Sums of values between two ranks, and values of single ranks.

    Parameters
    ----------
    bins
        The histogram, shape (2¹⁵, 3); see `fimtiers.float_bins`.
    upper
        Upper halves of the bins where sums are cut or values read, shape (bin,).
    counts
        How many values of those bins have each lower half, shape (bin, 2¹⁶).
    """

    def __init__(
        self, bins: NDArray[np.int64], upper: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> None:
        self.bins = bins
        self.before = np.concatenate([[0], np.cumsum(bins[:, 0])])
        self.size = int(self.before[-1])
        self.total = fsum(exponent_sums(bins, 0, BINS))
        cumulated = np.cumsum(counts, axis=1)
        self.cumulated = dict(zip(upper.tolist(), cumulated, strict=True))

    def sum_of_smallest(self, k: int) -> float:
        """Return the sum of the k smallest values, 0 ≤ k ≤ n."""
        return self.sum_between(0, k)

    def sum_of_largest(self, k: int) -> float:
        """Return the sum of the k largest values, 0 ≤ k ≤ n."""
        return self.sum_between(self.size - k, self.size)

    def sum_between(self, start: int, stop: int) -> float:
        """Return the sum of the values of rank start, …, stop − 1, counted from 0."""
        first, head = self._cut(start)
        last, tail = self._cut(stop)
        return fsum([*exponent_sums(self.bins, first, last), tail, -head])

    def quantile(self, probability: float) -> float:
        """Return a quantile, interpolated linearly between ranks around (n − 1) probability."""
        position = (self.size - 1) * probability
        rank = int(position)
        low, high = self.value(rank), self.value(min(rank + 1, self.size - 1))
        return low + (high - low) * (position - rank)

    def value(self, rank: int) -> float:
        """Return the value of a rank, counted from 0."""
        upper = self._bin_of(rank)
        remaining = rank - int(self.before[upper])
        lower = int(np.searchsorted(self.cumulated[upper], remaining, "right"))
        return float(_values(np.array([(upper << LOWER_BITS) | lower]))[0])

    def _cut(self, rank: int) -> tuple[int, float]:
        """Return the bin that a rank is in, and the sum of the values below the rank in it."""
        if rank == self.size:
            return BINS, 0.0
        upper = self._bin_of(rank)
        remaining = rank - int(self.before[upper])
        if remaining == 0:
            return upper, 0.0
        cumulated = self.cumulated[upper]
        last = int(np.searchsorted(cumulated, remaining))
        # The sum of their lower halves, by parts.
        lower = last * remaining - int(cumulated[:last].sum())
        return upper, bin_sum(upper, remaining, lower)

    def _bin_of(self, rank: int) -> int:
        return int(np.searchsorted(self.before, rank, "right")) - 1


def _values(patterns: NDArray[np.int64]) -> NDArray[np.float64]:
    return patterns.astype(np.uint32).view(np.float32).astype(np.float64)
