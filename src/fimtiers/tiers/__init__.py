"""Statistics of one Fisher diagonal: tiers, concentration, moments of its logarithm.

Pure functions along the last axis of arrays; no files, no comparison between systems (see
`fimtiers.statistics`), no streaming (see `fimtiers.streaming_tiers`).
"""

from fimtiers.tiers.concentration import effective_rank, gini_coefficient, top_mass
from fimtiers.tiers.logarithm import (
    LogMoments,
    LogVariance,
    log_moments,
    log_variance_between_groups,
    quantile_ratio,
)
from fimtiers.tiers.published import (
    PUBLISHED_RULES,
    published_ratio,
    published_top_mass,
    smallest_tenth_ratio,
)
from fimtiers.tiers.ratio import Tiers, cut_tiers, tier_ratio, tier_size, zero_fraction
from fimtiers.tiers.summary import DESCRIPTIONS, describe, summarise

__all__ = [
    "DESCRIPTIONS",
    "PUBLISHED_RULES",
    "LogMoments",
    "LogVariance",
    "Tiers",
    "cut_tiers",
    "describe",
    "effective_rank",
    "gini_coefficient",
    "log_moments",
    "log_variance_between_groups",
    "published_ratio",
    "published_top_mass",
    "quantile_ratio",
    "smallest_tenth_ratio",
    "summarise",
    "tier_ratio",
    "tier_size",
    "top_mass",
    "zero_fraction",
]
