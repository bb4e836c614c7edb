"""Three single claims as long tables: the pooling bound, the full spectrum, eight observables.

Each function gives rows ``point``, ``seed``, ``quantity``, ``measured``, by published names.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fimtiers.records import FisherDiagonal, State
from fimtiers.statistics.observables import eight_observables
from fimtiers.statistics.spectrum import compare_with_spectrum
from fimtiers.theory.pooling import PUBLISHED_FLOOR, pooling_bound
from fimtiers.tiers import cut_tiers

OBSERVABLE_NAMES = {
    "tier_ratio": "tier_ratio_published",
    "top_mass": "top_mass_positive",
    "gram_top_to_median": "gram_top_over_median",
    "gram_top_to_lower_half": "gram_top_over_bottom",
}
"""Names in the published table that differ from those of the functions."""


def pooling_rows(diagonals: Mapping[str, FisherDiagonal], seeds: list[int]) -> pd.DataFrame:
    """Evaluate the pooling bound as published, and with variances of positive entries alone."""
    tables = []
    for point, diagonal in diagonals.items():
        sizes = [tensor.size for tensor in diagonal.tensors]
        index = np.repeat(np.arange(len(sizes)), sizes)
        for prefix, floor in (("", PUBLISHED_FLOOR), ("positive_", None)):
            bound = pooling_bound(diagonal.fim, index, floor)
            columns = {
                "mean_tensor_log_variance": bound.mean_variance,
                "spread_of_tensor_log_variance": bound.spread,
                "spread_over_mean": bound.spread / bound.mean_variance,
                "bound": bound.bound,
                "log_tier_ratio": bound.log_ratio,
                "single_gaussian_prediction": bound.prediction,
                "deviation": bound.deviation,
                "bound_holds": bound.holds.astype(float),
            }
            named = {f"{prefix}{name}": value for name, value in columns.items()}
            tables.append(_long(point, seeds, named))
    return pd.concat(tables, ignore_index=True)


def spectrum_rows(diagonals: Mapping[str, FisherDiagonal], seeds: list[int]) -> pd.DataFrame:
    """Compare tiers of the diagonal with those of the spectrum, in all and within the rank."""
    tables = []
    for point, diagonal in diagonals.items():
        eigenvalues = diagonal.diagnostics["gram_eigenvalue"][1]
        comparison = compare_with_spectrum(diagonal.fim, eigenvalues)
        columns = {name: getattr(comparison, name) for name in comparison.__dataclass_fields__}
        tier1_to_tier2 = {
            f"{kind}_tier1_over_tier2": columns[f"{kind}_tier1_mean"]
            / columns[f"{kind}_tier2_mean"]
            for kind in ("diagonal", "spectrum")
        }
        tier3 = {"diagonal_tier3_mean": cut_tiers(diagonal.fim).tier3_mean}
        tables.append(_long(point, seeds, {**columns, **tier1_to_tier2, **tier3}))
    return pd.concat(tables, ignore_index=True)


def observable_rows(
    states: Mapping[str, State],
    diagonals: Mapping[str, FisherDiagonal],
    names: Mapping[str, str],
    seeds: list[int],
) -> pd.DataFrame:
    """Compute eight observables of every network.

    Parameters
    ----------
    states, diagonals
        By point.
    names
        From a point to its name in the published table.
    seeds
        Of all points.
    """
    tables = []
    for point, diagonal in diagonals.items():
        extra = diagonal.diagnostics
        values = eight_observables(
            diagonal.fim,
            states[point].theta,
            diagonal.tensors,
            extra["gram_eigenvalue"][1],
            extra["squared_gradient_norm"][1],
            extra["jacobian_singular_value"][1],
        )
        named = {OBSERVABLE_NAMES.get(name, name): value for name, value in values.items()}
        tables.append(_long(names.get(point, point), seeds, named))
    return pd.concat(tables, ignore_index=True)


def _long(point: str, seeds: list[int], columns: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    table = pd.DataFrame({name: np.asarray(value, float) for name, value in columns.items()})
    return table.assign(point=point, seed=seeds).melt(
        ["point", "seed"], var_name="quantity", value_name="measured"
    )
