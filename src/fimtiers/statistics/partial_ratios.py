"""Tier ratios at the first quarter and half of the probes, and what infinitely many would give."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fimtiers.records import FisherDiagonal
from fimtiers.statistics.convergence import extrapolate_tier_ratio
from fimtiers.tiers.histogram import histogram_tier_ratio

DIVISORS = (4, 2)
TERMS = 2
"""Of the extrapolation: three counts within a factor of four do not determine a third."""


def partial_ratios(diagonal: FisherDiagonal) -> dict[str, NDArray[Any]]:
    """Return ``probes`` and, for d = 4 and 2, what the first n/d of the n probes give.

    ``tier_ratio_of_probes_over_<d>`` and ``zero_fraction_of_probes_over_<d>``, shape (seed,); from
    histograms (see `fimtiers.partial_probes`), left out where a diagonal has none.
    """
    columns: dict[str, NDArray[Any]] = {"probes": np.full(len(diagonal.fim), diagonal.probes)}
    if "partial_bin" not in diagonal.diagnostics:
        return columns
    counts, lower, count, total = (
        diagonal.diagnostics[f"partial_{name}"][1] for name in ("probes", "bin", "count", "sum")
    )
    ratio = histogram_tier_ratio(lower, count, total)
    zero = count[..., lower == 0].sum(axis=-1) / count.sum(axis=-1)
    for divisor in DIVISORS:
        for position in np.flatnonzero(counts == diagonal.probes // divisor):
            columns[f"tier_ratio_of_probes_over_{divisor}"] = ratio[position]
            columns[f"zero_fraction_of_probes_over_{divisor}"] = zero[position]
    return columns


def probe_limits(runs: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Extrapolate the tier ratio of every point of every sweep to infinitely many probes.

    (ln T)² = (ln T_∞)² + b / n through n/4, n/2 and n probes, seed by seed, see
    `extrapolate_tier_ratio`.

    Parameters
    ----------
    runs
        One row per sweep, point and seed: ``sweep``, ``label``, ``axis``, ``position``,
        ``probes``, ``tier_ratio`` and the columns of `partial_ratios`.
    confidence
        Level of the interval over seeds.

    Returns
    -------
    DataFrame
        One row per sweep and point that has partial ratios: the geometric means over seeds of the
        three ratios; ``limit`` with ``low`` and ``high``; ``log_change``, ln limit − ln ratio;
        and whether that exceeds the error of the seeds, ``beyond_seed_error``: the scatter of
        ln T over seeds divided by √seeds. Infinite ratios make the limit infinite.
    """
    names = [f"tier_ratio_of_probes_over_{divisor}" for divisor in DIVISORS]
    known = runs.dropna(subset=[name for name in names if name in runs.columns])
    rows = []
    keys = ["sweep", "label", "axis", "position"]
    for where, group in known.groupby(keys, sort=False):
        probes = int(group["probes"].iloc[0])
        ratios = group[[*names, "tier_ratio"]].to_numpy(float).T
        counts = np.array([probes // 4, probes // 2, probes])
        limit = extrapolate_tier_ratio(counts, ratios, confidence, TERMS)
        logs = np.log(ratios)
        seeds = ratios.shape[1]
        with np.errstate(invalid="ignore"):
            error = logs[-1].std(ddof=1) / np.sqrt(seeds) if seeds > 1 else np.nan
            change = np.log(limit.ratio) - logs[-1].mean()
        rows.append(
            {
                **dict(zip(keys, where, strict=True)),
                "probes": probes,
                "seeds": seeds,
                "quarter": np.exp(logs[0].mean()),
                "half": np.exp(logs[1].mean()),
                "all": np.exp(logs[2].mean()),
                **{name: getattr(limit, name) for name in ("low", "high")},
                "limit": limit.ratio,
                "log_change": change,
                "seed_error": error,
                "beyond_seed_error": bool(abs(change) > error),
            }
        )
    return pd.DataFrame(rows)
