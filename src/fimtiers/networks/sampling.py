"""Normal random numbers for many seeds, in the order in which a program draws them call by call."""

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Generator, Tensor

NORMALS_PER_BLOCK = 16
"""On the CPU torch makes normals in blocks of 16, so calls of a multiple of 16 join seamlessly.

Smaller or odd sizes restart at each call and must be drawn one call at a time.
"""


def standard_normal(
    generators: Sequence[Generator],
    calls: int,
    shape: Sequence[int],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return what `calls` successive ``torch.randn(shape)`` give, for each generator.

    Parameters
    ----------
    generators
        One per seed; each is left where that many calls would leave it.
    calls
        Number of calls per seed.
    shape
        Shape of the result of one call.
    dtype
        float32 or float64; their streams are unrelated.

    Returns
    -------
    Tensor
        Shape (seed, call, *shape). The numbers of n calls are the first n of those of 2n calls.
    """
    out = torch.empty(len(generators), calls, *shape, dtype=dtype)
    joined = prod(shape) % NORMALS_PER_BLOCK == 0
    for row, generator in zip(out, generators, strict=True):
        for block in [row] if joined else row:
            block.normal_(generator=generator)
    return out


def standard_normal_chunks(
    generators: Sequence[Generator],
    calls: int,
    shape: Sequence[int],
    calls_per_chunk: int,
    dtype: torch.dtype = torch.float32,
) -> Iterator[Tensor]:
    """Yield the numbers of `standard_normal` in chunks of at most `calls_per_chunk` calls."""
    for first in range(0, calls, calls_per_chunk):
        yield standard_normal(generators, min(calls_per_chunk, calls - first), shape, dtype)
