"""How the tier ratio depends on where the tiers are cut."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fimtiers.tiers import cut_tiers, smallest_tenth_ratio, tier_size

PARTITIONS = (
    (0.1, 10.0),
    (1.0, 50.0),
    (5.0, 50.0),
    (10.0, 50.0),
    (1.0, 30.0),
    (1.0, 70.0),
    (0.5, 50.0),
)
"""Top and bottom percentages of the published grid."""


def partition_sensitivity(
    fim: NDArray[Any],
    seeds: NDArray[np.integer[Any]],
    partitions: Sequence[tuple[float, float]] = PARTITIONS,
) -> pd.DataFrame:
    """Return the tier ratio of every seed for every choice of tiers.

    Parameters
    ----------
    fim
        F, not negative, shape (seed, parameter).
    seeds
        Seeds, shape (seed,).
    partitions
        Pairs of percentages, top and bottom.

    Returns
    -------
    DataFrame
        One row per partition and seed: ``top_percent``, ``bottom_percent``, ``top_size``,
        ``bottom_size``, ``seed``, ``tier_ratio`` (infinite where the bottom is all zeros),
        ``tier_ratio_published`` (where the bottom is all zeros, the mean of the smallest tenth of
        positive F stands in, so that neighbouring entries of the grid are different statistics)
        and ``bottom_is_zero``.
    """
    n = fim.shape[-1]
    blocks = []
    for top_percent, bottom_percent in partitions:
        tiers = cut_tiers(fim, top_percent, bottom_percent)
        blocks.append(
            pd.DataFrame(
                {
                    "top_percent": top_percent,
                    "bottom_percent": bottom_percent,
                    "top_size": tier_size(n, top_percent),
                    "bottom_size": tier_size(n, bottom_percent),
                    "seed": seeds,
                    "tier_ratio": tiers.ratio,
                    "tier_ratio_published": smallest_tenth_ratio(fim, top_percent, bottom_percent),
                    "bottom_is_zero": tiers.tier3_mean == 0,
                }
            )
        )
    return pd.concat(blocks, ignore_index=True)
