"""Random symmetric matrix, probed by the sums of its largest eigenvalues.

Parameters are the entries M_ij, i ≤ j, of M = (A + Aᵀ) / √(2N) with standard normal A. The
observables are the sums S_k of the k largest eigenvalues. With the projector P_k = V_k V_kᵀ on
their eigenvectors, first-order perturbation theory gives

    ∂S_k/∂M_ii = (P_k)_ii,    ∂S_k/∂M_ij = 2 (P_k)_ij  for i < j,

the 2 because M_ij and M_ji are one parameter. The published protocol leaves the 2 out.

There are no random probes: the mean runs over the ranks k, and which ranks are taken is a choice.
So are the coordinates: in √2 M_ij, in which symmetric matrices have their usual length, the 2 is
√2.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers import generators
from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "size": {
        "type": "integer",
        "minimum": 2,
        "default": 77,
        "description": "Rows N of the matrix; it has N (N + 1) / 2 parameters.",
    },
    "ranks": {
        "type": "array",
        "items": {"type": "integer", "minimum": 1},
        "minItems": 1,
        "uniqueItems": True,
        "default": [1, 2, 4, 8, 16],
        "stage": "fisher",
        "description": "Numbers k of largest eigenvalues whose sums are observed. The published "
        "choice is the powers of two up to a quarter of N.",
    },
    "protocol": {
        "enum": ["published", "corrected"],
        "default": "published",
        "stage": "fisher",
        "description": "`published`: P_ij for every entry, mean in single precision; "
        "`corrected`: 2 P_ij off the diagonal, double precision.",
    },
    "coordinates": {
        "enum": ["entries", "orthonormal"],
        "default": "entries",
        "stage": "fisher",
        "description": "Of the `corrected` protocol. `entries`: M_ij; `orthonormal`: √2 M_ij off "
        "the diagonal, so that the sum of squares of all is that of the whole matrix.",
    },
}

OFF_DIAGONAL = {"entries": 2.0, "orthonormal": 2**0.5}


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Draw one matrix per seed and keep its upper triangle, row by row."""
    size = settings["size"]
    matrices = [_draw_matrix(stream, size) for stream in generators.seed_numpy(seeds)]
    theta = np.stack([matrix[np.triu_indices(size)] for matrix in matrices])
    return State(theta=theta, tensors=(Tensor("upper_triangle", -1, "entry", theta.shape[1:]),))


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared derivatives of the eigenvalue sums over their ranks.

    Raises
    ------
    ValueError
        If a rank exceeds the size of the matrix.
    """
    size, ranks = settings["size"], settings["ranks"]
    if max(ranks) > size:
        raise ValueError(f"ranks has {max(ranks)}; a matrix of size {size} allows 1 to {size}")
    published = settings["protocol"] == "published"
    fim = np.zeros(state.theta.shape, np.float32 if published else np.float64)
    for row, entries in zip(fim, state.theta, strict=True):
        projectors = spectral_projectors(_symmetric(entries, size), ranks)
        for projector in projectors:
            gradient = projector
            if not published:
                gradient = entry_gradient(projector, OFF_DIAGONAL[settings["coordinates"]])
            row += gradient[np.triu_indices(size)] ** 2
        row /= len(ranks)
    return FisherDiagonal(
        fim=fim.astype(np.float64),
        tensors=state.tensors,
        probes=len(ranks),
        estimator="perturbation theory",
        definition="response",
    )


def spectral_projectors(matrix: NDArray[np.float64], ranks: list[int]) -> list[NDArray[np.float64]]:
    """Return the projector on the span of the k leading eigenvectors, for each rank k.

    Parameters
    ----------
    matrix
        Symmetric, shape (N, N).
    ranks
        Each between 1 and N.

    Returns
    -------
    list of NDArray
        P_k = V_k V_kᵀ, shape (N, N), with trace k.
    """
    _, ascending = np.linalg.eigh(matrix)
    leading = [ascending[:, -rank:] for rank in ranks]
    return [vectors @ vectors.T for vectors in leading]


def entry_gradient(
    projector: NDArray[np.float64], off_diagonal: float = 2.0
) -> NDArray[np.float64]:
    """Return ∂S_k/∂M_ij for independent entries i ≤ j: twice the projector off the diagonal.

    Another factor than 2 is for other coordinates, √2 for √2 M_ij.
    """
    gradient = off_diagonal * projector
    np.fill_diagonal(gradient, np.diag(projector))
    return gradient


def _draw_matrix(stream: np.random.Generator, size: int) -> NDArray[np.float64]:
    # A is rounded to single precision, as published; the scaled sum is kept in double precision.
    a = stream.standard_normal((size, size)).astype(np.float32)
    return (a + a.T).astype(np.float64) / np.sqrt(2 * size)


def _symmetric(upper: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = upper
    return matrix + np.triu(matrix, 1).T
