"""Dense networks of one shape, one per seed, evaluated and differentiated together.

All seeds go through one batched matrix product per layer. The derivative is written by hand: that
allows squares per sample without gradients per sample, and training steps without allocation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from fimtiers import records
from fimtiers.networks.activations import Activation


@dataclass(frozen=True)
class DenseStack:
    """Parameters of S networks, each with L linear layers of sizes n_0, …, n_L.

    Attributes
    ----------
    flat
        All parameters in one contiguous vector, layer by layer, so that an optimiser updates
        everything in one operation; `weights` and `biases` are views of it.
    weights
        L tensors w_l of shape (seed, n_{l+1}, n_l).
    biases
        L tensors b_l of shape (seed, 1, n_{l+1}).
    activation
        Applied after every layer but the last.
    """

    flat: Tensor
    weights: list[Tensor]
    biases: list[Tensor]
    activation: Activation


@dataclass(frozen=True)
class Tape:
    """What the derivative needs from one evaluation.

    Attributes
    ----------
    inputs
        a_0, …, a_{L-1}, the input of each layer, shape (seed, row, n_l).
    outputs
        z_0, …, z_{L-1}, the output of each layer before the activation, shape
        (seed, row, n_{l+1}); overwritten by an activation that works in place. The last one is
        the output of the network.
    """

    inputs: list[Tensor]
    outputs: list[Tensor]


@dataclass(frozen=True)
class Buffers:
    """Memory for z_l and δ_l of each layer, so that a long loop allocates nothing."""

    outputs: Sequence[Tensor | None]
    deltas: Sequence[Tensor | None]


def forward(stack: DenseStack, x: Tensor, buffers: Buffers | None = None) -> Tape:
    """Evaluate z_l = a_l w_lᵀ + b_l and a_{l+1} = φ(z_l) for each row of a_0 = x.

    Parameters
    ----------
    stack
        The networks.
    x
        Inputs, shape (seed, row, n_0).
    buffers
        Memory to use, overwritten by the next evaluation; without it, memory is allocated.
    """
    out = buffers.outputs if buffers else [None] * len(stack.weights)
    inputs: list[Tensor] = [x]
    outputs: list[Tensor] = []
    for layer, (weight, bias) in enumerate(zip(stack.weights, stack.biases, strict=True)):
        if layer > 0:
            inputs.append(stack.activation.apply(outputs[-1]))
        outputs.append(torch.baddbmm(bias, inputs[-1], weight.mT, out=out[layer]))
    return Tape(inputs, outputs)


def backward(
    stack: DenseStack, tape: Tape, delta: Tensor, buffers: Buffers | None = None
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield (l, a_l, δ_l) from the last layer to the first, where δ_l = ∂ℓ/∂z_l for each row.

    δ_{l-1} = (δ_l w_l) ∘ φ'(z_{l-1}). The gradient of one row is the outer product of δ_l and a_l
    for the weights, and δ_l for the biases. Use what is yielded before asking for more.

    Parameters
    ----------
    stack, tape
        The networks and one evaluation of them.
    delta
        δ of the last layer, shape (seed, row, n_L).
    buffers
        Memory to use; without it, memory is allocated.
    """
    out = buffers.deltas if buffers else [None] * len(stack.weights)
    for layer in reversed(range(len(stack.weights))):
        yield layer, tape.inputs[layer], delta
        if layer > 0:
            delta = torch.bmm(delta, stack.weights[layer], out=out[layer])
            stack.activation.pull_back(delta, tape.outputs[layer - 1], tape.inputs[layer])


def zero_stack(
    seeds: int, sizes: Sequence[int], activation: Activation, dtype: torch.dtype = torch.float32
) -> DenseStack:
    """Return a stack whose parameters are all zero."""
    shapes: list[tuple[int, int, int]] = []
    for fan_in, fan_out in pairwise(sizes):
        shapes += [(seeds, fan_out, fan_in), (seeds, 1, fan_out)]
    flat = torch.zeros(sum(map(prod, shapes)), dtype=dtype)
    parts = flat.split([prod(shape) for shape in shapes])
    views = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
    return DenseStack(flat, views[::2], views[1::2], activation)


def stack_from_theta(theta: Tensor, sizes: Sequence[int], activation: Activation) -> DenseStack:
    """Return the stack with parameters `theta`, shape (seed, parameter), in the same precision."""
    stack = zero_stack(theta.shape[0], sizes, activation, theta.dtype)
    views = _in_order(stack)
    columns = theta.split([view[0].numel() for view in views], dim=1)
    for view, column in zip(views, columns, strict=True):
        view.copy_(column.reshape(view.shape))
    return stack


def theta_from_stack(stack: DenseStack) -> NDArray[Any]:
    """Return the parameters, shape (seed, parameter): w_0, b_0, w_1, b_1, …, each in C order."""
    return torch.cat([view.flatten(1) for view in _in_order(stack)], dim=1).numpy()


def tensor_table(sizes: Sequence[int]) -> tuple[records.Tensor, ...]:
    """Name the tensors in the order of `theta_from_stack`."""
    table: list[records.Tensor] = []
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        table += [
            records.Tensor(f"layers.{layer}.weight", layer, "weight", (fan_out, fan_in)),
            records.Tensor(f"layers.{layer}.bias", layer, "bias", (fan_out,)),
        ]
    return tuple(table)


def zeros_like(stack: DenseStack) -> DenseStack:
    """Return a stack of the same shape whose parameters are all zero."""
    seeds, sizes = stack.weights[0].shape[0], [w.shape[2] for w in stack.weights]
    sizes.append(stack.weights[-1].shape[1])
    return zero_stack(seeds, sizes, stack.activation, stack.flat.dtype)


def buffers_for(stack: DenseStack, rows: int) -> Buffers:
    """Return memory for evaluations of `rows` inputs per seed."""
    shapes = [(weight.shape[0], rows, weight.shape[1]) for weight in stack.weights]
    outputs = [stack.flat.new_empty(shape) for shape in shapes]
    deltas = [None] + [stack.flat.new_empty(shape) for shape in shapes[:-1]]
    return Buffers(outputs, deltas)


def _in_order(stack: DenseStack) -> list[Tensor]:
    return [view for pair in zip(stack.weights, stack.biases, strict=True) for view in pair]
