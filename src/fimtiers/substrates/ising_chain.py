"""Open Ising chain, probed by its local response at fluctuating temperature.

Parameters are the fields h_i (in units where β = 1 is the mean inverse temperature), one per site.
The couplings J_i between neighbours and the fields are drawn once per seed. Spins s_i = ±1 have

    p(s) ∝ exp β (Σ_i h_i s_i + Σ_i J_i s_i s_{i+1}),   m_i = ⟨s_i⟩.

The sensitivity of a site is the response of its magnetisation to its own field. For any Ising model
it is χ_i = ∂m_i/∂h_i = β (1 − m_i²) ≤ β, whatever the neighbours do: only m depends on them. So the
two protocols differ in m alone,

- published: mean-field theory, m_i = tanh(β (h_i + J_{i−1} m_{i−1} + J_i m_{i+1})), all sites
  updated at once, at most 30 times, in single precision;
- corrected: exactly, by transfer matrices, in double precision.

F_i is the mean of χ_i² over inverse temperatures (`response`). The chain has a likelihood too,
p(s), whose Fisher information about h_i is Var[β s_i] = β² (1 − m_i²) (`true`).

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
        "stage": "fisher",
        "description": "`published`: magnetisations of mean-field theory in single precision; "
        "`corrected`: exact ones in double precision.",
    },
    "definition": {
        "enum": ["response", "true"],
        "default": "response",
        "stage": "fisher",
        "description": "`response`: squared response of each spin to its own field; "
        "`true`: Fisher information of the distribution of the spins.",
    },
}

FIELD_SCALE = np.float32(0.5)
COUPLING_SCALE = np.float32(0.3)
BETA_MEAN, BETA_SCALE = 1.0, 0.1

PUBLISHED_SWEEPS, PUBLISHED_TOLERANCE = 30, 1e-6


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
    """Average the squared response, or the Fisher information, over inverse temperatures."""
    published, definition = settings["protocol"] == "published", settings["definition"]
    dtype = np.dtype(np.float32 if published else np.float64)
    streams = generators.unpack_numpy(state.fixed["generator"])
    fields = state.theta.astype(dtype)
    couplings = state.fixed["coupling"][1].astype(dtype)
    magnetisation = mean_field_magnetisation if published else exact_magnetisation
    probes: int = settings["probes"]
    fim = np.empty(state.theta.shape)
    for row, stream, field, coupling in zip(fim, streams, fields, couplings, strict=True):
        betas = (BETA_MEAN + BETA_SCALE * stream.standard_normal(probes)).astype(dtype)
        m = magnetisation(betas, field, coupling)
        chi = betas[:, None] * (1 - m**2)
        information = chi**2 if definition == "response" else betas[:, None] * chi
        row[:] = np.mean(information, axis=0)
    return FisherDiagonal(
        fim=fim,
        tensors=state.tensors,
        probes=probes,
        estimator="mean field" if published else "transfer matrix",
        definition=definition,
    )


def mean_field_magnetisation(
    betas: NDArray[Any], field: NDArray[Any], coupling: NDArray[Any]
) -> NDArray[Any]:
    """Iterate m = tanh(β (h + J m)) from the spins without their neighbours.

    Where neighbouring couplings are strong this can end in an oscillation between two states.

    Parameters
    ----------
    betas
        Inverse temperatures, shape (probe,).
    field
        h, shape (site,).
    coupling
        J, shape (site − 1,).

    Returns
    -------
    NDArray
        m, shape (probe, site).
    """
    return np.stack([_mean_field(beta, field, coupling) for beta in betas])


def exact_magnetisation(
    betas: NDArray[np.float64], field: NDArray[np.float64], coupling: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return m of the open chain exactly.

    With the transfer matrix T_i(s, s') = exp(β (J_i s s' + h_{i+1} s')), the weight of s_i is the
    product of what its left and its right neighbours transfer to it. Either is normalised at each
    step, so that nothing overflows. Arguments and shapes as `mean_field_magnetisation`.
    """
    spin = np.array([1.0, -1.0])
    weight = np.exp(np.multiply.outer(betas[:, None] * field, spin))
    pair = np.exp(np.multiply.outer(betas[:, None] * coupling, np.multiply.outer(spin, spin)))
    from_left, from_right = np.ones_like(weight), np.ones_like(weight)
    for i in range(1, len(field)):
        from_left[:, i] = _transfer(pair[:, i - 1], from_left[:, i - 1] * weight[:, i - 1])
    for i in range(len(field) - 2, -1, -1):
        from_right[:, i] = _transfer(pair[:, i], from_right[:, i + 1] * weight[:, i + 1])
    marginal = from_left * weight * from_right
    return (marginal @ spin) / marginal.sum(axis=-1)


def _transfer(pair: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum a neighbour's spin out, shape (probe, 2); `pair` is symmetric, so direction is none."""
    product = np.einsum("pst,pt->ps", pair, vector)
    return product / product.sum(axis=-1, keepdims=True)


def _mean_field(
    beta: np.floating[Any], field: NDArray[Any], coupling: NDArray[Any]
) -> NDArray[Any]:
    m = np.tanh(beta * field)
    for _ in range(PUBLISHED_SWEEPS):
        updated = np.tanh(beta * _local_field(m, field, coupling))
        change = np.max(np.abs(updated - m))
        m = updated
        if change < PUBLISHED_TOLERANCE:
            break
    return m


def _local_field(m: NDArray[Any], field: NDArray[Any], coupling: NDArray[Any]) -> NDArray[Any]:
    """Return h + J m."""
    local = field.copy()
    local[1:] += coupling * m[:-1]
    local[:-1] += coupling * m[1:]
    return local
