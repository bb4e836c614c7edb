"""The published bound on what pooling parameter tensors does to a log-normal tier ratio.

The claim ("Proposition 2"): with v_l the variance of ln F in tensor l and v̄ their mean,

    |ln (T1/T3) − √v̄ (z⁺ − z⁻)| ≤ ½ √(mean_l (v_l − v̄)²) |z⁺ − z⁻|.

It leaves out that tensors differ in their mean of ln F, which is the larger effect, and compares
variances on the right with standard deviations on the left, so that it becomes weaker as v grows.
The published check also gives exact zeros the value ln 10⁻³⁰, which makes v_l, and with it the
bound, hundreds of nats wide.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.tiers import published_ratio
from fimtiers.tiers.ratio import checked_diagonal

Array = NDArray[np.float64]

PUBLISHED_FLOOR = 1e-30
"""What the published check puts in place of smaller F."""

UPPER_MEAN, LOWER_MEAN = 2.665, -0.798
"""z⁺ and z⁻ as rounded in the published check: means of the normal law above its 99th percentile
and below its median."""

SLACK = 1e-3
"""By which the published check lets the deviation exceed the bound."""


@dataclass(frozen=True)
class PoolingBound:
    """Both sides of the inequality, each with the shape of F less its last axis.

    Attributes
    ----------
    mean_variance
        v̄, mean over tensors of the variance of ln F, not weighted by their sizes.
    spread
        √(mean_l (v_l − v̄)²).
    bound
        ½ · spread · |z⁺ − z⁻|.
    log_ratio
        ln (T1/T3) of the pooled diagonal, by the published rule for T3 = 0.
    prediction
        √v̄ (z⁺ − z⁻).
    deviation
        |log_ratio − prediction|.
    holds
        Whether the deviation is at most the bound.
    """

    mean_variance: Array
    spread: Array
    bound: Array
    log_ratio: Array
    prediction: Array
    deviation: Array
    holds: NDArray[np.bool_]


def pooling_bound(
    fim: NDArray[Any],
    tensor_index: NDArray[np.integer[Any]],
    floor: float | None = PUBLISHED_FLOOR,
) -> PoolingBound:
    """Evaluate both sides of the published inequality.

    Parameters
    ----------
    fim
        F, shape (..., parameter).
    tensor_index
        Tensor of each parameter, shape (parameter,); weights and biases are separate tensors.
    floor
        Smallest F, as published; with None the variances are over positive entries only.

    Raises
    ------
    ValueError
        If `tensor_index` does not name one tensor per parameter.
    """
    fim = checked_diagonal(fim)
    if tensor_index.shape != fim.shape[-1:]:
        raise ValueError(
            f"tensor_index has shape {tensor_index.shape}; fim has {fim.shape[-1]} parameters"
        )
    variances = np.stack(
        [
            np.apply_along_axis(_log_variance, -1, fim[..., tensor_index == tensor], floor)
            for tensor in np.unique(tensor_index)
        ]
    )
    mean_variance = np.nanmean(variances, axis=0)
    spread = np.sqrt(np.nanmean((variances - mean_variance) ** 2, axis=0))
    bound = spread * (UPPER_MEAN - LOWER_MEAN) / 2
    log_ratio = np.log(published_ratio(fim, "smallest_tenth_floor"))
    prediction = np.sqrt(mean_variance) * (UPPER_MEAN - LOWER_MEAN)
    deviation = np.abs(log_ratio - prediction)
    holds = np.asarray(deviation <= bound + SLACK)
    return PoolingBound(mean_variance, spread, bound, log_ratio, prediction, deviation, holds)


def _log_variance(row: Array, floor: float | None) -> float:
    """Return the population variance of ln F; NaN without a floor and a positive entry."""
    kept = row[row > 0] if floor is None else np.maximum(row, floor)
    return float(np.log(kept).var()) if len(kept) else np.nan
