"""All statistics of a Fisher diagonal in one dictionary, as the tiers stage stores them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.tiers.concentration import effective_rank, gini_coefficient, top_mass
from fimtiers.tiers.logarithm import log_moments, log_variance_between_groups, quantile_ratio
from fimtiers.tiers.published import published_ratio
from fimtiers.tiers.ratio import checked_diagonal, cut_tiers, zero_fraction

DESCRIPTIONS: dict[str, str] = {
    "tier1_mean": "mean of the largest 1 % of F",
    "tier2_mean": "mean of the middle 49 % of F",
    "tier3_mean": "mean of the smallest 50 % of F, zeros included",
    "tier_ratio": "tier 1 mean / tier 3 mean; infinite where tier 3 is zero",
    "tier_ratio_published": "tier ratio by the rule of the published script",
    "zero_fraction": "fraction of F that is exactly zero",
    "gini": "Gini coefficient of F, zeros included",
    "effective_rank": "(sum F)^2 / sum F^2 / number of parameters",
    "effective_rank_positive": "(sum F)^2 / sum F^2 / number of parameters with positive F",
    "top_mass": "share of the sum of F in its largest 1 %, rounded up",
    "top_mass_positive": "share of the sum of F in the largest 1 % of positive F, rounded down",
    "log_mean": "mean of ln F over positive F",
    "log_variance": "variance of ln F over positive F",
    "log_skewness": "skewness of ln F over positive F",
    "log_excess_kurtosis": "excess kurtosis of ln F over positive F",
    "positive_count": "number of parameters with positive F",
    "quantile_ratio": "99 % quantile / 25 % quantile of F",
    "log_variance_between_layers": "variance of ln F between layers",
    "log_variance_within_layers": "variance of ln F within layers",
    "log_variance_between_tensors": "variance of ln F between parameter tensors",
    "log_variance_within_tensors": "variance of ln F within parameter tensors",
}
"""Each variable of `summarise` in words; with the prefix ``relative_``, F is replaced by θ² F."""

RELATIVE = "relative_"


def summarise(
    fim: NDArray[Any],
    *,
    layer: NDArray[np.integer[Any]] | None = None,
    tensor_index: NDArray[np.integer[Any]] | None = None,
    theta: NDArray[Any] | None = None,
    published_rule: str | None = None,
) -> dict[str, NDArray[Any]]:
    """Return every tier statistic of F, by the names in `DESCRIPTIONS`.

    Parameters
    ----------
    fim
        F, not negative, shape (..., parameter), normally (seed, parameter).
    layer
        Layer of each parameter, shape (parameter,). If given, Var[ln F] is split by layer.
    tensor_index
        Tensor of each parameter, shape (parameter,). If given, Var[ln F] is split by tensor.
    theta
        θ, shape of `fim`. If given, the same statistics of θ² F are added with the prefix
        ``relative_``: F in the coordinates ln |θ|, the sensitivity to relative changes.
    published_rule
        A key of `fimtiers.tiers.PUBLISHED_RULES`. If given, ``tier_ratio_published`` is added.

    Returns
    -------
    dict
        Arrays with the shape of `fim` less its last axis.
    """
    fim = checked_diagonal(fim)
    summary = _order_statistics(fim)
    if layer is not None:
        summary |= _variance_split(fim, layer, "layers")
    if tensor_index is not None:
        summary |= _variance_split(fim, tensor_index, "tensors")
    if published_rule is not None:
        summary["tier_ratio_published"] = published_ratio(fim, published_rule)
    if theta is not None:
        if theta.shape != fim.shape:
            raise ValueError(f"theta has shape {theta.shape}; fim has {fim.shape}")
        relative = np.square(theta, dtype=np.float64) * fim
        twins = summarise(relative, layer=layer, tensor_index=tensor_index)
        summary |= {RELATIVE + name: values for name, values in twins.items()}
    return summary


def describe(name: str) -> dict[str, str]:
    """Return the attributes of a variable of `summarise` in a file: its meaning in words."""
    text = DESCRIPTIONS.get(name.removeprefix(RELATIVE))
    if text is None:
        return {}
    relative = {"comment": "F stands for θ² F"} if name.startswith(RELATIVE) else {}
    return {"long_name": text, **relative}


def _order_statistics(fim: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    # None of these depends on the order of the parameters, and all are faster on sorted values.
    ordered = np.sort(fim, axis=-1)
    tiers = cut_tiers(ordered)
    moments = log_moments(ordered)
    return {
        "tier1_mean": tiers.tier1_mean,
        "tier2_mean": tiers.tier2_mean,
        "tier3_mean": tiers.tier3_mean,
        "tier_ratio": tiers.ratio,
        "zero_fraction": zero_fraction(ordered),
        "gini": gini_coefficient(ordered),
        "effective_rank": effective_rank(ordered),
        "effective_rank_positive": effective_rank(ordered, normalise="positive"),
        "top_mass": top_mass(ordered, rounding="ceil"),
        "top_mass_positive": top_mass(ordered, entries="positive"),
        "log_mean": moments.mean,
        "log_variance": moments.variance,
        "log_skewness": moments.skewness,
        "log_excess_kurtosis": moments.excess_kurtosis,
        "positive_count": moments.positive_count,
        "quantile_ratio": quantile_ratio(ordered),
    }


def _variance_split(
    fim: NDArray[np.float64], group: NDArray[np.integer[Any]], plural: str
) -> dict[str, NDArray[Any]]:
    split = log_variance_between_groups(fim, group)
    return {
        f"log_variance_between_{plural}": split.between,
        f"log_variance_within_{plural}": split.within,
    }
