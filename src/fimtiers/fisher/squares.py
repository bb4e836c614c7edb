"""Sums over samples of squared sums over tokens, the arithmetic heart of the engine.

With one token per sample the square of a sum is a product of squares, Σ_n (l_n r_n)² =
(l²)ᵀ r², one matrix product of non-negative numbers. With more tokens the per-sample sums are
formed in tiles that stay in the cache, or in registers by a compiled kernel, and squared there.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from fimtiers.fisher import fused, kernel
from fimtiers.fisher.sums import Part
from fimtiers.fisher.windows import Window, unfold

TILE_BYTES = 1 << 20
"""Size of a tile of per-sample gradients: the level-2 cache of one core of common CPUs."""

COLUMN_BYTES = 8 << 20
"""Unfolded inputs of at most this size exist at a time."""

MANY_POSITIONS = 128
"""From this many positions on, the library's gradient of one sample at a time is a faster route to
the square than tiles."""

MOST_POSITIONS = 512
"""From this many on it is also faster than the compiled kernel. Against the library's gradient of a
whole batch it costs 1.1 with 1024 positions, 1.4 with 256, 2.1 with 64 and 2.4 with 16; the
compiled kernel costs 1.2, 1.0, 1.0 and 1.0 (3×3 windows, 64 to 512 channels, one core)."""

LARGE_SAMPLE = 1 << 20
"""With fewer products per sample the calls would cost more than the work."""

FEW_GROUPS = 8
"""Up to this many groups are handled one after the other by the compiled kernel."""

FEW_ENTRIES = 1 << 12
"""Values of so few entries are squared in float64 if the sums are float64: that needs no scale,
and finding one would take longer."""

PEAK_EXPONENT = 16
"""Values are scaled to a peak near 2^16. Squares of float32 then reach 79 binary orders of values
below the peak before they underflow, and products of squares 64 above it before they overflow."""


class Scaler:
    """Scales tensors exactly, by powers of two, so that no square of note under- or overflows.

    Half precision becomes float32; float64 has range enough and is left as it is. What was
    squared is remembered, since weight and bias of a layer share a gradient.

    Attributes
    ----------
    fused
        Whether a kernel of `fimtiers.fisher.fused` squared something.
    wide
        Whether the sums are float64.
    """

    def __init__(self) -> None:
        self.fused = False
        self.wide = False
        self._squared: dict[tuple[int, ...], tuple[Tensor, Tensor, int]] = {}
        self._sums: dict[tuple[int, ...], tuple[Tensor, Tensor, int]] = {}

    def exponent(self, values: Tensor) -> int:
        """Return k that brings the peak of `values` / 2^k near 2^`PEAK_EXPONENT`."""
        if values.dtype == torch.float64:
            return 0
        exponent = peak_exponent(values) - PEAK_EXPONENT
        return max(-kernel.MAXIMUM_EXPONENT, min(exponent, kernel.MAXIMUM_EXPONENT))

    def scaled(self, values: Tensor) -> tuple[Tensor, int]:
        """Return `values` / 2^k and k."""
        exponent = self.exponent(values)
        if values.dtype == torch.float64:
            return values, exponent
        return values.to(torch.float32) * 2.0**-exponent, exponent

    def suits_wide(self, *tensors: Tensor) -> bool:
        """Return whether some tensors are best squared in float64."""
        return self.wide and all(values.numel() <= FEW_ENTRIES for values in tensors)

    def squared(self, values: Tensor, wide: bool = False) -> tuple[Tensor, int]:
        """Return `values`² / 4^k and k, in float64 without a scale if asked for."""
        key = (*_identity(values), wide)
        if key not in self._squared or not values.is_contiguous():
            if wide:
                scaled, exponent = values.double(), 0
            else:
                scaled, exponent = self.scaled(values)
            squares = values.square() if scaled is values else scaled.square_()
            # The values are kept, lest others come to lie at their address.
            self._squared[key] = values, squares, exponent
        _, squares, exponent = self._squared[key]
        return squares.reshape(values.shape), exponent

    def remember_sum(self, values: Tensor, squares: Tensor, exponent: int) -> None:
        """Note that Σ_n `values`_n² is `squares` · 4^`exponent`."""
        self._sums[_identity(values)] = values, squares, exponent

    def summed(self, values: Tensor) -> tuple[Tensor, int]:
        """Return Σ_n `values`_n² / 4^k over the first axis, and k."""
        known = self._sums.get(_identity(values))
        if known is not None:
            return known[1].view(values.shape[1:]), known[2]
        wide = (*_identity(values), True) in self._squared or self.suits_wide(values)
        squares, exponent = self.squared(values, wide)
        return squares.sum(0) if len(squares) > 1 else squares[0], exponent


def _identity(values: Tensor) -> tuple[int, ...]:
    """Return what two views of the same samples have in common."""
    return values.data_ptr(), values.numel(), values.shape[0], values.stride(0)


def peak_exponent(values: Tensor) -> int:
    """Return e with 2^(e − 1) <= max |values| < 2^e, `PEAK_EXPONENT` if all are zero.

    A few leading samples stand for all, unless they are all zero: the scale leaves room.
    """
    for some in (values[: kernel.PEAK_SAMPLES], values):
        if some.numel() and 0 < (peak := float(some.abs().amax())) < math.inf:
            return math.frexp(peak)[1]
    return PEAK_EXPONENT


def outer_squares(left: Tensor, right: Tensor, scaler: Scaler) -> tuple[Tensor, int]:
    """Return Σ_n (Σ_t left_nt ⊗ right_nt)² / 4^k and k.

    Parameters
    ----------
    left, right
        Shapes (sample, token, group, L) and (sample, token, group, R).
    scaler
        Of the gradient at hand.

    Returns
    -------
    Tensor
        Shape (group, L, R), float32 or float64.
    int
        k.
    """
    if left.shape[1] == 1:
        return _single_token_squares(left[:, 0], right[:, 0], scaler)
    left, right = _single_at_least(left), _single_at_least(right)
    if fused.suits(left, right):
        right, scale, exponent = _one_scale(left, right, scaler)
        scaler.fused = True
        return fused.token_squares(left, right, scale), exponent
    if _suits_kernel(left, right):
        left, scale, exponent = _one_scale(right, left, scaler)
        total = left.new_zeros(*left.shape[2:], right.shape[3])
        _add_by_kernel(total, left, right, scale)
        return total, exponent
    left, left_exponent = scaler.scaled(left)
    right, right_exponent = scaler.scaled(right)
    squares = _tile_squares(left.permute(0, 2, 3, 1), right.permute(0, 2, 1, 3))
    return squares, left_exponent + right_exponent


def add_outer_squares(part: Part, left: Tensor, right: Tensor, scaler: Scaler) -> None:
    """Add Σ_n (Σ_t left_nt ⊗ right_nt)² to sums, shape (group, L, R), contiguous.

    Other arguments are those of `outer_squares`. What the compiled kernel computes is added to
    the sums as it is, and never in memory otherwise.
    """
    if left.shape[1] > 1 and part.direct:
        wide_left, wide_right = _single_at_least(left), _single_at_least(right)
        if _suits_kernel(wide_left, wide_right):
            wide_left, scale, exponent = _one_scale(wide_right, wide_left, scaler)
            _add_by_kernel(part.view, wide_left, wide_right, scale, part.factor(exponent))
            return
    part.add(*outer_squares(left, right, scaler))


def _suits_kernel(left: Tensor, right: Tensor) -> bool:
    samples, tokens, groups, length = left.shape
    return groups <= FEW_GROUPS and kernel.suits_tokens(
        samples, tokens, length, right.shape[3], left, right
    )


def _add_by_kernel(
    total: Tensor, left: Tensor, right: Tensor, scale: float, factor: float = 1.0
) -> None:
    """Add factor · Σ_n (Σ_t scale · left_nt ⊗ right_nt)² to `total`, shape (group, L, R)."""
    for g, own in enumerate(total.unsqueeze(3)):
        kernel.add_token_squares(own, left[:, :, g], right[:, :, g], scale, factor)


def window_squares(
    fixed: Tensor, source: Tensor, window: Window, samples: int, scaler: Scaler
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
    scaler
        Of the gradient at hand.

    Returns
    -------
    Tensor
        Shape (group, L, R, tap).
    int
        k.
    """
    fixed, source = _single_at_least(fixed), _single_at_least(source)
    groups, left_size, right_size = fixed.shape[1], fixed.shape[2], source.shape[2]
    tokens = fixed[0, 0, 0].numel()
    if _suits_library(fixed, source, window, samples):
        source, scale, exponent = _one_scale(fixed, source, scaler)
        return _squares_sample_by_sample(fixed, source, window, samples, scale), exponent
    if _suits_window_kernel(fixed, source, samples):
        fixed, scale, exponent = _one_scale(source, fixed, scaler)
        total = fixed.new_zeros(groups, left_size, right_size, window.taps)
        _add_windows_by_kernel(total, fixed, source, window, scale)
        return total, exponent
    fixed, fixed_exponent = scaler.scaled(fixed)
    source, source_exponent = scaler.scaled(source)
    taps, images = window.taps, fixed.shape[0] // samples
    total = fixed.new_zeros(groups, left_size, right_size * taps)
    size = fixed.element_size() * images * groups * right_size * taps * tokens
    chunk = max(1, COLUMN_BYTES // max(1, size))
    for start in range(0, samples, chunk):
        part = slice(start * images, min(start + chunk, samples) * images)
        columns = unfold(source[part], window).flatten(2, 3).unflatten(0, (-1, images))
        left = fixed[part].flatten(3).unflatten(0, (-1, images))
        # (sample, image, group, channel, position) to (sample, group, channel, token)
        total += _tile_squares(
            left.permute(0, 2, 3, 1, 4).flatten(3), columns.permute(0, 2, 1, 4, 3).flatten(2, 3)
        )
    return total.unflatten(-1, (right_size, taps)), fixed_exponent + source_exponent


def add_window_squares(
    part: Part, fixed: Tensor, source: Tensor, window: Window, samples: int, scaler: Scaler
) -> None:
    """Add Σ_n (Σ over images and positions of fixed ⊗ window of source)² to sums.

    Their shape is (group, L, R, tap), and they are contiguous. Other arguments are those of
    `window_squares`. What the compiled kernel computes is added to the sums as it is.
    """
    wide_fixed, wide_source = _single_at_least(fixed), _single_at_least(source)
    if (
        part.direct
        and _suits_window_kernel(wide_fixed, wide_source, samples)
        and not _suits_library(wide_fixed, wide_source, window, samples)
    ):
        wide_fixed, scale, exponent = _one_scale(wide_source, wide_fixed, scaler)
        factor = part.factor(exponent)
        _add_windows_by_kernel(part.view, wide_fixed, wide_source, window, scale, factor)
        return
    part.add(*window_squares(fixed, source, window, samples, scaler))


def _suits_window_kernel(fixed: Tensor, source: Tensor, samples: int) -> bool:
    images, groups, length = fixed.shape[:3]
    return (
        samples == images
        and groups <= FEW_GROUPS
        and kernel.suits_tokens(
            samples, fixed[0, 0, 0].numel(), length, source.shape[2], fixed, source
        )
    )


def _suits_library(fixed: Tensor, source: Tensor, window: Window, samples: int) -> bool:
    """Return whether the library's gradient of one sample at a time is the fastest route."""
    products = fixed[0].numel() * source.shape[2] * window.taps
    compiled = _suits_window_kernel(fixed, source, samples)
    many = MOST_POSITIONS if compiled else MANY_POSITIONS
    return fixed.is_cpu and fixed[0, 0, 0].numel() >= many and products >= LARGE_SAMPLE


def _squares_sample_by_sample(
    fixed: Tensor, source: Tensor, window: Window, samples: int, scale: float
) -> Tensor:
    """Return the sum of squares of the weight gradients that the library gives for each sample."""
    groups, images = fixed.shape[1], fixed.shape[0] // samples
    source, padding = window.symmetric(source.flatten(1, 2))
    fixed = fixed.flatten(1, 2)
    weight = fixed.new_zeros(fixed.shape[1], source.shape[1] // groups, *window.kernel)
    total = torch.zeros_like(weight)
    none = [0] * len(padding)
    for start in range(0, samples * images, images):
        part = slice(start, start + images)
        _, gradient, _ = torch.ops.aten.convolution_backward(
            fixed[part] * scale, source[part], weight, None, window.stride, padding,
            window.dilation, False, none, groups, (False, True, False),
        )  # fmt: skip
        total.addcmul_(gradient, gradient)
    return total.flatten(2).unflatten(0, (groups, -1))


def _single_at_least(values: Tensor) -> Tensor:
    """Return values of half precision in float32, others as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _one_scale(one: Tensor, other: Tensor, scaler: Scaler) -> tuple[Tensor, float, int]:
    """Return the other side, a scale for the one that serves products of both, and its exponent.

    The other side is scaled itself only where one float32 could not hold the scale of both.
    """
    exponents = scaler.exponent(one), scaler.exponent(other)
    exponent = sum(exponents)
    if abs(exponent) > kernel.MAXIMUM_EXPONENT:
        return other * 2.0 ** -exponents[1], 2.0 ** -exponents[0], exponent
    return other, 2.0**-exponent, exponent


def _add_windows_by_kernel(
    total: Tensor,
    fixed: Tensor,
    source: Tensor,
    window: Window,
    scale: float,
    factor: float = 1.0,
) -> None:
    """Add to `total`, shape (group, L, R, tap), by the kernel, which reads windows in place."""
    rows = window.rows(tuple(source.shape[3:]))
    for g, own in enumerate(total):
        left, right = (x[:, g].flatten(2).transpose(1, 2) for x in (fixed, source))
        kernel.add_token_squares(own, left, right, scale, factor, rows)


def _single_token_squares(left: Tensor, right: Tensor, scaler: Scaler) -> tuple[Tensor, int]:
    """Return (l²)ᵀ r² / 4^k per group and k, from shapes (sample, group, L), (sample, group, R)."""
    if kernel.suits_pairs(left, right):
        squares, left_squares, exponent, other = kernel.pair_squares(left, right, PEAK_EXPONENT)
        scaler.remember_sum(left, left_squares, exponent)
        return squares, exponent + other
    wide = scaler.suits_wide(left, right)
    left, left_exponent = scaler.squared(left, wide)
    right, right_exponent = scaler.squared(right, wide)
    if left.shape[1] == 1:
        squares = (left[:, 0].t() @ right[:, 0]).unsqueeze(0)
    else:
        squares = left.permute(1, 2, 0) @ right.transpose(0, 1)
    return squares, left_exponent + right_exponent


def squares_by_rows(
    left: Tensor, right: Tensor, scaler: Scaler
) -> Iterator[tuple[slice, Tensor, int]]:
    """Yield Σ_n (left_n ⊗ right_n)² / 4^k of groups with one token, some rows at a time, and k.

    A tile of a large product is still in the cache when it is added to a sum.

    Parameters
    ----------
    left, right
        Shapes (sample, group, L) and (sample, group, R).
    scaler
        Of the gradient at hand.

    Yields
    ------
    slice
        Which of the rows, group · L.
    Tensor
        Shape (row, R).
    int
        k.
    """
    rows = max(1, TILE_BYTES // (right.shape[2] * right.element_size()))
    if left.shape[1] > 1 or left.shape[2] <= rows or kernel.suits_pairs(left, right):
        squares, exponent = _single_token_squares(left, right, scaler)
        yield slice(None), squares.flatten(0, 1), exponent
        return
    left, left_exponent = scaler.squared(left)
    right, right_exponent = scaler.squared(right)
    for start in range(0, left.shape[2], rows):
        some = slice(start, start + rows)
        yield some, left[:, 0, some].t() @ right[:, 0], left_exponent + right_exponent


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
