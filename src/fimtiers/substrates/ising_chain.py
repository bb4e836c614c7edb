"""Open Ising chain in mean-field theory, probed by its local response at fluctuating temperature.

Parameters are the fields h_i (dimensionless, one per site). The couplings J_i between neighbours
and the fields are drawn once per seed. The observable is the magnetisation m, a fixed point of

    m_i = tanh(β (h_i + J_{i-1} m_{i-1} + J_i m_{i+1})),

and the sensitivity is its response to the field on the same site. The published protocol takes
the response with the neighbours held fixed, χ_i = β (1 − m_i²); the corrected one the diagonal
of the full response of the coupled equations, χ = [diag(1 / (β (1 − m²))) − J]⁻¹.

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
MAX_ITERATIONS = {"published": 30, "corrected": 1000}
TOLERANCE = {"published": 1e-6, "corrected": 1e-14}


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Draw fields and couplings, one stream of random numbers per seed."""
    sites = settings["sites"]
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
    protocol = settings["protocol"]
    streams = generators.unpack_numpy(state.fixed["generator"])
    dtype = np.float32 if protocol == "published" else np.float64
    fim = np.zeros(state.theta.shape, dtype)
    for row, stream, field, coupling in zip(
        fim, streams, state.theta.astype(dtype), state.fixed["coupling"][1].astype(dtype),
        strict=True,
    ):  # fmt: skip
        for _ in range(settings["probes"]):
            beta = dtype(BETA_MEAN + BETA_SCALE * stream.standard_normal())
            m = magnetisation(beta, field, coupling, protocol)
            response = (
                local_response(beta, m) if protocol == "published"
                else coupled_response(beta, m, coupling)
            )  # fmt: skip
            row += response**2
        row /= dtype(settings["probes"])
    return FisherDiagonal(
        fim=fim.astype(np.float64),
        tensors=state.tensors,
        probes=settings["probes"],
        estimator="analytic response",
        definition="response",
    )


def magnetisation(
    beta: np.floating[Any], field: NDArray[Any], coupling: NDArray[Any], protocol: str
) -> NDArray[Any]:
    """Iterate m ← tanh(β (h + J m)) from m = tanh(β h) until it changes by less than a tolerance.

    Parameters
    ----------
    beta
        Inverse temperature, in units of 1/energy of the couplings; its dtype is the precision.
    field
        h, shape (sites,).
    coupling
        J, shape (sites − 1,).
    protocol
        Chooses the tolerance and the largest number of iterations.

    Returns
    -------
    NDArray
        m, shape (sites,).
    """
    m = np.tanh(beta * field)
    for _ in range(MAX_ITERATIONS[protocol]):
        local = field.copy()
        local[1:] += coupling * m[:-1]
        local[:-1] += coupling * m[1:]
        updated = np.tanh(beta * local)
        change = np.max(np.abs(updated - m))
        m = updated
        if change < TOLERANCE[protocol]:
            break
    return m


def local_response(beta: np.floating[Any], m: NDArray[Any]) -> NDArray[Any]:
    """Return χ_i = β (1 − m_i²), the response with the neighbours held fixed."""
    return beta * (1 - m**2)


def coupled_response(
    beta: np.floating[Any], m: NDArray[Any], coupling: NDArray[Any]
) -> NDArray[Any]:
    """Return the diagonal of ∂m/∂h = [diag(1 / (β (1 − m²))) − J]⁻¹ for the coupled equations.

    The matrix is tridiagonal and symmetric, so the diagonal of its inverse follows from the two
    recurrences of its leading and trailing pivots, 1 / χ_i = d_i + e_i − a_i (Meurant 1992,
    SIAM J. Matrix Anal. Appl. 13, 707, theorem 2.3).
    """
    a = 1 / local_response(beta, m)
    leading, trailing = a.copy(), a.copy()
    for i in range(1, len(a)):
        leading[i] -= coupling[i - 1] ** 2 / leading[i - 1]
    for i in range(len(a) - 2, -1, -1):
        trailing[i] -= coupling[i] ** 2 / trailing[i + 1]
    return 1 / (leading + trailing - a)
