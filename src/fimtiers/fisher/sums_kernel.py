"""Arithmetic on large sums of squares in machine code, in one pass over memory.

Imported when first needed, since that compiles it, or loads what was compiled before.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from fimtiers.fisher.kernel import FAST

OPTIONS: dict[str, Any] = {"fastmath": FAST, "nogil": True, "cache": True}


@numba.njit("void(f8[::1], f4[::1], f8)", **OPTIONS)
def add_scaled(total: NDArray[Any], squares: NDArray[Any], factor: float) -> None:
    """Add `factor` times `squares` to `total`."""
    for i in range(len(total)):
        total[i] += factor * np.float64(squares[i])


@numba.njit("UniTuple(f8, 2)(f8[::1], f4[::1], f4[::1])", **OPTIONS)
def compare_squares(
    total: NDArray[Any], first: NDArray[Any], second: NDArray[Any]
) -> tuple[float, float]:
    """Return Σ total² and Σ (total − first² − second²)².

    Fourth powers of float32 gradients, and their sums, are within the range of float64.
    """
    found = left = 0.0
    for i in range(len(total)):
        value = total[i]
        found += value * value
        a, b = np.float64(first[i]), np.float64(second[i])
        value -= a * a + b * b
        left += value * value
    return found, left
