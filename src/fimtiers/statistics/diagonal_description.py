"""What a sweep wants to know of each Fisher diagonal beyond its tiers, and its profile by layer."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fimtiers.records import Tensor
from fimtiers.statistics.normality import log_normality
from fimtiers.theory.prediction import predict_log_ratio
from fimtiers.tiers import cut_tiers, log_variance_between_groups, published_ratio, top_mass

PUBLISHED_RULE = "smallest_tenth_floor"
"""The published sweeps replace a T3 of zero by the mean of the smallest tenth of positive F."""
PREDICTED = ("log_range", "sqrt_variance", "log_normal", "drift", "layer_mixture")


def describe_diagonal(fim: NDArray[Any], tensors: Sequence[Tensor]) -> dict[str, NDArray[Any]]:
    """Return further statistics of F, each of shape (seed,).

    ``tier_ratio_positive`` is T1 / T3 of the positive entries alone, finite at all depths.
    ``tier3_mean_published`` and ``tier3_substituted`` say what the published rule divided by.
    ``predicted_*`` is ln (T1/T3) by each law of `fimtiers.theory.prediction`.
    ``kolmogorov_distance`` is that of ln F from a normal law, and ``…_within_layers`` that of ln F
    with mean and scale of every layer removed. ``log_variance_between_layers_of_<role>`` and
    ``…_within_…`` split Var[ln F] of the parameters of one role.

    Parameters
    ----------
    fim
        F, shape (seed, parameter).
    tensors
        The tensors that make up the parameter axis.
    """
    layer, _ = _indices(tensors)
    tiers = cut_tiers(fim)
    ratio = published_ratio(fim, PUBLISHED_RULE)
    with np.errstate(divide="ignore", invalid="ignore"):
        tier3_mean = np.where(tiers.tier3_mean > 0, tiers.tier3_mean, tiers.tier1_mean / ratio)
    predictions = predict_log_ratio(fim, layer)
    pooled, reduced = log_normality(fim), log_normality(fim, layer)
    return {
        "parameters": np.full(len(fim), fim.shape[-1]),
        "tier_ratio_positive": np.array([cut_tiers(row[row > 0]).ratio for row in fim]),
        "tier3_mean_published": tier3_mean,
        "tier3_substituted": (tiers.tier3_mean == 0).astype(int),
        "top_mass_rounded_down": top_mass(fim, rounding="floor"),
        **{f"predicted_{law}": value for law, value in asdict(predictions).items()
           if law in PREDICTED},
        "kolmogorov_distance": pooled.kolmogorov_distance,
        "kolmogorov_distance_within_layers": reduced.kolmogorov_distance,
        **_split_by_role(fim, tensors),
    }  # fmt: skip


def layer_profile(fim: NDArray[Any], tensors: Sequence[Tensor]) -> pd.DataFrame:
    """Describe ln F of every tensor: its level, its spread and its zeros, in the mean over seeds.

    Returns
    -------
    DataFrame
        One row per tensor: ``tensor``, ``layer``, ``role``, ``log_mean`` (mean of ln F over
        positive entries) with its standard error over seeds, ``log_deviation``, ``log_of_mean``
        (ln of the mean of F) and ``zero_fraction``. NaN where no entry is positive.
    """
    rows = []
    edges = np.cumsum([tensor.size for tensor in tensors])[:-1]
    for tensor, part in zip(tensors, np.split(fim, edges, axis=1), strict=True):
        with np.errstate(divide="ignore"):
            logs = np.where(part > 0, np.log(part), np.nan)
            log_of_mean = np.log(part.mean(axis=1))
        means = _mean_of_positive(logs)
        deviations = np.sqrt(_mean_of_positive((logs - means[:, None]) ** 2))
        rows.append(
            {
                "tensor": tensor.name,
                "layer": tensor.layer,
                "role": tensor.role,
                "log_mean": means.mean(),
                "log_mean_error": means.std(ddof=1) / len(means) ** 0.5
                if len(means) > 1
                else np.nan,
                "log_deviation": deviations.mean(),
                "log_of_mean": log_of_mean.mean(),
                "zero_fraction": np.mean(part == 0),
            }
        )
    return pd.DataFrame(rows)


def _indices(tensors: Sequence[Tensor]) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    sizes = [tensor.size for tensor in tensors]
    layer = np.repeat([tensor.layer for tensor in tensors], sizes)
    return layer, np.repeat([tensor.role for tensor in tensors], sizes)


def _split_by_role(fim: NDArray[Any], tensors: Sequence[Tensor]) -> dict[str, NDArray[Any]]:
    layer, role = _indices(tensors)
    columns = {}
    for name in dict.fromkeys(tensor.role for tensor in tensors):
        split = log_variance_between_groups(fim[:, role == name], layer[role == name])
        columns[f"log_variance_between_layers_of_{name}"] = split.between
        columns[f"log_variance_within_layers_of_{name}"] = split.within
    return columns


def _mean_of_positive(values: NDArray[Any]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis=1) / known.sum(axis=1))
