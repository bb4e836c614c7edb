"""A measured tier ratio beside what each law of ln F predicts from the same diagonal.

A law that uses less of the diagonal and still hits the ratio explains it; one that misses it does
not, however well it fits a line over depth.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.theory.drift import drift_log_tier_ratio
from fimtiers.theory.log_normal import log_tier_ratio, small_variance_log_ratio
from fimtiers.theory.log_normal_mixture import mixture_log_tier_ratio
from fimtiers.tiers import log_moments, tier_ratio
from fimtiers.tiers.ratio import checked_diagonal

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LogRatioPredictions:
    """ln (T1/T3), measured and predicted, each with the shape of F less its last axis.

    Attributes
    ----------
    measured
        Infinite where tier 3 is zero.
    log_range
        R = max − min over layers of the logarithm of the mean of F in a layer.
    sqrt_variance
        The published law, 3.463 √v with v = Var[ln F].
    log_normal
        The exact ratio of a log-normal of variance v.
    drift
        The ratio of ln F uniform over the range R: levels of layers, no spread within them.
    layer_mixture
        The ratio of a mixture of log-normals with the mean and variance of ln F in each layer,
        and the fraction of exact zeros: infinite where they fill tier 3.
    """

    measured: Array
    log_range: Array
    sqrt_variance: Array
    log_normal: Array
    drift: Array
    layer_mixture: Array


def predict_log_ratio(fim: NDArray[Any], layer: NDArray[np.integer[Any]]) -> LogRatioPredictions:
    """Predict ln (T1/T3) of F from its moments, pooled and by layer.

    Parameters
    ----------
    fim
        F, shape (..., parameter).
    layer
        Layer of each parameter, shape (parameter,); or any other grouping.

    Raises
    ------
    ValueError
        If `layer` does not name one layer per parameter.
    """
    fim = checked_diagonal(fim)
    if layer.shape != fim.shape[-1:]:
        raise ValueError(f"layer has shape {layer.shape}; fim has {fim.shape[-1]} parameters")
    label = np.unique(layer, return_inverse=True)[1]
    variance = log_moments(fim).variance
    by_layer = np.apply_along_axis(_from_layers, -1, fim, label)
    return LogRatioPredictions(
        measured=np.log(tier_ratio(fim)),
        log_range=by_layer[..., 0],
        sqrt_variance=small_variance_log_ratio(variance),
        log_normal=log_tier_ratio(variance),
        drift=drift_log_tier_ratio(by_layer[..., 0]),
        layer_mixture=by_layer[..., 1],
    )


def _from_layers(row: Array, label: NDArray[np.integer[Any]]) -> Array:
    """Return the log-range of the layers' means of F, and the log-ratio of their mixture."""
    size = np.bincount(label)
    total = np.bincount(label, weights=row)
    positive = row > 0
    if not positive.any():
        return np.full(2, np.nan)
    level = np.log(total[total > 0] / size[total > 0])
    logs, label = np.log(row[positive]), label[positive]
    count = np.bincount(label)
    mean = np.bincount(label, weights=logs) / np.maximum(count, 1)
    variance = np.bincount(label, weights=(logs - mean[label]) ** 2) / np.maximum(count, 1)
    # A mixture needs spread: layers of a single value get that of a rounding error.
    spread = np.maximum(variance, np.finfo(np.float64).eps)
    used = count > 0
    share = count / len(logs)
    zero_fraction = float(np.mean(~positive))
    ratio = mixture_log_tier_ratio(mean[used], spread[used], share[used], zero_fraction)
    return np.array([level.max() - level.min(), ratio])
