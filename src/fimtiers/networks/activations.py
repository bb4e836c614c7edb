"""Activation functions with their derivatives, applied in place where that is possible."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """A function φ applied to each unit, and its derivative.

    Attributes
    ----------
    apply
        Takes z, returns φ(z); may overwrite z.
    pull_back
        Takes (δ, z, φ(z)) and multiplies δ by φ'(z) in place. If `apply` overwrote z, both
        arguments are φ(z).
    """

    apply: Callable[[Tensor], Tensor]
    pull_back: Callable[[Tensor, Tensor, Tensor], Tensor]


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(
        torch.relu_,
        lambda delta, z, a: aten.threshold_backward.grad_input(delta, a, 0, grad_input=delta),
    ),
    "gelu": Activation(
        torch.nn.functional.gelu,
        lambda delta, z, a: aten.gelu_backward.grad_input(delta, z, grad_input=delta),
    ),
    "tanh": Activation(
        torch.tanh_,
        lambda delta, z, a: aten.tanh_backward.grad_input(delta, a, grad_input=delta),
    ),
    "silu": Activation(
        torch.nn.functional.silu,
        lambda delta, z, a: aten.silu_backward.grad_input(delta, z, grad_input=delta),
    ),
    "identity": Activation(lambda z: z, lambda delta, z, a: delta),
}
"""GELU is exact, with the error function; SiLU is also called swish."""
