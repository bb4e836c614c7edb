"""Linear regression with Gaussian noise: the panel's system without any hierarchy.

Parameters are a weight matrix W and a bias b. The output is W x + b for a standard normal input
x; the likelihood is Gaussian with noise of standard deviation σ in each output. Its Fisher
information, with targets drawn from the likelihood, does not depend on the parameters:

    F(W_ij) = E[x_j²] / σ²,    F(b_i) = 1 / σ².

The published protocol takes the mean of x_j² over the training inputs, so all spread in F is
sampling noise. The corrected one takes the expectation E[x_j²] = 1: F is constant and the tier
ratio exactly 1.

A probe is one training input. The task is to return the input seen through the noise,
y = x + σ ε; the state is its least-squares solution.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers import generators
from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "features": {
        "type": "integer",
        "minimum": 1,
        "default": 32,
        "description": "Number of inputs, and of outputs.",
    },
    "samples": {
        "type": "integer",
        "minimum": 2,
        "default": 2000,
        "description": "Number of training pairs in the least-squares fit.",
    },
    "noise": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.2,
        "description": "Standard deviation σ of the noise in each output.",
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


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Fit weights and biases by least squares, one training set per seed.

    The stored generator stands before the first input, so that the probes of the Fisher stage are
    the training inputs again.
    """
    features = settings["features"]
    streams = generators.seed_numpy(seeds)
    stored = generators.pack_numpy(streams)
    theta = [_least_squares(stream, settings) for stream in streams]
    return State(
        theta=np.stack(theta),
        tensors=(
            Tensor("weight", 0, "weight", (features, features)),
            Tensor("bias", 0, "bias", (features,)),
        ),
        fixed={"generator": stored},
    )


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Return 1/σ² times the second moment of each parameter's input."""
    published = settings["protocol"] == "published"
    features, probes = settings["features"], settings["probes"]
    second_moment = np.ones((len(state.theta), features))
    if published:
        streams = generators.unpack_numpy(state.fixed["generator"])
        for row, stream in zip(second_moment, streams, strict=True):
            row[:] = np.mean(stream.standard_normal((probes, features)) ** 2, axis=0)
    weight = np.tile(second_moment, features)
    bias = np.ones_like(second_moment)
    return FisherDiagonal(
        fim=np.concatenate([weight, bias], axis=1) / settings["noise"] ** 2,
        tensors=state.tensors,
        probes=probes if published else 0,
        estimator="analytic" if published else "exact expectation",
        definition="true",
    )


def _least_squares(stream: np.random.Generator, settings: Settings) -> NDArray[np.float64]:
    shape = settings["samples"], settings["features"]
    x = stream.standard_normal(shape)
    y = x + settings["noise"] * stream.standard_normal(shape)
    design = np.column_stack([x, np.ones(len(x))])
    solution = np.linalg.lstsq(design, y)[0]
    weight, bias = solution[:-1].T, solution[-1]
    return np.concatenate([weight.ravel(), bias])
