"""How often the hidden units of a ReLU network are on: never, rarely, sometimes, always.

A unit that is off for every probe has F exactly zero in all its weights, and so do all units whose
only readers are off. A unit that is always on is linear. Both come from initialisations in which
the signal shrinks and the biases take over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.records import Tensor

RARELY = 0.01
"""A unit that is on for fewer probes than this share is called rare."""


@dataclass(frozen=True)
class UnitActivity:
    """Fractions of units, summing to 1; shape (..., layer), hidden layers in order.

    Attributes
    ----------
    dead
        On for no probe.
    rare
        On for some probes, but fewer than the share that counts as rare.
    intermittent
        On for more, but not for all.
    always_on
        On for every probe.
    """

    dead: NDArray[np.float64]
    rare: NDArray[np.float64]
    intermittent: NDArray[np.float64]
    always_on: NDArray[np.float64]


def unit_activity(
    active: Sequence[NDArray[np.integer[Any]]], probes: int, rarely: float = RARELY
) -> UnitActivity:
    """Sort the units of each layer by how many probes they are on for.

    Parameters
    ----------
    active
        For each hidden layer the number of probes with a positive pre-activation, integers of
        shape (..., unit); see `count_active`.
    probes
        Number of probes.
    rarely
        Share of probes below which a unit is rare.

    Raises
    ------
    ValueError
        If a unit is on for more probes than there are, or there is no layer.
    """
    largest = max((int(layer.max()) for layer in active), default=-1)
    if not 0 <= largest <= probes:
        raise ValueError(
            f"{len(active)} layers, a unit on for {largest} of {probes} probes; expected at least "
            "one layer, and at most all probes"
        )

    def fraction(condition: Any) -> NDArray[np.float64]:
        return np.stack([condition(layer).mean(axis=-1) for layer in active], axis=-1)

    return UnitActivity(
        dead=fraction(lambda on: on == 0),
        rare=fraction(lambda on: (on > 0) & (on < min(rarely * probes, probes))),
        intermittent=fraction(lambda on: (on >= max(rarely * probes, 1)) & (on < probes)),
        always_on=fraction(lambda on: on == probes),
    )


def count_active(
    theta: NDArray[Any], tensors: Sequence[Tensor], inputs: NDArray[Any]
) -> list[NDArray[np.int64]]:
    """Count, for each hidden unit of dense ReLU networks, the inputs for which it is on.

    Parameters
    ----------
    theta
        Parameters, shape (seed, parameter).
    tensors
        Their table: a ``weight`` of shape (unit, input) and a ``bias`` of shape (unit,) for each
        linear layer in turn. The last layer has no activation.
    inputs
        Shape (seed, probe, dim).

    Returns
    -------
    list of NDArray
        One array of shape (seed, unit) per hidden layer.

    Raises
    ------
    ValueError
        If the tensors are not weights and biases by turns.
    """
    roles = [tensor.role for tensor in tensors]
    if roles != ["weight", "bias"] * (len(roles) // 2):
        raise ValueError(f"tensors have roles {roles}; expected weight and bias by turns")
    parts = np.split(theta, np.cumsum([tensor.size for tensor in tensors])[:-1], axis=1)
    counts, a = [], inputs
    for weight, bias, tensor in zip(parts[:-2:2], parts[1:-2:2], tensors[:-2:2], strict=True):
        w = weight.reshape(len(theta), *tensor.shape)
        z = a @ w.swapaxes(1, 2) + bias[:, None]
        counts.append(np.count_nonzero(z > 0, axis=1))
        a = np.maximum(z, 0)
    return counts


def silent_fraction(fim: NDArray[Any], tensors: Sequence[Tensor]) -> NDArray[np.float64]:
    """Return the fraction of units in each layer that no probe's gradient reaches.

    A unit is silent if F of its bias is exactly zero: it is off for every probe, or every unit
    that reads it is.

    Parameters
    ----------
    fim
        F, shape (..., parameter).
    tensors
        The table of parameters; those of role ``bias`` are used.

    Returns
    -------
    NDArray
        Shape (..., layer), layers with a bias in order.

    Raises
    ------
    ValueError
        If no tensor is a bias.
    """
    edges = np.cumsum([0] + [tensor.size for tensor in tensors])
    biases = [
        fim[..., start:stop]
        for tensor, start, stop in zip(tensors, edges[:-1], edges[1:], strict=True)
        if tensor.role == "bias"
    ]
    if not biases:
        raise ValueError(f"tensors {[tensor.name for tensor in tensors]}; expected one with a bias")
    return np.stack([(bias == 0).mean(axis=-1) for bias in biases], axis=-1)
