"""Open Ising chain in mean-field theory, probed by its local response at fluctuating temperature.

Parameters are the fields h_i (in units where β = 1 is the mean inverse temperature), one per site.
The couplings J_i between neighbours and the fields are drawn once per seed. The observable is the
magnetisation m, a solution of

    m_i = tanh(β (h_i + J_{i−1} m_{i−1} + J_i m_{i+1})),

and the sensitivity is its response to the field on the same site. The published protocol takes
the response with the neighbours held fixed, χ_i = β (1 − m_i²); the corrected one the diagonal
of the full response of the coupled equations, χ = [diag(1 / (β (1 − m²))) − J]⁻¹.

The published protocol also updates all sites at once, at most 30 times. Where neighbouring
couplings are strong this can end in an oscillation between two states. The corrected one updates
the two sublattices in turn, which lowers the mean-field free energy at every step, to convergence.

A probe is one inverse temperature, β = 1 + 0.1 z with standard normal z.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers import generators
from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "sites": {
        "type": "integer",
        "minimum": 2,
        "default": 256,
        "description": "Number of spins in the chain.",
    },
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 32,
        "description": "Number of inverse temperatures in the mean.",
    },
    "protocol": {
        "enum": ["published", "corrected"],
        "default": "published",
        "description": "`published`: single precision, neighbours held fixed; "
        "`corrected`: double precision, response of the coupled equations.",
    },
}

FIELD_SCALE = np.float32(0.5)
COUPLING_SCALE = np.float32(0.3)
BETA_MEAN, BETA_SCALE = 1.0, 0.1

PUBLISHED_SWEEPS, PUBLISHED_TOLERANCE = 30, 1e-6
LARGEST_SWEEPS, TOLERANCE = 100_000, 1e-13


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Draw fields and couplings, one stream of random numbers per seed."""
    sites: int = settings["sites"]
    streams = generators.seed_numpy(seeds)
    fields = np.empty((len(seeds), sites), np.float32)
    couplings = np.empty((len(seeds), sites - 1), np.float32)
    for stream, field, coupling in zip(streams, fields, couplings, strict=True):
        field[:] = FIELD_SCALE * stream.standard_normal(sites).astype(np.float32)
        coupling[:] = COUPLING_SCALE * stream.standard_normal(sites - 1).astype(np.float32)
    return State(
        theta=fields,
        tensors=(Tensor("field", -1, "field", (sites,)),),
        fixed={
            "coupling": (("seed", "bond"), couplings),
            "generator": generators.pack_numpy(streams),
        },
    )


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared response over inverse temperatures."""
    published = settings["protocol"] == "published"
    dtype = np.dtype(np.float32 if published else np.float64)
    streams = generators.unpack_numpy(state.fixed["generator"])
    fields = state.theta.astype(dtype)
    couplings = state.fixed["coupling"][1].astype(dtype)
    response = local_response if published else coupled_response
    probes: int = settings["probes"]
    fim = np.empty(state.theta.shape)
    for row, stream, field, coupling in zip(fim, streams, fields, couplings, strict=True):
        betas = (BETA_MEAN + BETA_SCALE * stream.standard_normal(probes)).astype(dtype)
        chi = np.stack([response(beta, field, coupling) for beta in betas])
        row[:] = np.mean(chi**2, axis=0)
    return FisherDiagonal(
        fim=fim,
        tensors=state.tensors,
        probes=probes,
        estimator="analytic response",
        definition="response",
    )


def local_response(
    beta: np.floating[Any], field: NDArray[Any], coupling: NDArray[Any]
) -> NDArray[Any]:
    """Return χ_i = β (1 − m_i²), the response with the neighbours held fixed.

    Parameters
    ----------
    beta
        Inverse temperature.
    field
        h, shape (sites,).
    coupling
        J, shape (sites − 1,).

    Returns
    -------
    NDArray
        Shape (sites,).
    """
    m = np.tanh(beta * field)
    for _ in range(PUBLISHED_SWEEPS):
        updated = np.tanh(beta * _local_field(m, field, coupling))
        change = np.max(np.abs(updated - m))
        m = updated
        if change < PUBLISHED_TOLERANCE:
            break
    return beta * (1 - m**2)


def coupled_response(
    beta: np.floating[Any], field: NDArray[Any], coupling: NDArray[Any]
) -> NDArray[Any]:
    """Return the diagonal of ∂m/∂h = [diag(1 / (β (1 − m²))) − J]⁻¹ at the magnetisation m.

    The matrix is tridiagonal and symmetric, so the diagonal of its inverse follows from the two
    recurrences of its leading and trailing pivots, 1 / χ_i = d_i + e_i − a_i (Meurant 1992,
    SIAM J. Matrix Anal. Appl. 13, 707, theorem 2.3). Arguments and shapes as `local_response`.
    """
    m = magnetisation(beta, field, coupling)
    a = 1 / (beta * (1 - m**2))
    leading, trailing = a.copy(), a.copy()
    squared = coupling**2
    for i in range(1, len(a)):
        leading[i] -= squared[i - 1] / leading[i - 1]
    for i in range(len(a) - 2, -1, -1):
        trailing[i] -= squared[i] / trailing[i + 1]
    return 1 / (leading + trailing - a)


def magnetisation(
    beta: np.floating[Any], field: NDArray[Any], coupling: NDArray[Any]
) -> NDArray[Any]:
    """Solve m = tanh(β (h + J m)), starting from the spins without their neighbours.

    Arguments and shapes as `local_response`.

    Raises
    ------
    RuntimeError
        If the magnetisation still changes after the largest number of sweeps.
    """
    m = np.tanh(beta * field)
    for _ in range(LARGEST_SWEEPS):
        previous = m.copy()
        for sublattice in (slice(0, None, 2), slice(1, None, 2)):
            m[sublattice] = np.tanh(beta * _local_field(m, field, coupling)[sublattice])
        change = np.max(np.abs(m - previous))
        if change < TOLERANCE:
            return m
    raise RuntimeError(
        f"magnetisation still changes by {change:.1e} after {LARGEST_SWEEPS} sweeps at inverse "
        f"temperature {beta}; expected less than {TOLERANCE:.0e}"
    )


def _local_field(m: NDArray[Any], field: NDArray[Any], coupling: NDArray[Any]) -> NDArray[Any]:
    """Return h + J m."""
    local = field.copy()
    local[1:] += coupling * m[:-1]
    local[:-1] += coupling * m[1:]
    return local
