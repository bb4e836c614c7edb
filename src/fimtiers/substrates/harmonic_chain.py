"""Chain of masses and springs, probed by its thermal free energy at fluctuating temperature.

Parameters are the spring constants k_i (units of k_0; unit masses, ħ = k_B = 1). Spring 0 ties
the first mass to a wall, spring i joins masses i − 1 and i, and the right end is free. With the
normal modes (ω_n², v_n) of the stiffness matrix and the Bose–Einstein occupation n_B, the free
energy Σ_n [ω_n/2 + T ln(1 − e^(−ω_n/T))] has the gradient

    ∂A/∂k_i = Σ_n (½ + n_B(ω_n / T)) (v_n(i) − v_n(i − 1))² / (2 ω_n),    v_n(−1) = 0.

A probe is one temperature, T = max(0.05 (1 + 0.2 z), 0.01) with standard normal z.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

from fimtiers import generators
from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "springs": {
        "type": "integer",
        "minimum": 2,
        "default": 128,
        "description": "Number of springs, and of masses.",
    },
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 32,
        "description": "Number of temperatures in the mean.",
    },
    "protocol": {
        "enum": ["published", "corrected"],
        "default": "published",
        "description": "`published`: single precision, occupations regularised and cut off; "
        "`corrected`: double precision, exact occupations.",
    },
}

# Constants in single precision leave single-precision arrays in single precision.
ZERO, HALF = np.float32(0), np.float32(0.5)
STIFFNESS_SPREAD = np.float32(0.3)
STIFFNESS_FLOOR = np.float32(0.1)
TEMPERATURE_MEAN, TEMPERATURE_SPREAD, TEMPERATURE_FLOOR = 0.05, 0.2, 0.01

# Regularisers of the published protocol.
SQUARED_FREQUENCY_FLOOR = np.float32(1e-8)
OCCUPATION_REGULARISER = np.float32(1e-8)
OCCUPATION_CUTOFF = np.float32(50)

BLOCK = 1000
"""Modes handled at a time, which bounds the memory beside the modes themselves."""


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Draw the spring constants, one stream of random numbers per seed."""
    springs = settings["springs"]
    streams = generators.seed_numpy(seeds)
    deviations = np.stack([stream.standard_normal(springs) for stream in streams])
    stiffness = np.float32(1) + STIFFNESS_SPREAD * deviations.astype(np.float32)
    return State(
        theta=np.maximum(stiffness, STIFFNESS_FLOOR),
        tensors=(Tensor("stiffness", -1, "stiffness", (springs,)),),
        fixed={"generator": generators.pack_numpy(streams)},
    )


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared free-energy gradient over temperatures."""
    published = settings["protocol"] == "published"
    dtype = np.dtype(np.float32 if published else np.float64)
    occupy = published_occupation if published else bose_einstein
    streams = generators.unpack_numpy(state.fixed["generator"])
    fim = np.empty(state.theta.shape)
    for row, stiffness, stream in zip(fim, state.theta.astype(dtype), streams, strict=True):
        noise = stream.standard_normal(settings["probes"])
        temperature = TEMPERATURE_MEAN * (1 + TEMPERATURE_SPREAD * noise)
        temperature = np.maximum(temperature, TEMPERATURE_FLOOR).astype(dtype)
        squared_frequency, modes = normal_modes(stiffness)
        if published:
            rounded = squared_frequency.astype(dtype)
            squared_frequency = np.maximum(rounded, SQUARED_FREQUENCY_FLOOR)
        frequency = np.sqrt(squared_frequency)
        occupation = occupy(frequency / temperature[:, None])
        gradient = free_energy_gradient(frequency, modes, occupation).astype(dtype)
        row[:] = np.mean(gradient**2, axis=0)
    return FisherDiagonal(
        fim=fim,
        tensors=state.tensors,
        probes=settings["probes"],
        estimator="analytic",
        definition="response",
    )


def free_energy_gradient(
    frequency: NDArray[Any], modes: NDArray[Any], occupation: NDArray[Any]
) -> NDArray[np.float64]:
    """Return ∂A/∂k for each temperature.

    Parameters
    ----------
    frequency
        ω, shape (mode,); ∂ω/∂k is computed in its precision.
    modes
        v, shape (mass, mode), orthonormal columns.
    occupation
        n_B, shape (temperature, mode).

    Returns
    -------
    NDArray
        Shape (temperature, spring).
    """
    gradient = np.zeros((len(occupation), len(modes)))
    for start in range(0, len(frequency), BLOCK):
        block = slice(start, start + BLOCK)
        stretch = np.diff(modes[:, block].astype(frequency.dtype), axis=0, prepend=ZERO)
        frequency_gradient = stretch**2 / (2 * frequency[block])
        gradient += (HALF + occupation[:, block]) @ frequency_gradient.T.astype(np.float64)
    return gradient


def normal_modes(stiffness: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return squared frequencies ω² (mode,) and modes v (mass, mode), in double precision.

    The stiffness matrix has k_i + k_(i+1) on its diagonal and −k_(i+1) beside it. The driver is
    the one that needs no workspace of the size of the modes.
    """
    diagonal = stiffness.copy()
    diagonal[:-1] += stiffness[1:]
    bands = diagonal.astype(np.float64), -stiffness[1:].astype(np.float64)
    squared, modes = eigh_tridiagonal(*bands, lapack_driver="stemr")
    return squared, modes


def bose_einstein(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return n_B = 1 / (e^(ω/T) − 1)."""
    return 1 / np.expm1(ratio)


def published_occupation(ratio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the published n_B: a small number in the denominator, 0 beyond a cut-off."""
    denominator = np.exp(np.minimum(ratio, OCCUPATION_CUTOFF)) - 1 + OCCUPATION_REGULARISER
    return np.where(ratio > OCCUPATION_CUTOFF, ZERO, 1 / denominator)
