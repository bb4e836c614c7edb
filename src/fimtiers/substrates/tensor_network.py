"""Balanced binary tree of tanh nodes, from 2^depth leaves to one scalar root.

Level k = 1, …, depth has 2^(depth − k) nodes. A node takes an adjacent pair (a, b) of the level
below and gives

    f = tanh(z),    z = w₁ a + w₂ b + c,

with its own weights w and bias c. The literature calls this shape a tree tensor network; each
tensor here is the pair of weights. A probe is one vector of leaves, x ~ N(0, 1), and the loss of a
probe is ℓ = y²/2 with y the value of the root, so

    F(w_i) = E[(δ a_i)²],    F(c) = E[δ²],    δ = ∂ℓ/∂z,

with δ = y (1 − y²) at the root and δ w_i (1 − a_i²) below. Weights have variance 2 / fan-in = 1, as
published, or torch's default. Numbers are drawn and gradients taken in single precision, squares
summed in double. Initialisation and probes come from one stream per seed.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator

from fimtiers import torch_generators
from fimtiers.networks.activations import ACTIVATIONS
from fimtiers.networks.sampling import standard_normal_chunks
from fimtiers.networks.unit_counts import UnitCounts
from fimtiers.partial_probes import stretches
from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "depth": {
        "type": "integer",
        "minimum": 1,
        "default": 4,
        "description": "Height of the tree: it has 2^depth leaves and 2^depth − 1 nodes.",
    },
    "initialisation": {
        "enum": ["he_normal", "torch_default"],
        "default": "he_normal",
        "description": "`he_normal`: weights normal with variance 2/fan_in = 1, biases zero; "
        "`torch_default`: weights and biases uniform on ±1/√fan_in = ±1/√2.",
    },
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 500,
        "description": "Number of leaf vectors in the mean.",
    },
}

FAN_IN = 2

LEAVES_PER_CHUNK = 2**22
"""Probes are taken in chunks that hold this many leaves: 16 MiB in single precision."""

Level = tuple[torch.Tensor, torch.Tensor]
"""Weights, shape (seed, node, 2), and biases, shape (seed, node), of one level."""


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Draw the weights level by level, leaves first, one stream of random numbers per seed."""
    streams = torch_generators.seed(seeds)
    draw = _torch_default if settings["initialisation"] == "torch_default" else _he_normal
    drawn = [[draw(nodes, g) for nodes in _nodes(settings["depth"])] for g in streams]
    theta = torch.stack(
        [torch.cat([p.flatten() for level in tree for p in level]) for tree in drawn]
    )
    tensors = []
    for level, nodes in enumerate(_nodes(settings["depth"])):
        tensors.append(Tensor(f"levels.{level}.weight", level, "weight", (nodes, FAN_IN)))
        tensors.append(Tensor(f"levels.{level}.bias", level, "bias", (nodes,)))
    return State(
        theta=theta.numpy(),
        tensors=tuple(tensors),
        fixed={"generator": torch_generators.pack(streams)},
    )


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared gradient of y²/2 over leaf vectors, accumulated in double precision."""
    streams = torch_generators.unpack(state.fixed["generator"])
    levels = _levels(torch.from_numpy(state.theta), settings["depth"])
    total = torch.zeros(state.theta.shape, dtype=torch.float64)
    sums = _levels(total, settings["depth"])
    leaves, probes = FAN_IN ** settings["depth"], settings["probes"]
    per_chunk = max(1, LEAVES_PER_CHUNK // (len(streams) * leaves))
    partial, units = {}, UnitCounts()
    for first, last in stretches(probes):
        # One call per probe, as published: it matters with fewer than 16 leaves.
        for x in standard_normal_chunks(streams, last - first, (leaves,), per_chunk):
            units.inputs += x.shape[1]
            _add_squared_gradients(sums, levels, x, units)
        partial[last] = (total / last).numpy()
    fim = partial.pop(probes)
    return FisherDiagonal(
        fim=fim,
        tensors=state.tensors,
        probes=probes,
        estimator="exact backpropagation, squares of node values and deltas",
        definition="loss",
        diagnostics=units.variables(),
        partial=partial,
    )


def evaluate(levels: list[Level], leaves: torch.Tensor) -> list[torch.Tensor]:
    """Return the node values of each level, the leaves first and the root last.

    Parameters
    ----------
    levels
        Weights and biases, lowest level first.
    leaves
        Shape (seed, probe, leaf).

    Returns
    -------
    list of Tensor
        `leaves`, then one tensor of shape (seed, probe, node) per level.
    """
    values = [leaves]
    for weight, bias in levels:
        pairs = values[-1].unflatten(-1, (-1, FAN_IN))
        values.append(torch.tanh((weight[:, None] * pairs).sum(-1) + bias[:, None]))
    return values


def _add_squared_gradients(
    sums: list[Level], levels: list[Level], leaves: torch.Tensor, units: UnitCounts
) -> None:
    """Add the squares of ∂ℓ/∂w and ∂ℓ/∂c of each probe to `sums`, in place; count the nodes."""
    values = evaluate(levels, leaves)
    tanh = ACTIVATIONS["tanh"]
    for level, a in enumerate(values[1:]):
        units.add(level, "tanh", tanh.flat(a), tanh.linear(a))
    upstream = values[-1]  # ∂ℓ/∂y = y at the root
    for level in reversed(range(len(levels))):
        delta = torch.ops.aten.tanh_backward(upstream, values[level + 1])
        pairs = values[level].unflatten(-1, (-1, FAN_IN))
        weight, _ = levels[level]
        weight_sum, bias_sum = sums[level]
        weight_sum += (delta[..., None] * pairs).double().square().sum(1)
        bias_sum += delta.double().square().sum(1)
        upstream = (delta[..., None] * weight[:, None]).flatten(-2)


def _levels(flat: torch.Tensor, depth: int) -> list[Level]:
    """Return views of a stack of parameter vectors, shape (seed, parameter)."""
    levels, start = [], 0
    for nodes in _nodes(depth):
        middle, stop = start + FAN_IN * nodes, start + (FAN_IN + 1) * nodes
        weight = flat[:, start:middle].unflatten(-1, (nodes, FAN_IN))
        levels.append((weight, flat[:, middle:stop]))
        start = stop
    return levels


def _nodes(depth: int) -> list[int]:
    """Return the number of nodes of each level, lowest first."""
    return [2**height for height in reversed(range(depth))]


def _he_normal(nodes: int, generator: Generator) -> Level:
    scale = (2 / FAN_IN) ** 0.5
    return scale * torch.randn(nodes, 1, FAN_IN, generator=generator), torch.zeros(nodes)


def _torch_default(nodes: int, generator: Generator) -> Level:
    bound = FAN_IN**-0.5
    weight, bias = torch.empty(nodes, FAN_IN), torch.empty(nodes)
    weight.uniform_(-bound, bound, generator=generator)
    bias.uniform_(-bound, bound, generator=generator)
    return weight, bias
