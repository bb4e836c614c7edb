"""The tier ratios as the published scripts computed them; they differ in sizes and in zeros.

A true ratio with T3 = 0 is infinite. The published scripts replaced T3 silently, each in its own
way; the rules below reproduce them, so that published values can be compared with like.

==============================  ======================  =====================  ====================
rule                            size of tier 1          size of tier 3         where T3 is zero
==============================  ======================  =====================  ====================
smallest_positive_floor         ⌊n/100⌋ (⌊n/10⌋ below   ⌊n/2⌋                  smallest positive F;
                                20 parameters)                                 ratio at most 1e10
smallest_tenth_floor            ⌊n/100⌋                 ⌊n/2⌋                  mean of the smallest
                                                                               tenth of positive F
percentile                      F ≥ 99th percentile     F < median             as above
percentile_constant_floor       F ≥ 99th percentile     F < median             1e-20 if the tier is
                                                                               empty
rounded_up_half                 ⌊n/100⌋                 n − ⌊n/2⌋              as smallest_tenth
rounded_up_half_input_precision as above; the means have the precision of F;   as smallest_tenth
                                at least 100 parameters
infinite_at_zero                ⌊n/100⌋                 ⌊n/2⌋                  infinite; NaN below
                                                                               100 parameters
==============================  ======================  =====================  ====================

Sizes are at least one. Used by, in this order: the six uniqueness baselines; the learning
baselines, lattices and depth sweeps; trained against untrained networks; the width scaling family;
the comparison of diagonal and spectrum; the large systems; the partition-free protocol.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.tiers.ratio import checked_diagonal, divide, tier_size

TINY_DENOMINATOR = 1e-20
NO_POSITIVE_DENOMINATOR = 1e-30
RATIO_CAP = 1e10
FEWEST_PARAMETERS = 100
FEWEST_PARAMETERS_FOR_PERCENT = 20


def published_ratio(fim: NDArray[Any], rule: str) -> NDArray[np.float64]:
    """Return T1 / T3 by the named published rule, float64, shape of `fim` less its last axis.

    Parameters
    ----------
    fim
        F, not negative, shape (..., parameter). Its dtype matters to one rule only.
    rule
        A key of `PUBLISHED_RULES`.

    Raises
    ------
    ValueError
        If the rule is unknown, if F is not a Fisher diagonal, or if the rule asks for more
        parameters.
    """
    if rule not in PUBLISHED_RULES:
        raise ValueError(f"published rule {rule!r}; allowed: {', '.join(PUBLISHED_RULES)}")
    checked_diagonal(fim)
    ratio = np.apply_along_axis(PUBLISHED_RULES[rule], -1, np.sort(fim, axis=-1))
    return np.asarray(ratio, dtype=np.float64)


def smallest_tenth_ratio(
    fim: NDArray[Any], top_percent: float, bottom_percent: float
) -> NDArray[np.float64]:
    """Return T1 / T3 by ``smallest_tenth_floor`` with tiers of other sizes, in percent."""

    def sizes(ordered: NDArray[Any]) -> tuple[int, int]:
        return tier_size(len(ordered), top_percent), tier_size(len(ordered), bottom_percent)

    ordered = np.sort(checked_diagonal(fim), axis=-1)
    return np.asarray(np.apply_along_axis(_Rule(sizes, _smallest_tenth), -1, ordered))


def published_top_mass(fim: NDArray[Any]) -> NDArray[np.float64]:
    """Return Σ (largest max(1, ⌊n/100⌋) of F) / (Σ F + 1e-20), as for the uniqueness baselines."""
    ordered = np.sort(checked_diagonal(fim), axis=-1)
    top = ordered[..., ordered.shape[-1] - max(1, ordered.shape[-1] // 100) :]
    return np.asarray(top.sum(axis=-1) / (ordered.sum(axis=-1) + TINY_DENOMINATOR))


Sizes = Callable[[NDArray[Any]], tuple[int, int]]
"""From F in ascending order to the sizes of tier 1 and tier 3."""

Substitute = Callable[[NDArray[Any]], float]
"""From F in ascending order to the number that replaces a T3 of zero."""


@dataclass(frozen=True)
class _Rule:
    sizes: Sizes
    substitute: Substitute
    zero_up_to: float = 0.0
    cap: float = np.inf
    input_precision: bool = False

    def __call__(self, ordered: NDArray[Any]) -> float:
        values = ordered if self.input_precision else ordered.astype(np.float64)
        k1, k3 = self.sizes(values)
        tier1_mean = values[len(values) - k1 :].mean()
        tier3_mean = values[:k3].mean() if k3 else 0.0
        if tier3_mean <= self.zero_up_to:
            tier3_mean = self.substitute(values)
        ratio = float(divide(tier1_mean, np.float64(tier3_mean)))
        return min(ratio, self.cap) if np.isfinite(ratio) else self.cap


def _percent_and_half(ordered: NDArray[Any]) -> tuple[int, int]:
    n = len(ordered)
    return max(1, n // 100), max(1, n // 2)


def _percent_or_tenth_and_half(ordered: NDArray[Any]) -> tuple[int, int]:
    n = len(ordered)
    top = n // 100 if n >= FEWEST_PARAMETERS_FOR_PERCENT else n // 10
    return max(1, top), max(1, n // 2)


def _percent_and_upper_half(ordered: NDArray[Any]) -> tuple[int, int]:
    n = len(ordered)
    return max(1, n // 100), n - n // 2


def _percentiles(ordered: NDArray[Any]) -> tuple[int, int]:
    median, percentile_99 = np.percentile(ordered, [50, 99])
    tier1 = len(ordered) - int(np.searchsorted(ordered, percentile_99, side="left"))
    return tier1, int(np.searchsorted(ordered, median, side="left"))


def _smallest_positive(ordered: NDArray[Any]) -> float:
    positive = ordered[ordered > 0]
    return float(positive[0]) if len(positive) else TINY_DENOMINATOR


def _smallest_tenth(ordered: NDArray[Any]) -> float:
    positive = ordered[ordered > 0]
    if not len(positive):
        return NO_POSITIVE_DENOMINATOR
    return float(positive[: max(1, len(positive) // 10)].mean())


def _tiny_if_tier3_is_empty(ordered: NDArray[Any]) -> float:
    return TINY_DENOMINATOR if _percentiles(ordered)[1] == 0 else 0.0


def _infinite_at_zero(ordered: NDArray[Any]) -> float:
    if len(ordered) < FEWEST_PARAMETERS:
        return np.nan
    return _Rule(_percent_and_half, lambda _: 0.0)(ordered)


def _large_systems_only(ordered: NDArray[Any]) -> float:
    if len(ordered) < FEWEST_PARAMETERS:
        raise ValueError(
            f"fim has {len(ordered)} parameters; this rule asks for at least {FEWEST_PARAMETERS}"
        )
    return _Rule(_percent_and_upper_half, _smallest_tenth, input_precision=True)(ordered)


PUBLISHED_RULES: dict[str, Callable[[NDArray[Any]], float]] = {
    "smallest_positive_floor": _Rule(
        _percent_or_tenth_and_half, _smallest_positive, zero_up_to=TINY_DENOMINATOR, cap=RATIO_CAP
    ),
    "smallest_tenth_floor": _Rule(_percent_and_half, _smallest_tenth),
    "percentile": _Rule(_percentiles, _smallest_tenth),
    "percentile_constant_floor": _Rule(_percentiles, _tiny_if_tier3_is_empty),
    "rounded_up_half": _Rule(_percent_and_upper_half, _smallest_tenth),
    "rounded_up_half_input_precision": _large_systems_only,
    "infinite_at_zero": _infinite_at_zero,
}
"""The published tier ratios by name; each takes F in ascending order, shape (parameter,)."""
