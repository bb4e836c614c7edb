"""Networks that are asked for what they were given: standard normal probes, and two losses."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from fimtiers.networks.modules import Draw
from fimtiers.networks.sampling import standard_normal


def normal_probes(
    shape: Sequence[int], dtype: torch.dtype, drawn: torch.dtype = torch.float32
) -> Draw:
    """Return what draws probes x ~ N(0, 1).

    Parameters
    ----------
    shape
        Shape of one probe.
    dtype
        Of the probes.
    drawn
        float32 or float64, in which they are drawn; the streams of the two are unrelated.
    """

    def draw(stream: Generator, probes: int) -> Tensor:
        return standard_normal([stream], probes, shape, drawn)[0].to(dtype)

    return draw


def half_squared_error(output: Tensor, x: Tensor) -> Tensor:
    """Return ½ mean (y − x)² over the last two axes, shape (...), of (..., position, dim)."""
    return (output - x).square().mean((-2, -1)) / 2


def first_input_error(output: Tensor, x: Tensor) -> Tensor:
    """Return ½ mean_j (y_j − x_1j)², shape (...), of y (..., dim) and x (..., time, dim)."""
    return (output - x[..., 0, :]).square().mean(-1) / 2
