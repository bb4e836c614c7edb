"""Squared derivatives of a dense network's loss at given targets, or expected over its own."""

from collections.abc import Iterator

import torch
from torch import Tensor

from fimtiers.networks import dense_stack
from fimtiers.networks.dense_stack import DenseStack, Tape


def loss_squares(stack: DenseStack, tape: Tape, delta: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield (l, δ_l²) from the last layer to the first, where δ_l = ∂ℓ/∂z_l.

    Parameters
    ----------
    stack, tape
        The networks and one evaluation of them.
    delta
        δ of the last layer at the given targets, shape (seed, row, n_L).

    Yields
    ------
    layer, squares
        Squares in float64, shape (seed, row, n_{l+1}).
    """
    for layer, _, own in dense_stack.backward(stack, tape, delta):
        yield layer, own.double().square()


def expected_squares(
    stack: DenseStack, tape: Tape, variance: float
) -> Iterator[tuple[int, Tensor]]:
    """Yield (l, E[δ_l²]) for targets drawn from a Gaussian likelihood around the outputs.

    With y ~ N(f, variance) per output, δ_L has the covariance 1/variance, so that E[δ_l²] is
    Σ_j (∂f_j/∂z_l)² / variance, one backward pass for each output j.

    Parameters
    ----------
    stack, tape
        The networks and one evaluation of them.
    variance
        Of each component of the target.

    Yields
    ------
    layer, squares
        As `loss_squares`, after all outputs have been summed.
    """
    output = tape.outputs[-1]
    sums = [torch.zeros(z.shape, dtype=torch.float64) for z in tape.outputs]
    for component in range(output.shape[-1]):
        delta = torch.zeros_like(output)
        delta[..., component] = variance**-0.5
        for layer, squares in loss_squares(stack, tape, delta):
            sums[layer] += squares
    yield from enumerate(sums)
