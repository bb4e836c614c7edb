"""Tier ratios at the first quarter and half of the probes, and what infinitely many would give."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fimtiers.records import FisherDiagonal
from fimtiers.statistics.convergence import extrapolate_tier_ratio
from fimtiers.tiers.histogram import histogram_tier_ratio

DIVISORS = (4, 2)
RATIOS = ("tier_ratio", "tier_ratio_positive")
TERMS = 2
"""Of the extrapolation: three counts within a factor of four do not determine a third."""


def partial_ratios(diagonal: FisherDiagonal) -> dict[str, NDArray[Any]]:
    """Return ``probes`` and, for d = 4 and 2, what the first n/d of the n probes give.

    ``<statistic>_of_probes_over_<d>``, shape (seed,), for ``tier_ratio``, ``tier_ratio_positive``
    and ``zero_fraction``; from histograms (see `fimtiers.partial_probes`), left out where a
    diagonal has none.
    """
    columns: dict[str, NDArray[Any]] = {"probes": np.full(len(diagonal.fim), diagonal.probes)}
    if "partial_bin" not in diagonal.diagnostics:
        return columns
    counts, lower, count, total = (
        diagonal.diagnostics[f"partial_{name}"][1] for name in ("probes", "bin", "count", "sum")
    )
    positive = lower > 0
    statistics = {
        "tier_ratio": histogram_tier_ratio(lower, count, total),
        "tier_ratio_positive": histogram_tier_ratio(
            lower[positive], count[..., positive], total[..., positive]
        ),
        "zero_fraction": count[..., ~positive].sum(axis=-1) / count.sum(axis=-1),
    }
    for divisor in DIVISORS:
        for position in np.flatnonzero(counts == diagonal.probes // divisor):
            for name, value in statistics.items():
                columns[f"{name}_of_probes_over_{divisor}"] = value[position]
    return columns


def probe_limits(runs: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Extrapolate tier ratios of every point of every sweep to infinitely many probes.

    (ln T)² = (ln T_∞)² + b / n through n/4, n/2 and n probes, seed by seed, see
    `extrapolate_tier_ratio`.

    Parameters
    ----------
    runs
        One row per sweep, point and seed: ``sweep``, ``label``, ``axis``, ``position``,
        ``probes``, the ratios and the columns of `partial_ratios`.
    confidence
        Level of the interval over seeds.

    Returns
    -------
    DataFrame
        One row per sweep, point and ``ratio`` (of all entries, or of the positive ones, which is
        finite at all depths): ``quarter``, ``half`` and ``all``, the geometric means over seeds at
        that share of the probes; ``limit`` with ``low`` and ``high``; ``log_change``, ln limit −
        ln all; ``seed_error``, the scatter of ln T over seeds divided by √seeds; and whether the
        change exceeds it. Infinite ratios make the limit infinite.
    """
    rows = []
    keys = ["sweep", "label", "axis", "position"]
    for ratio in RATIOS:
        names = [f"{ratio}_of_probes_over_{divisor}" for divisor in DIVISORS]
        if not set(names) <= set(runs.columns):
            continue
        for where, group in runs.dropna(subset=names).groupby(keys, sort=False):
            ratios = group[[*names, ratio]].to_numpy(float).T
            about = {**dict(zip(keys, where, strict=True)), "ratio": ratio}
            rows.append({**about, **_limit(int(group["probes"].iloc[0]), ratios, confidence)})
    return pd.DataFrame(rows)


def _limit(probes: int, ratios: NDArray[np.float64], confidence: float) -> dict[str, Any]:
    """Extrapolate ratios of shape (3, seed) at n/4, n/2 and n probes."""
    counts = np.array([probes // divisor for divisor in (*DIVISORS, 1)])
    limit = extrapolate_tier_ratio(counts, ratios, confidence, TERMS)
    logs, seeds = np.log(ratios), ratios.shape[1]
    error = change = np.nan
    if np.isfinite(logs).all():
        change = np.log(limit.ratio) - logs[-1].mean()
        error = logs[-1].std(ddof=1) / np.sqrt(seeds) if seeds > 1 else np.nan
    quarter, half, whole = np.exp(logs.mean(axis=1))
    return {
        "probes": probes,
        "seeds": seeds,
        "quarter": quarter,
        "half": half,
        "all": whole,
        "limit": limit.ratio,
        "low": limit.low,
        "high": limit.high,
        "log_change": change,
        "seed_error": error,
        "beyond_seed_error": bool(abs(change) > error),
    }
