"""Time the tier statistics of many float32 values against sorting, and against what bounds both.

    python -m benchmarks.tiers [number of values]

Seconds are CPU times on one thread, the smallest of interleaved rounds; the table goes to standard
output. The values are log-normal with σ = 4, the spread of a Fisher diagonal.
"""

import argparse
import time
from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray

from fimtiers.streaming_tiers import TierHistogram, summarise_histogram, summarise_values

ROUNDS = 5
SORT = "np.sort of a float64 copy"
PIECE = 1 << 20


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("values", nargs="?", type=int, default=10**8)
    seconds = measure(parser.parse_args().values)
    sort = seconds[SORT]
    print(f"| {'step':48} | seconds | of the sort |\n|---|---|---|")
    for step, s in seconds.items():
        print(f"| {step:48} | {s:7.4f} | {s / sort:11.3f} |")


def measure(size: int) -> dict[str, float]:
    """Return the CPU time of each step on `size` values."""
    values = log_normal(size)
    copy, patterns = np.empty(size), values.view(np.uint32)
    counts = np.zeros(1 << 16, np.int64)
    count_upper_halves(patterns[:1], counts)
    largest(patterns[:1])
    for warm in (values[:1000], values[: 1 << 23]):
        two_passes(warm)
        summarise_values(warm)

    def fill() -> None:
        copy[:] = values

    steps: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        SORT: (fill, lambda: np.sort(copy)),
        "the same in place": (fill, copy.sort),
        "largest value: read everything once": (_nothing, lambda: largest(patterns)),
        "np.sum of the values": (_nothing, lambda: np.sum(values)),
        "histogram: one counter per value": (
            _nothing, lambda: count_upper_halves(patterns, counts),
        ),
        "tier statistics: histogram alone": (_nothing, lambda: TierHistogram().add(values)),
        "tier statistics: stream, two passes": (_nothing, lambda: two_passes(values)),
        "tier statistics: array": (_nothing, lambda: summarise_values(values)),
    }  # fmt: skip
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, (prepare, step) in steps.items():
            prepare()
            start = time.process_time()
            step()
            found[name].append(time.process_time() - start)
    return {name: min(seconds) for name, seconds in found.items()}


def log_normal(size: int) -> NDArray[np.float32]:
    generator = np.random.default_rng(0)
    values = np.empty(size, np.float32)
    for start in range(0, size, PIECE):
        part = values[start : start + PIECE]
        np.exp(4 * generator.standard_normal(len(part), np.float32), out=part)
    return values


def two_passes(values: NDArray[np.float32]) -> dict[str, float]:
    histogram = TierHistogram()
    histogram.add(values)
    boundaries = histogram.boundaries()
    boundaries.add(values)
    return summarise_histogram(histogram, boundaries)


@numba.njit
def largest(patterns):  # type: ignore[no-untyped-def]
    most = np.uint32(0)
    for i in range(len(patterns)):
        most = max(most, patterns[i])
    return most


@numba.njit
def count_upper_halves(patterns, counts):  # type: ignore[no-untyped-def]
    for i in range(len(patterns)):
        counts[patterns[i] >> 16] += 1


def _nothing() -> None:
    """Prepare nothing."""


if __name__ == "__main__":
    main()
