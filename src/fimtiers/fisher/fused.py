"""Sums of squares on a GPU without a per-sample gradient in its memory, by a Triton kernel.

One program computes one tile of F = Σ_n (Σ_t l_nt ⊗ r_nt)². It goes through the samples; for each
it adds up the products over tokens in registers, squares them there and adds them to the tile.
What is read is L · R · N · T · (1 / `ROWS` + 1 / `COLUMNS`) numbers; the tiles of
`fimtiers.fisher.squares` write and read L · R · N numbers instead. The kernel moves less where
samples have fewer than `ROWS` tokens or so. Whether that is faster has not been measured: the
kernel is used only if asked for, by ``FIMTIERS_TRITON=1`` in the environment.
"""

import os
from functools import cache
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

ROWS, COLUMNS, TOKENS = 64, 64, 32
"""Size of the tile of one program, and tokens that it reads at a time."""

REQUEST = "FIMTIERS_TRITON"


def suits(left: Tensor, right: Tensor) -> bool:
    """Return whether the kernel is asked for and applies: float32 on a GPU, with Triton there."""
    return (
        os.environ.get(REQUEST) == "1"
        and all(t.is_cuda and t.dtype == torch.float32 for t in (left, right))
        and find_spec("triton") is not None
    )


def token_squares(left: Tensor, right: Tensor, scale: float) -> Tensor:
    """Return Σ_n (Σ_t scale · left_nt ⊗ right_nt)² for each group.

    Parameters
    ----------
    left, right
        float32, shapes (sample, token, group, L) and (sample, token, group, R), any strides.
    scale
        A power of two.

    Returns
    -------
    Tensor
        Shape (group, L, R). Products are those of float32, not of TF32.
    """
    samples, tokens, groups, rows = left.shape
    columns = right.shape[3]
    total = left.new_empty(groups, rows, columns)
    grid = (-(-rows // ROWS), -(-columns // COLUMNS), groups)
    _kernels().add_squares[grid](
        left, right, total, samples, tokens, rows, columns, scale, *left.stride(), *right.stride(),
        ROWS=ROWS, COLUMNS=COLUMNS, TOKENS=TOKENS,
    )  # fmt: skip
    return total


@cache
def _kernels() -> ModuleType:
    from fimtiers.fisher import triton_kernels  # needs Triton, which may not be there

    return triton_kernels
