"""The level of F in each weight matrix of every network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fimtiers.records import Tensor

COLUMNS = ["seed", "layer", "fan_in", "fan_out", "log_mean", "log_of_mean"]


def layer_levels(
    fim: NDArray[Any], tensors: Sequence[Tensor], seeds: Sequence[int]
) -> pd.DataFrame:
    """Return the level of ln F of each weight matrix, seed by seed.

    Parameters
    ----------
    fim
        F, shape (seed, parameter).
    tensors
        The tensors that make up the parameter axis. Those with the role ``weight`` and two axes,
        output and input, of a system with layers are used.
    seeds
        Seed of each row.

    Returns
    -------
    DataFrame
        One row per seed and matrix: ``seed``, ``layer``, ``fan_in``, ``fan_out``, ``log_mean``
        (mean of ln F over positive entries) and ``log_of_mean`` (ln of the mean of F), −∞ and NaN
        where no entry is positive. No row for a system without layers.
    """
    edges = np.cumsum([tensor.size for tensor in tensors])[:-1]
    tables = [pd.DataFrame(columns=COLUMNS)]
    for tensor, part in zip(tensors, np.split(fim, edges, axis=1), strict=True):
        if tensor.role != "weight" or len(tensor.shape) != 2 or tensor.layer < 0:
            continue
        positive = part > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(positive, np.log(part), 0)
            levels = {
                "log_mean": logs.sum(axis=1) / positive.sum(axis=1),
                "log_of_mean": np.log(part.mean(axis=1)),
            }
        fan_out, fan_in = tensor.shape
        where = {"layer": tensor.layer, "fan_in": fan_in, "fan_out": fan_out}
        tables.append(pd.DataFrame({"seed": list(seeds), **where, **levels}))
    return pd.concat(tables[1:] or tables, ignore_index=True)[COLUMNS]
