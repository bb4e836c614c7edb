"""Kernel ridge regression and the Gaussian process, which differ only in two settings.

Parameters are the dual coefficients α_i, one per training input x_i. The output at x is
Σ_i α_i K(x_i, x) with the Gaussian kernel K(x, x') = exp(−‖x − x'‖² / (2 ℓ²)); the likelihood is
Gaussian with noise of standard deviation σ. Its Fisher information does not depend on α or on
the targets:

    F_i = E_x[K(x_i, x)²] / σ².

The published kernel ridge learner has ℓ² = 2d for inputs of dimension d, the published Gaussian
process ℓ² = d, on the same inputs: its kernel is the square of the other's, so the two are one
system at two length scales.

A probe is one training input x_j; j = i, where K = 1, is one of them. The corrected protocol takes
the expectation over standard normal x,

    E_x[K(x_i, x)²] = (1 + 2/ℓ²)^(−d/2) exp(−‖x_i‖² / (ℓ² + 2)).

The targets are the input's component along the diagonal plus noise. The state solves
(K + λ 1) α = y, where a Gaussian process has λ = σ².
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from fimtiers import generators
from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "samples": {
        "type": "integer",
        "minimum": 1,
        "default": 2000,
        "description": "Number of training inputs, and of parameters.",
    },
    "features": {
        "type": "integer",
        "minimum": 1,
        "default": 32,
        "description": "Dimension d of an input.",
    },
    "squared_length": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 2.0,
        "description": "Squared length scale ℓ² of the kernel, in units of d: "
        "2 for the published kernel ridge learner, 1 for the Gaussian process.",
    },
    "ridge": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.1,
        "description": "Regulariser λ of the fit; it does not enter the Fisher diagonal.",
    },
    "noise": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.2,
        "description": "Standard deviation σ of the noise in a target.",
    },
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 2000,
        "description": "Number of inputs in the mean; the first ones are the training inputs. "
        "Without effect in the `corrected` protocol.",
    },
    "protocol": {
        "enum": ["published", "corrected"],
        "default": "published",
        "description": "`published`: mean over inputs; `corrected`: expectation over inputs.",
    },
}

BLOCK = 1000
"""Probes handled at a time, which bounds the memory to `samples` times this many numbers."""


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Fit the dual coefficients, one training set per seed.

    The stored generator stands before the first input, so that the Fisher stage draws the training
    inputs again.
    """
    streams = generators.seed_numpy(seeds)
    stored = generators.pack_numpy(streams)
    theta = [_dual_coefficients(stream, settings) for stream in streams]
    return State(
        theta=np.stack(theta),
        tensors=(Tensor("dual_coefficient", -1, "coefficient", (settings["samples"],)),),
        fixed={"generator": stored},
    )


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared kernel over inputs, for every training input."""
    published = settings["protocol"] == "published"
    streams = generators.unpack_numpy(state.fixed["generator"])
    average = mean_squared_kernel if published else expected_squared_kernel
    rows = []
    for stream in streams:
        count = max(settings["samples"], settings["probes"])
        inputs = stream.standard_normal((count, settings["features"]))
        centres, probes = inputs[: settings["samples"]], inputs[: settings["probes"]]
        rows.append(average(centres, probes, _squared_length(settings)))
    return FisherDiagonal(
        fim=np.stack(rows) / settings["noise"] ** 2,
        tensors=state.tensors,
        probes=settings["probes"] if published else 0,
        estimator="analytic" if published else "exact expectation",
        definition="true",
    )


def mean_squared_kernel(
    centres: NDArray[np.float64], probes: NDArray[np.float64], squared_length: float
) -> NDArray[np.float64]:
    """Return the mean over probes of K(centre, probe)², without a difference of every pair.

    Parameters
    ----------
    centres
        Shape (centre, feature).
    probes
        Shape (probe, feature).
    squared_length
        ℓ².

    Returns
    -------
    NDArray
        Shape (centre,), between 0 and 1.
    """
    total = np.zeros(len(centres))
    for start in range(0, len(probes), BLOCK):
        # The square of the kernel is the kernel at half the squared length.
        squared = gaussian_kernel(centres, probes[start : start + BLOCK], squared_length / 2)
        total += squared.sum(axis=1)
    return total / len(probes)


def expected_squared_kernel(
    centres: NDArray[np.float64], probes: NDArray[np.float64], squared_length: float
) -> NDArray[np.float64]:
    """Return the expectation of K(centre, x)² over standard normal x; `probes` are not used."""
    features = centres.shape[1]
    widened = (1 + 2 / squared_length) ** (-features / 2)
    return widened * np.exp(-np.sum(centres**2, axis=1) / (squared_length + 2))


def gaussian_kernel(
    x: NDArray[np.float64], y: NDArray[np.float64], squared_length: float
) -> NDArray[np.float64]:
    """Return exp(−‖x_i − y_j‖² / (2 ℓ²)), shape (len(x), len(y)), with no other array that large.

    The distances come from ‖x_i − y_j‖² = ‖x_i‖² + ‖y_j‖² − 2 x_i·y_j.
    """
    kernel = x @ y.T
    kernel *= -2
    kernel += np.sum(x**2, axis=1)[:, None]
    kernel += np.sum(y**2, axis=1)
    np.maximum(kernel, 0, out=kernel)
    kernel /= -2 * squared_length
    return np.exp(kernel, out=kernel)


def _dual_coefficients(stream: np.random.Generator, settings: Settings) -> NDArray[np.float64]:
    samples, features = settings["samples"], settings["features"]
    x = stream.standard_normal((samples, features))
    y = x.sum(axis=1) / np.sqrt(features) + settings["noise"] * stream.standard_normal(samples)
    kernel = gaussian_kernel(x, x, _squared_length(settings))
    kernel[np.diag_indices(samples)] += settings["ridge"]
    # LAPACK overwrites columns in place: the transpose of the symmetric matrix saves a copy.
    factor = cho_factor(kernel.T, overwrite_a=True, check_finite=False)
    return np.asarray(cho_solve(factor, y, check_finite=False))


def _squared_length(settings: Settings) -> float:
    return float(settings["squared_length"] * settings["features"])
