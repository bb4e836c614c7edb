"""Initial weights and biases of dense networks, drawn as torch draws them."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

Parameters = list[Tensor]
"""Weight (out, in) and bias (out,) of each layer in turn: w_0, b_0, w_1, b_1, …"""


def initialise(
    name: str, sizes: Sequence[int], generator: Generator, *, in_turn: bool = False
) -> Parameters:
    """Draw the float32 parameters of one dense network.

    The stream of random numbers is that of ordinary torch code: the layers are constructed in
    order, each drawing its default weight and then its default bias; any other initialisation
    then goes over the layers once more. So it equals, bit for bit, ``torch.manual_seed`` followed
    by a list of ``nn.Linear`` and the functions of ``torch.nn.init``.

    Parameters
    ----------
    name
        A key of `INITIALISATIONS`.
    sizes
        Number of units of each layer, inputs first: (n_0, …, n_L) for L linear layers.
    generator
        Where the numbers come from; it is left behind the last draw.
    in_turn
        Draw another initialisation of each layer as soon as that layer is constructed.

    Returns
    -------
    list of Tensor
        w_0, b_0, w_1, b_1, … with w_l of shape (n_{l+1}, n_l) and b_l of shape (n_{l+1},).

    Raises
    ------
    ValueError
        If there is no initialisation of that name.
    """
    if name not in INITIALISATIONS:
        raise ValueError(f"initialisation {name!r}; allowed: {', '.join(INITIALISATIONS)}")
    parameters: Parameters = []
    for fan_in, fan_out in pairwise(sizes):
        layer = torch_default(fan_in, fan_out, generator)
        if in_turn:
            INITIALISATIONS[name](layer, generator)
        parameters += layer
    if not in_turn:
        INITIALISATIONS[name](parameters, generator)
    return parameters


def torch_default(fan_in: int, fan_out: int, generator: Generator) -> Parameters:
    """Draw weight and bias of ``nn.Linear``: both uniform on ±1/√fan_in.

    The weight variance is 1/(3 fan_in), a sixth of He's 2/fan_in, and the biases are not zero.
    """
    weight, bias = torch.empty(fan_out, fan_in), torch.empty(fan_out)
    # Negative slope √5 makes torch's He-uniform bound equal to 1/√fan_in.
    nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)
    nn.init.uniform_(bias, -(fan_in**-0.5), fan_in**-0.5, generator=generator)
    return [weight, bias]


def keep_default(parameters: Parameters, generator: Generator) -> None:
    """Leave torch's default draws as they are."""


def he_normal(parameters: Parameters, generator: Generator) -> None:
    """Weights normal with variance 2/fan_in, biases zero (He et al. 2015, arXiv:1502.01852)."""
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(bias)


def xavier_normal(parameters: Parameters, generator: Generator) -> None:
    """Weights normal with variance 2/(fan_in + fan_out), biases zero (Glorot & Bengio 2010)."""
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        nn.init.xavier_normal_(weight, generator=generator)
        nn.init.zeros_(bias)


def orthogonal(parameters: Parameters, generator: Generator) -> None:
    """Weights √2 times a random orthogonal matrix, biases zero (Saxe et al. 2014)."""
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        nn.init.orthogonal_(weight, gain=2**0.5, generator=generator)
        nn.init.zeros_(bias)


def identity_with_noise(parameters: Parameters, generator: Generator) -> None:
    """Weights 1 + ε with ε normal of deviation 0.01/√n, n the larger side; biases zero.

    Where a matrix is not square, a random one with orthonormal rows or columns is in place of 1.
    """
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        if weight.shape[0] == weight.shape[1]:
            nn.init.eye_(weight)
        else:
            nn.init.orthogonal_(weight, generator=generator)
        noise = torch.randn(weight.shape, generator=generator)
        weight.add_(NOISE / max(weight.shape) ** 0.5 * noise)
        nn.init.zeros_(bias)


NOISE = 0.01
"""Size of the noise on the identity, over √n."""

INITIALISATIONS: dict[str, Callable[[Parameters, Generator], None]] = {
    "torch_default": keep_default,
    "he_normal": he_normal,
    "xavier_normal": xavier_normal,
    "orthogonal": orthogonal,
    "identity_with_noise": identity_with_noise,
}
