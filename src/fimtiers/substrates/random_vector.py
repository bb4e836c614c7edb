"""No system at all: independent random numbers in place of F, the null that tiers are judged by.

Parameters are n independent draws; F is the draw itself (``uniform``, on [0.5, 1.5]) or its square
(``chi_square``, of a standard normal). A single probe of a linear model with a scalar output has
F of the second kind, so its tier ratio, about 60, is what one probe gives to any linear model.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "size": {
        "type": "integer",
        "minimum": 1,
        "default": 5000,
        "description": "Number of entries.",
    },
    "law": {
        "enum": ["uniform", "chi_square"],
        "description": "Law of F: uniform on [0.5, 1.5], or the square of a standard normal.",
    },
}

UNIFORM_LOW, UNIFORM_HIGH = 0.5, 1.5


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Draw the entries, one stream of random numbers per seed."""
    size = settings["size"]
    streams = [np.random.default_rng(int(seed)) for seed in seeds]
    if settings["law"] == "uniform":
        theta = np.stack([stream.uniform(UNIFORM_LOW, UNIFORM_HIGH, size) for stream in streams])
    else:
        theta = np.stack([stream.standard_normal(size) for stream in streams])
    return State(theta=theta, tensors=(Tensor("entry", -1, "entry", (size,)),))


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Return the draws as F, squared if they are normal."""
    return FisherDiagonal(
        fim=state.theta if settings["law"] == "uniform" else state.theta**2,
        tensors=state.tensors,
        probes=1,
        estimator="one random draw",
        definition="response",
    )
