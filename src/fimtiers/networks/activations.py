"""Activation functions with their derivatives, and where these are almost zero or almost one."""

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
    flat
        Takes z, or φ(z) if `apply` overwrote it, and says where |φ'(z)| is below 0.01 for good:
        no larger |z| on that side has a larger slope. For ReLU where it is zero.
    linear
        Likewise where φ'(z) is within 0.01 of one.
    """

    apply: Callable[[Tensor], Tensor]
    pull_back: Callable[[Tensor, Tensor, Tensor], Tensor]
    flat: Callable[[Tensor], Tensor]
    linear: Callable[[Tensor], Tensor]


GELU_EDGE = 3.0674
"""|φ'(z)| < 0.01 for GELU below −3.0674; by φ'(−z) = 1 − φ'(z) it is near one above 3.0674."""
SILU_EDGE = 6.2614
"""The same for SiLU."""
TANH_FLAT = 0.99**0.5
"""1 − tanh² z < 0.01 where |tanh z| exceeds this."""
TANH_LINEAR = 0.1
"""1 − tanh² z > 0.99 where |tanh z| is less."""

ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(
        torch.relu_,
        lambda delta, z, a: aten.threshold_backward.grad_input(delta, a, 0, grad_input=delta),
        lambda a: a <= 0,
        lambda a: a > 0,
    ),
    "gelu": Activation(
        torch.nn.functional.gelu,
        lambda delta, z, a: aten.gelu_backward.grad_input(delta, z, grad_input=delta),
        lambda z: z < -GELU_EDGE,
        lambda z: z > GELU_EDGE,
    ),
    "tanh": Activation(
        torch.tanh_,
        lambda delta, z, a: aten.tanh_backward.grad_input(delta, a, grad_input=delta),
        lambda a: a.abs() > TANH_FLAT,
        lambda a: a.abs() < TANH_LINEAR,
    ),
    "silu": Activation(
        torch.nn.functional.silu,
        lambda delta, z, a: aten.silu_backward.grad_input(delta, z, grad_input=delta),
        lambda z: z < -SILU_EDGE,
        lambda z: z > SILU_EDGE,
    ),
    "identity": Activation(
        lambda z: z,
        lambda delta, z, a: delta,
        lambda z: torch.zeros_like(z, dtype=torch.bool),
        lambda z: torch.ones_like(z, dtype=torch.bool),
    ),
}
"""GELU is exact, with the error function; SiLU is also called swish."""
