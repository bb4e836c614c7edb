"""Sums over samples of squared sums over tokens, the arithmetic heart of the engine.

With one token per sample the square of a sum is a product of squares, Σ_n (l_n r_n)² =
(l²)ᵀ r², one matrix product of non-negative numbers. With more tokens the per-sample sums are
formed in tiles that stay in the cache, or in registers by a compiled kernel, and squared there.
"""

import math

import torch
from torch import Tensor

from fimtiers.fisher import kernel
from fimtiers.fisher.windows import Window, unfold

TILE_BYTES = 1 << 20
"""Size of a tile of per-sample gradients: the level-2 cache of one core of common CPUs."""

PEAK_EXPONENT = 16
"""Values are scaled so that the largest is near 2^16; squares of float32 then keep 53 binary
orders below the largest from underflow, and sums of 2^40 squares from overflow."""


def normalised(values: Tensor) -> tuple[Tensor, int]:
    """Return `values` / 2^k and k, scaled exactly so that no square of note under- or overflows.

    Half-precision values become float32; float64 has range enough and is returned as it is.
    """
    if values.dtype == torch.float64:
        return values, 0
    exponent = peak_exponent(values) - PEAK_EXPONENT
    return values.to(torch.float32) * 2.0**-exponent, exponent


def peak_exponent(values: Tensor) -> int:
    """Return e with 2^(e − 1) <= max |values| < 2^e; `PEAK_EXPONENT` if all are zero."""
    if values.numel() == 0:
        return PEAK_EXPONENT
    peak = float(torch.linalg.vector_norm(values.detach(), float("inf")))
    return math.frexp(peak)[1] if peak > 0 and math.isfinite(peak) else PEAK_EXPONENT


def outer_squares(left: Tensor, right: Tensor) -> tuple[Tensor, int]:
    """Return Σ_n (Σ_t left_nt ⊗ right_nt)² / 4^k and k.

    Parameters
    ----------
    left, right
        Shapes (sample, token, group, L) and (sample, token, group, R).

    Returns
    -------
    Tensor
        Shape (group, L, R), float32 or float64.
    int
        k.
    """
    left, left_exponent = normalised(left)
    right, right_exponent = normalised(right)
    exponent = left_exponent + right_exponent
    if left.shape[1] == 1:
        return _token_squares(left[:, 0], right[:, 0]), exponent
    if kernel.suits(left, right):
        return kernel.outer_squares(left, right), exponent
    return _tile_squares(left.permute(0, 2, 3, 1), right.permute(0, 2, 1, 3)), exponent


def window_squares(
    fixed: Tensor, source: Tensor, window: Window, samples: int
) -> tuple[Tensor, int]:
    """Return Σ_n (Σ over images and positions of fixed ⊗ window of source)² / 4^k and k.

    Parameters
    ----------
    fixed
        Shape (image, group, L, *positions).
    source
        Shape (image, group, R, *space), not padded.
    window
        Geometry.
    samples
        Number of samples; images of one sample follow each other.

    Returns
    -------
    Tensor
        Shape (group, L, R, tap).
    int
        k.
    """
    fixed, fixed_exponent = normalised(fixed)
    source, source_exponent = normalised(source)
    exponent = fixed_exponent + source_exponent
    if kernel.suits_window(fixed, source, samples):
        return kernel.window_squares(fixed, source, window), exponent
    groups, left_size, right_size = fixed.shape[1], fixed.shape[2], source.shape[2]
    taps, images = math.prod(window.kernel), fixed.shape[0] // samples
    total = fixed.new_zeros(groups, left_size, right_size * taps)
    column_bytes = (
        images * fixed.element_size() * groups * right_size * taps * fixed[0, 0, 0].numel()
    )
    chunk = max(1, COLUMN_BYTES // max(1, column_bytes))
    for start in range(0, samples, chunk):
        part = slice(start * images, min(start + chunk, samples) * images)
        columns = unfold(source[part], window).flatten(2, 3).unflatten(0, (-1, images))
        left = fixed[part].flatten(3).unflatten(0, (-1, images))
        # (sample, image, group, channel, position) to (sample, group, channel, token)
        total += _tile_squares(
            left.permute(0, 2, 3, 1, 4).flatten(3), columns.permute(0, 2, 1, 4, 3).flatten(2, 3)
        )
    return total.unflatten(-1, (right_size, taps)), exponent


COLUMN_BYTES = 8 << 20
"""Unfolded inputs of at most this size exist at a time."""


def _token_squares(left: Tensor, right: Tensor) -> Tensor:
    """Return (l²)ᵀ r² per group, from shapes (sample, group, L) and (sample, group, R)."""
    if left.shape[1] == 1:
        return (left[:, 0].square().t() @ right[:, 0].square()).unsqueeze(0)
    return left.square().permute(1, 2, 0) @ right.square().transpose(0, 1)


def _tile_squares(left: Tensor, right: Tensor) -> Tensor:
    """Return Σ_n (left_n right_n)², from shapes (sample, group, L, token), (…, token, R)."""
    samples, groups, left_size, tokens = left.shape
    right_size = right.shape[3]
    left = left.reshape(samples * groups, left_size, tokens)
    right = right.reshape(samples * groups, tokens, right_size)
    total = left.new_zeros(groups, left_size, right_size)
    rows = max(1, min(left_size, TILE_BYTES // (left.element_size() * groups * right_size)))
    chunk = max(1, TILE_BYTES // (left.element_size() * groups * rows * right_size))
    for start in range(0, samples, chunk):
        part = slice(start * groups, min(start + chunk, samples) * groups)
        for row in range(0, left_size, rows):
            tile = left[part, row : row + rows] @ right[part]
            target = total[:, row : row + rows]
            if tile.shape[0] == groups:
                target.addcmul_(tile, tile)
            else:
                target += tile.square_().unflatten(0, (-1, groups)).sum(0)
    return total
