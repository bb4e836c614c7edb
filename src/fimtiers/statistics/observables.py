"""Eight observables of one network that might tell deep computation from shallow, side by side.

Three come from the Fisher diagonal; the others from the gradients of single probes, the weights and
the input-output Jacobian. All are functions of arrays along their last axes, one value per seed.

The published names say more than two of the quantities are. The "Hessian outliers" are a second
summary of the spectrum of the gradients' Gram matrix: no Hessian is computed. The "gradient
log-variance" varies the input at fixed weights, whereas theorems on random networks vary the
weights at a fixed input.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.records import Tensor
from fimtiers.tiers import gini_coefficient, published_ratio, top_mass

DESCRIPTIONS: dict[str, str] = {
    "tier_ratio": "T1 / T3 of F; the published substitute where T3 is zero",
    "top_mass": "share of the sum of F in the largest 1 % of positive F, rounded down",
    "gini": "Gini coefficient of F, zeros included",
    "gram_top_to_median": "largest / median eigenvalue of the Gram matrix of gradients",
    "gram_top_to_lower_half": "top 1 % / lower half of the eigenvalues of that Gram matrix; "
    "published as Hessian outliers",
    "weight_tail_exponent": "Hill exponent of the singular values of the weights, mean over layers",
    "gradient_log_variance": "variance over probes of ln |gradient|^2",
    "jacobian_condition": "largest / smallest singular value of dy/dx, mean over inputs",
}

PUBLISHED_RATIO_RULE = "smallest_tenth_floor"
EIGENVALUE_FLOOR = 1e-20
SINGULAR_VALUE_FLOOR = 1e-12
FEWEST_EIGENVALUES = 4
FEWEST_SINGULAR_VALUES = 10
SMALLEST_TAIL = 5
TOP_FRACTION, LOWER_FRACTION = 0.01, 0.5


def eight_observables(
    fim: NDArray[Any],
    theta: NDArray[Any],
    tensors: Sequence[Tensor],
    gram_eigenvalues: NDArray[Any],
    squared_gradient_norms: NDArray[Any],
    jacobian_singular_values: NDArray[Any],
) -> dict[str, NDArray[np.float64]]:
    """Return every observable, by the names in `DESCRIPTIONS`, each of shape (seed,).

    Parameters
    ----------
    fim, theta
        F and θ, shape (seed, parameter).
    tensors
        The tensors that make up the parameter axis.
    gram_eigenvalues
        Eigenvalues of the Gram matrix of gradients, shape (seed, eigenvalue).
    squared_gradient_norms
        |∂ℓ_n/∂θ|² of each probe, shape (seed, probe).
    jacobian_singular_values
        Shape (seed, input, singular value); without entries if the Jacobian is not square.
    """
    return {
        "tier_ratio": published_ratio(fim, PUBLISHED_RATIO_RULE),
        "top_mass": top_mass(fim, entries="positive"),
        "gini": gini_coefficient(fim),
        "gram_top_to_median": _per_seed(top_to_median, gram_eigenvalues),
        "gram_top_to_lower_half": _per_seed(top_to_lower_half, gram_eigenvalues),
        "weight_tail_exponent": _per_seed(
            lambda row: weight_tail_exponent(_matrices(row, tensors)), theta
        ),
        "gradient_log_variance": np.log(squared_gradient_norms).var(axis=-1),
        "jacobian_condition": _per_seed(jacobian_condition, jacobian_singular_values),
    }


def top_to_median(eigenvalues: NDArray[Any]) -> float:
    """Return the largest eigenvalue over the median; NaN if fewer than four exceed the floor."""
    kept = _above_floor(eigenvalues)
    return float(kept[-1] / np.median(kept)) if len(kept) else np.nan


def top_to_lower_half(eigenvalues: NDArray[Any]) -> float:
    """Return the mean of the top 1 % of eigenvalues over that of the lower half; NaN as above."""
    kept = _above_floor(eigenvalues)
    if not len(kept):
        return np.nan
    top = kept[-max(1, int(TOP_FRACTION * len(kept))) :]
    lower = kept[: max(1, int(LOWER_FRACTION * len(kept)))]
    return float(top.mean() / lower.mean())


def _above_floor(eigenvalues: NDArray[Any]) -> NDArray[np.float64]:
    """Return the eigenvalues above the floor in ascending order, or none if they are too few."""
    values = np.sort(np.asarray(eigenvalues, dtype=np.float64))
    kept = values[values > EIGENVALUE_FLOOR]
    return kept if len(kept) >= FEWEST_EIGENVALUES else kept[:0]


def weight_tail_exponent(weights: Iterable[NDArray[Any]]) -> float:
    """Return the mean over layers of the Hill exponent α = 1 + k / Σ ln(s / s_min).

    The sum runs over the k largest singular values of a weight, half of them but at least five;
    s_min is the smallest of these (Clauset et al. 2009, SIAM Rev. 51, 661, equation 3.1).

    Parameters
    ----------
    weights
        Matrices; those with fewer than ten singular values are left out. NaN if none is left.
    """
    exponents = []
    for weight in weights:
        if min(weight.shape) < FEWEST_SINGULAR_VALUES:
            continue
        values = np.linalg.svd(weight.astype(np.float64), compute_uv=False)
        tail = values[: max(SMALLEST_TAIL, len(values) // 2)]
        exponents.append(1 + len(tail) / np.log(tail / tail[-1]).sum())
    return float(np.mean(exponents)) if exponents else np.nan


def jacobian_condition(singular_values: NDArray[Any]) -> float:
    """Return the mean over inputs of the largest over the smallest singular value.

    Parameters
    ----------
    singular_values
        Shape (input, singular value); those below 1e-12 are left out. NaN if there are none.
    """
    kept = [row[row > SINGULAR_VALUE_FLOOR] for row in singular_values]
    conditions = [row.max() / row.min() for row in kept if len(row)]
    return float(np.mean(conditions)) if conditions else np.nan


def separation(deep: NDArray[Any], rest: NDArray[Any]) -> int:
    """Say whether one threshold separates two groups of values.

    Parameters
    ----------
    deep, rest
        Values of one observable; those that are not finite are dropped, as in the published
        comparison.

    Returns
    -------
    int
        1 if all of `deep` exceed all of `rest`, −1 if all are below, 0 if the groups overlap or
        one of them is empty.
    """
    deep, rest = (np.asarray(values)[np.isfinite(values)] for values in (deep, rest))
    if not len(deep) or not len(rest):
        return 0
    return int(deep.min() > rest.max()) - int(deep.max() < rest.min())


def separations(
    deep: Mapping[str, NDArray[Any]], rest: Mapping[str, NDArray[Any]]
) -> dict[str, int]:
    """Return `separation` for every observable, by name."""
    return {name: separation(deep[name], rest[name]) for name in DESCRIPTIONS}


def _matrices(theta: NDArray[Any], tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    ends = np.cumsum([tensor.size for tensor in tensors])
    parts = np.split(theta, ends[:-1])
    return [
        part.reshape(tensor.shape)
        for part, tensor in zip(parts, tensors, strict=True)
        if len(tensor.shape) == 2
    ]


def _per_seed(
    statistic: Callable[[NDArray[Any]], float], values: NDArray[Any]
) -> NDArray[np.float64]:
    return np.array([statistic(row) for row in values])
