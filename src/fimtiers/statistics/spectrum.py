"""The Fisher diagonal beside the spectrum of the full Fisher matrix.

With G the gradients of n probes, shape (n, P), the matrix is M = Gᵀ G / n, the diagonal F = diag M,
and the nonzero eigenvalues of M are those of the Gram matrix G Gᵀ / n: at most min(n, P). By the
theorem of Schur and Horn the eigenvalues majorise F: the sum of the k largest eigenvalues is at
least that of the k largest entries of F, for every k. The diagonal is never more concentrated.

The published comparison takes tiers of all P eigenvalues. With 400 probes and 1368 parameters the
lower half of them is exactly zero, and what eigensolvers return for it is rounding error: tier
ratios of 10²⁷ to 10³⁷ that change from run to run. Here zero is zero, and the spectrum and as many
entries of the diagonal are compared within the numerical rank.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.tiers import cut_tiers
from fimtiers.tiers.ratio import checked_diagonal

Array = NDArray[np.float64]

TRACE_TOLERANCE = 1e-4
"""Relative difference of the traces that rounding in single precision may leave."""


@dataclass(frozen=True)
class SpectrumComparison:
    """Tiers of the diagonal and of the spectrum, each of shape (seed,).

    Attributes
    ----------
    rank
        r, number of eigenvalues above rounding, int64.
    diagonal_tier1_mean, diagonal_tier2_mean, diagonal_tier_ratio
        Tiers of all P entries of F.
    spectrum_tier1_mean, spectrum_tier2_mean, spectrum_tier_ratio
        Tiers of all P eigenvalues, P − r of them zero: the ratio is infinite if r ≤ P/2.
    diagonal_ratio_within_rank, spectrum_ratio_within_rank
        Tier ratios of the r largest entries of F and of the r eigenvalues.
    diagonal_participation, spectrum_participation
        (Σ x)² / Σ x², the number of entries or eigenvalues that carry the trace.
    """

    rank: NDArray[np.int64]
    diagonal_tier1_mean: Array
    diagonal_tier2_mean: Array
    diagonal_tier_ratio: Array
    spectrum_tier1_mean: Array
    spectrum_tier2_mean: Array
    spectrum_tier_ratio: Array
    diagonal_ratio_within_rank: Array
    spectrum_ratio_within_rank: Array
    diagonal_participation: Array
    spectrum_participation: Array


def compare_with_spectrum(
    fim: NDArray[Any],
    gram_eigenvalues: NDArray[Any],
    precision: float = float(np.finfo(np.float64).eps),
) -> SpectrumComparison:
    """Compare the tiers of F with those of the eigenvalues of the matrix it is the diagonal of.

    Parameters
    ----------
    fim
        F, shape (seed, parameter).
    gram_eigenvalues
        Eigenvalues of G Gᵀ / n for the probes of `fim`, in any order, shape (seed, eigenvalue).
        Those up to `precision` times their number times the largest are taken for rounding error.
    precision
        Relative precision of the products in G Gᵀ.

    Raises
    ------
    ValueError
        If there are more eigenvalues than parameters, or if the eigenvalues do not sum to Σ F, as
        they must if both come from the same probes.
    """
    fim = checked_diagonal(fim)
    eigenvalues = np.asarray(gram_eigenvalues, dtype=np.float64)
    _check_same_matrix(fim, eigenvalues)
    floor = precision * eigenvalues.shape[-1] * eigenvalues.max(axis=-1, keepdims=True)
    spectrum = np.where(eigenvalues > floor, eigenvalues, 0)
    missing = fim.shape[-1] - spectrum.shape[-1]
    diagonal, padded = cut_tiers(fim), cut_tiers(np.pad(spectrum, [(0, 0), (0, missing)]))
    rank = np.count_nonzero(spectrum, axis=-1)
    return SpectrumComparison(
        rank=rank,
        diagonal_tier1_mean=diagonal.tier1_mean,
        diagonal_tier2_mean=diagonal.tier2_mean,
        diagonal_tier_ratio=diagonal.ratio,
        spectrum_tier1_mean=padded.tier1_mean,
        spectrum_tier2_mean=padded.tier2_mean,
        spectrum_tier_ratio=padded.ratio,
        diagonal_ratio_within_rank=_ratio_of_largest(fim, rank),
        spectrum_ratio_within_rank=_ratio_of_largest(spectrum, rank),
        diagonal_participation=_participation(fim),
        spectrum_participation=_participation(spectrum),
    )


def _check_same_matrix(fim: Array, eigenvalues: Array) -> None:
    if eigenvalues.shape[-1] > fim.shape[-1]:
        raise ValueError(f"{eigenvalues.shape[-1]} eigenvalues for {fim.shape[-1]} parameters")
    traces = fim.sum(axis=-1), eigenvalues.sum(axis=-1)
    if not np.allclose(*traces, rtol=TRACE_TOLERANCE, atol=0):
        raise ValueError(
            f"F sums to {traces[0]} and the eigenvalues to {traces[1]}; expected the same, from "
            "the same probes"
        )


def _ratio_of_largest(values: Array, count: NDArray[np.integer[Any]]) -> Array:
    """Return the tier ratio of the `count` largest values of each row."""
    ordered = np.sort(values, axis=-1)
    rows = zip(ordered, count, strict=True)
    return np.array([cut_tiers(row[len(row) - kept :]).ratio for row, kept in rows])


def _participation(values: Array) -> Array:
    return np.asarray(values.sum(axis=-1) ** 2 / (values**2).sum(axis=-1))
