"""Compiled sums of squares for float32 on the processor: no per-sample gradient leaves the cache.

Compiled by numba when first needed, and kept on disk. With one token per sample, arithmetic is
blocked so that the compiler keeps sums in vector registers: a row of the left side times the
right, eight samples per step. Steps past the end repeat the last entry with weight zero, which
spares special cases. For more tokens `register_tiles` has the code.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MINIMUM_PRODUCTS = 1 << 19
"""Below this many products the compiled code is not worth loading."""

MINIMUM_LENGTH = 16
"""Shortest vectorised axis: one register of float32."""

PAIR_LENGTH = 256
"""Longest axes of the kernel for one token; larger matrix products are faster in a library."""

SINGLE_THREAD_TOKENS = 32
"""From this many tokens on, a library with several threads beats one thread of this code."""

COPY_BYTES = 8 << 20
"""Copies of the right side of at most this size exist at a time."""

BLOCK_BYTES = 1 << 20
"""Rows of the left side go by in blocks of about this size, a second cache: the kernel reads each
as often as the right side has panels."""

LEAST_BLOCK = 192
"""Fewest rows of a block, a multiple of the rows of all tiles."""

LINE = 16
"""Numbers of float32 in a line of the cache."""

PAIRS = "UniTuple(i8, 2)(f4[:,:,::1], f4[:,:,::1], i8, f4[:,:,::1], f4[:,::1])"

PEAK_SAMPLES = 32
"""Samples whose largest value sets a scale, unless all are zero."""

MAXIMUM_EXPONENT = 120
"""Largest power of two to scale by, inside the range of float32."""

FAST = {"reassoc", "contract", "nsz"}
"""Sums may be reordered and fused; infinities and NaN keep their meaning."""


def suits_pairs(left: Tensor, right: Tensor) -> bool:
    """Return whether `pair_squares` applies: shapes (sample, group, L) and (sample, group, R)."""
    shorter, longer = sorted((left.shape[2], right.shape[2]))
    return (
        shorter >= MINIMUM_LENGTH
        and longer <= PAIR_LENGTH
        and left.numel() * right.shape[2] >= MINIMUM_PRODUCTS
        and _on_processor(left, right)
    )


def suits_tokens(samples: int, tokens: int, left: int, right: int, *tensors: Tensor) -> bool:
    """Return whether `token_squares` applies."""
    return (
        _on_processor(*tensors)
        and right >= MINIMUM_LENGTH
        and samples * tokens * left * right >= MINIMUM_PRODUCTS
        and (torch.get_num_threads() == 1 or tokens < SINGLE_THREAD_TOKENS)
    )


def pair_squares(left: Tensor, right: Tensor, peak: int) -> tuple[Tensor, Tensor, int, int]:
    """Return Σ_n l_n² ⊗ r_n² and Σ_n l_n² per group, each side scaled exactly first.

    Parameters
    ----------
    left, right
        Shapes (sample, group, L) and (sample, group, R).
    peak
        The largest value of leading samples is scaled to nearly 2^`peak`.

    Returns
    -------
    squares
        Σ_n l_n² ⊗ r_n² / 4^(k + m), shape (group, L, R).
    left_squares
        Σ_n l_n² / 4^k, shape (group, L).
    k, m
        Exponents of the scales of left and right.
    """
    groups = left.shape[1]
    total = left.new_zeros(groups, left.shape[2], right.shape[2])
    left_total = left.new_zeros(groups, left.shape[2])
    left_exponent, right_exponent = _compiled(_add_pairs, PAIRS)(
        left.transpose(0, 1).contiguous().numpy(),
        right.transpose(0, 1).contiguous().numpy(),
        peak,
        total.numpy(),
        left_total.numpy(),
    )
    return total, left_total, left_exponent, right_exponent


def token_squares(left: Tensor, right: Tensor, scale: float, rows: Tensor | None = None) -> Tensor:
    """Return Σ_n (Σ_t scale · left_nt ⊗ right_n,rows(tap, t))², shape (L, R, tap).

    Arguments are those of `add_token_squares`.
    """
    taps = 1 if rows is None else rows.shape[0]
    total = left.new_zeros(left.shape[2], right.shape[2], taps)
    add_token_squares(total, left, right, scale, rows=rows)
    return total


def add_token_squares(
    total: Tensor,
    left: Tensor,
    right: Tensor,
    scale: float,
    factor: float = 1.0,
    rows: Tensor | None = None,
) -> None:
    """Add factor · Σ_n (Σ_t scale · left_nt ⊗ right_n,rows(tap, t))² to sums.

    Parameters
    ----------
    total
        Shape (L, R, tap), float32 or float64, contiguous.
    left
        Shape (sample, token, L), any strides.
    right
        Shape (sample, row, R), any strides.
    scale, factor
        Powers of two.
    rows
        Row of `right` that each tap reads at each token, counted from one, shape (tap, token);
        row zero holds zeros. By default one tap that reads all rows in order.
    """
    from fimtiers.fisher import register_tiles

    if rows is None:
        rows = torch.arange(1, left.shape[1] + 1, device="cpu").unsqueeze(0)
    places, target = rows.contiguous().numpy(), total.numpy()
    chunk = max(1, COPY_BYTES // (right[0].numel() * right.element_size()))
    for start in range(0, len(right), chunk):
        part = slice(start, start + chunk)
        copy, given = _rows_from_one(right[part], scale).numpy(), left[part]
        for some in row_blocks(given):
            block = given[:, :, some]
            if given.stride(2) == 1 and given.nbytes > COPY_BYTES:
                block = block.contiguous()  # rows far apart share few places in the cache
            register_tiles.add_squares(block.numpy(), copy, places, factor, target[some])


def row_blocks(left: Tensor) -> list[slice]:
    """Return the rows of `left`, shape (sample, token, L), in blocks that stay in the cache."""
    length = left.shape[2]
    size = max(LEAST_BLOCK, BLOCK_BYTES // max(1, left[:, :, :1].numel() * left.element_size()))
    return [slice(start, start + size) for start in range(0, length, size)]


def _rows_from_one(values: Tensor, scale: float) -> Tensor:
    """Return `values` · `scale` after a row of zeros, and zeros after the last column.

    A row takes an odd number of lines of the cache, or else rows would share few places in it.
    """
    from fimtiers.fisher import register_tiles

    samples, rows, columns = values.shape
    copy = values.new_empty(samples, rows + 1, (-(-columns // LINE) | 1) * LINE)
    copy[:, 0], copy[:, :, columns:] = 0, 0
    inside = copy[:, 1:, :columns]
    if values.stride(2) == 1:
        torch.mul(values, scale, out=inside)
    else:
        register_tiles.copy_scaled(values.numpy(), np.float32(scale), inside.numpy())
    return copy


def _on_processor(*tensors: Tensor) -> bool:
    return all(t.dtype == torch.float32 and t.is_cpu for t in tensors)


@cache
def _compiled(function: Callable[..., Any], signature: str) -> Callable[..., Any]:
    """Return `function` in machine code."""
    import numba

    return numba.njit(signature, fastmath=FAST, nogil=True, cache=True)(function)


def _add_pairs(
    lefts: NDArray[Any],
    rights: NDArray[Any],
    peak: int,
    totals: NDArray[Any],
    left_totals: NDArray[Any],
) -> tuple[int, int]:
    groups, samples, length = rights.shape
    outputs = lefts.shape[2]
    exponents = np.zeros(2, np.int64)
    for side in range(2):
        values = lefts if side == 0 else rights
        largest = np.float32(0)
        for g in range(groups):
            for n in range(samples):
                if n < PEAK_SAMPLES or largest == 0:
                    for i in range(values.shape[2]):
                        largest = max(largest, abs(values[g, n, i]))
        if 0 < largest < np.inf:
            exponent = math.frexp(largest)[1] - peak
            exponents[side] = max(-MAXIMUM_EXPONENT, min(exponent, MAXIMUM_EXPONENT))
    left_scale = np.float32(math.ldexp(1.0, -exponents[0]))
    right_scale = np.float32(math.ldexp(1.0, -exponents[1]))
    r = np.empty((8, length), np.float32)
    r0, r1, r2, r3, r4, r5, r6, r7 = r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]
    for g in range(groups):
        left, right, total, left_total = lefts[g], rights[g], totals[g], left_totals[g]
        for start in range(0, samples, 8):
            last = min(start + 8, samples) - 1
            n1, n2, n3 = min(start + 1, last), min(start + 2, last), min(start + 3, last)
            n4, n5, n6 = min(start + 4, last), min(start + 5, last), min(start + 6, last)
            for k in range(8):
                # Past the end the right is zero; what the left repeats does not matter.
                weight = right_scale if start + k <= last else np.float32(0)
                for i in range(length):
                    x = right[min(start + k, last), i] * weight
                    r[k, i] = x * x
            for o in range(outputs):
                l0, l1 = left[start, o] * left_scale, left[n1, o] * left_scale
                l2, l3 = left[n2, o] * left_scale, left[n3, o] * left_scale
                l4, l5 = left[n4, o] * left_scale, left[n5, o] * left_scale
                l6, l7 = left[n6, o] * left_scale, left[last, o] * left_scale
                l0, l1, l2, l3 = l0 * l0, l1 * l1, l2 * l2, l3 * l3
                l4, l5, l6, l7 = l4 * l4, l5 * l5, l6 * l6, l7 * l7
                f = total[o]
                for i in range(length):
                    f[i] += (
                        l0 * r0[i] + l1 * r1[i] + l2 * r2[i] + l3 * r3[i]
                        + l4 * r4[i] + l5 * r5[i] + l6 * r6[i] + l7 * r7[i]
                    )  # fmt: skip
        for n in range(samples):
            for o in range(outputs):
                x = left[n, o] * left_scale
                left_total[o] += x * x
    return exponents[0], exponents[1]
