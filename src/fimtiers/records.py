"""What passes between the stages: parameter tensors, states and Fisher diagonals.

Only these plain records live here; they know nothing of files (see `fimtiers.io`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Settings = Mapping[str, Any]
"""Settings of one system at one point: the keys of its substrate's ``SETTINGS``."""

Variable = tuple[tuple[str, ...], NDArray[Any]]
"""Dimension names and values, as xarray takes them."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of parameters: where a stretch of the parameter axis comes from.

    Attributes
    ----------
    name
        Unique within the system, such as ``layers.2.weight``.
    layer
        Position in the order of computation, counted from 0; -1 if the system has no layers.
    role
        What the parameters do, such as ``weight``, ``bias``, ``link``, ``coupling``.
    shape
        Shape of the tensor; parameters are stored in C order.
    """

    name: str
    layer: int
    role: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return prod(self.shape)


def _check_parameter_axis(what: str, values: NDArray[Any], tensors: tuple[Tensor, ...]) -> None:
    if values.ndim != 2:
        raise ValueError(f"{what} has shape {values.shape}; expected (seed, parameter)")
    expected = sum(tensor.size for tensor in tensors)
    if values.shape[1] != expected:
        raise ValueError(
            f"{what} has {values.shape[1]} parameters, but its tensors "
            f"{[tensor.name for tensor in tensors]} hold {expected}"
        )


def _check_seed_axis(variables: Mapping[str, Variable], n_seeds: int) -> None:
    for name, (dims, values) in variables.items():
        if len(dims) != values.ndim:
            raise ValueError(f"{name} has dimensions {dims} but shape {values.shape}")
        if "seed" in dims and values.shape[dims.index("seed")] != n_seeds:
            raise ValueError(f"{name} has shape {values.shape}; expected {n_seeds} along 'seed'")


@dataclass(frozen=True)
class State:
    """Parameters of one system at one point, for all its seeds, initialised or trained.

    Attributes
    ----------
    theta
        Parameters, shape (seed, parameter).
    tensors
        The tensors that make up the parameter axis, in order.
    fixed
        All else that the Fisher diagonal needs and that is not a parameter: wiring, training
        inputs, and the state of each seed's random generator (see `fimtiers.generators`), so that
        probes continue the stream of random numbers where initialisation or training left it.
    diagnostics
        What a reader wants to know about how the state came about: training loss, acceptance rate.
    """

    theta: NDArray[Any]
    tensors: tuple[Tensor, ...]
    fixed: Mapping[str, Variable] = field(default_factory=dict)
    diagnostics: Mapping[str, Variable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_parameter_axis("theta", self.theta, self.tensors)
        _check_seed_axis({**self.fixed, **self.diagnostics}, self.theta.shape[0])


@dataclass(frozen=True)
class FisherDiagonal:
    """Fisher diagonal of one system at one point, for all its seeds.

    F_i = mean over probes n of (∂ℓ_n/∂θ_i)², the gradient taken per probe, then squared.

    Attributes
    ----------
    fim
        F, float64, shape (seed, parameter), finite and not negative.
    tensors
        The tensors that make up the parameter axis, in order.
    probes
        Number of probes in the mean.
    estimator
        How the gradients were obtained, in a few words: ``adjoint``, ``forward difference``.
    definition
        ``loss`` if ℓ is a loss at given targets, ``true`` if F is the Fisher information of a
        likelihood, ``response`` if F is the squared sensitivity of an observable.
    diagnostics
        What a reader wants to know about this estimate: size of the causal cone, plaquette.
    partial
        F of the first probes alone, by their number, each of the shape of `fim`; files keep
        histograms of these only (see `fimtiers.partial_probes`).
    """

    fim: NDArray[np.float64]
    tensors: tuple[Tensor, ...]
    probes: int
    estimator: str
    definition: str
    diagnostics: Mapping[str, Variable] = field(default_factory=dict)
    partial: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_parameter_axis("fim", self.fim, self.tensors)
        _check_seed_axis(self.diagnostics, self.fim.shape[0])
        if self.fim.dtype != np.float64:
            raise ValueError(f"fim has dtype {self.fim.dtype}; expected float64")
        if not np.isfinite(self.fim).all():
            seed, parameter = np.argwhere(~np.isfinite(self.fim))[0]
            raise ValueError(
                f"fim is {self.fim[seed, parameter]} at seed index {seed}, parameter {parameter}; "
                "a Fisher diagonal is finite: look for overflow or a diverged training"
            )
        if (self.fim < 0).any():
            raise ValueError("fim has negative entries; a mean of squares cannot be negative")
        if self.definition not in DEFINITIONS:
            raise ValueError(f"definition {self.definition!r}; allowed: {', '.join(DEFINITIONS)}")


DEFINITIONS = ("loss", "true", "response")
