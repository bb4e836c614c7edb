"""The tier ratio of what is not exactly zero, where zeros make the whole ratio infinite."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.tiers import tier_ratio


def positive_ratio(fim: NDArray[Any]) -> NDArray[np.float64]:
    """Return T1 / T3 of the positive entries of each row of F alone.

    Parameters
    ----------
    fim
        F, not negative, shape (seed, parameter).

    Returns
    -------
    NDArray
        Shape (seed,); equal to the tier ratio where nothing is zero, NaN where everything is.
    """
    rows = [row[row > 0] for row in np.asarray(fim)]
    return np.array([float(tier_ratio(row)) if len(row) else np.nan for row in rows])
