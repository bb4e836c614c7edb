"""Sites and links of a periodic hypercubic lattice in four dimensions.

A site is numbered in C order of its coordinates; link (x, μ) has the number 4 x + μ.
"""

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 4
PLAQUETTES_PER_LINK = 2 * (DIMENSIONS - 1)


def neighbours(extent: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the numbers of the sites x + μ̂ and x − μ̂, both int32 of shape (extent⁴, 4)."""
    sites = np.arange(extent**DIMENSIONS, dtype=np.int32).reshape((extent,) * DIMENSIONS)

    def shifted(by: int) -> NDArray[np.int32]:
        return np.stack([np.roll(sites, by, axis).ravel() for axis in range(DIMENSIONS)], axis=1)

    return shifted(-1), shifted(+1)
