"""Squares of sums over tokens, formed in vector registers; compiled when first imported.

The sums of one sample over its tokens, for a tile of rows of the left side and columns of the
right, never leave the registers: each token adds one product to each register, and after the last
one the squares are added to a panel in the second cache. numba does not let a program name
registers, so the tile is written for LLVM; the loops around it are plain numba.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

LONG_REGISTERS = bool(binding.get_host_cpu_features().get("avx512f", False))

LANES = 16 if LONG_REGISTERS else 8
"""Numbers in a vector; LLVM takes several registers for it where they are shorter."""

ROWS, VECTORS = 6, 4 if LONG_REGISTERS else 2
"""A tile of 6 × 4 vectors leaves 8 of 32 registers for factors, one of 6 × 2 leaves 4 of 16."""

WIDTH = VECTORS * LANES

PANEL_ROWS = 128 * ROWS
"""Rows of a panel of sums; with its columns it takes a fifth of a second cache of 1 MB."""

GROUP_TOKENS = 64
"""Tokens of the right side that stay in the first cache while the left side goes by."""

INDEX, NUMBER, BYTES = ir.IntType(64), ir.FloatType(), ir.IntType(8).as_pointer()
VECTOR = ir.VectorType(NUMBER, LANES)


class _Array:
    """Addresses in an array of numba, for code under construction."""

    def __init__(self, context: Any, builder: ir.IRBuilder, kind: Any, value: Any) -> None:
        array = make_array(kind)(context, builder, value)
        self.builder, self.data = builder, builder.bitcast(array.data, BYTES)
        self.shape = cgutils.unpack_tuple(builder, array.shape)
        self.strides = cgutils.unpack_tuple(builder, array.strides)

    def at(self, *indices: Any) -> Any:
        """Return the address of an entry."""
        address = self.data
        for index, stride in zip(indices, self.strides, strict=True):
            address = self.builder.gep(address, [self.builder.mul(index, stride)])
        return address


def _tile_adder(vectors: int) -> Callable[..., None]:
    """Return a function that adds the squares of one sample to a tile so many vectors wide.

    It adds (Σ_t left[sample, t, row + j] · right[sample, rows[tap, t], column + i])² to
    panel[place + j, i] for all j < `ROWS` and i < `vectors` · `LANES`. Past the last row of the
    left side it repeats that row.
    """
    tile = [(j, v) for j in range(ROWS) for v in range(vectors)]

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        left, right, rows, panel = (
            _Array(context, builder, kind, value)
            for kind, value in zip(signature.args[:4], values[:4], strict=True)
        )
        sample, row, tap, column, place = values[4:]
        _, tokens, length = left.shape
        last = builder.sub(length, INDEX(1))
        starts = []
        for j in range(ROWS):
            wanted = builder.add(row, INDEX(j))
            inside = builder.icmp_signed("<", wanted, last)
            starts.append(left.at(sample, INDEX(0), builder.select(inside, wanted, last)))

        before, loop = builder.block, builder.append_basic_block("token")
        builder.branch(loop)
        builder.position_at_end(loop)
        token, sums = builder.phi(INDEX), {entry: builder.phi(VECTOR) for entry in tile}
        source = right.at(sample, _load(builder, rows.at(tap, token), INDEX), column)
        x = [_load(builder, _vector(builder, source, v), VECTOR) for v in range(vectors)]
        step = builder.mul(token, left.strides[1])
        w = [_splat(builder, _load(builder, builder.gep(s, [step]), NUMBER)) for s in starts]
        grown = {(j, v): _fused(builder, w[j], x[v], sums[j, v]) for j, v in tile}
        following = builder.add(token, INDEX(1))
        token.add_incoming(INDEX(0), before)
        token.add_incoming(following, loop)
        for entry in tile:
            sums[entry].add_incoming(VECTOR(None), before)
            sums[entry].add_incoming(grown[entry], loop)

        after = builder.append_basic_block("squares")
        builder.cbranch(builder.icmp_signed("<", following, tokens), loop, after)
        builder.position_at_end(after)
        for j, v in tile:
            address = panel.at(builder.add(place, INDEX(j)), INDEX(v * LANES))
            total = _load(builder, address, VECTOR)
            total = _fused(builder, grown[j, v], grown[j, v], total)
            builder.store(total, builder.bitcast(address, VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    @intrinsic
    def add(
        context: Any, left: Any, right: Any, rows: Any, panel: Any,
        sample: Any, row: Any, tap: Any, column: Any, place: Any,
    ) -> Any:  # fmt: skip
        return types.void(left, right, rows, panel, *(types.intp,) * 5), generate

    return add


def _vector(builder: ir.IRBuilder, address: Any, number: int) -> Any:
    """Return the address so many vectors further on."""
    return builder.gep(address, [INDEX(number * LANES * np.dtype(np.float32).itemsize)])


def _load(builder: ir.IRBuilder, address: Any, kind: Any) -> Any:
    return builder.load(builder.bitcast(address, kind.as_pointer()), align=4)


def _splat(builder: ir.IRBuilder, number: Any) -> Any:
    """Return a vector of one number."""
    lane, nothing = ir.IntType(32), VECTOR(ir.Undefined)
    first = builder.insert_element(nothing, number, lane(0))
    return builder.shuffle_vector(first, nothing, ir.VectorType(lane, LANES)(None))


def _fused(builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> Any:
    """Return a · b + c, rounded once where the processor can."""
    flags = ("contract",)
    return builder.fadd(builder.fmul(a, b, flags=flags), c, flags=flags)


_add_wide, _add_narrow = _tile_adder(VECTORS), _tile_adder(1)


@njit("void(f4[:,:,:], f4, f4[:,:,:])", nogil=True, cache=True)
def copy_scaled(source: NDArray[Any], scale: Any, target: NDArray[Any]) -> None:
    """Set `target` to `source` · `scale`, shapes (sample, row, column).

    Made for sources whose rows lie next to each other and targets whose columns do: so many
    columns at once are a transposition in registers.
    """
    samples, rows, columns = source.shape
    whole = columns - columns % LANES
    for n in range(samples):
        for column in range(0, whole, LANES):
            for row in range(rows):
                for i in range(LANES):
                    target[n, row, column + i] = source[n, row, column + i] * scale
        for column in range(whole, columns):
            for row in range(rows):
                target[n, row, column] = source[n, row, column] * scale


@njit("void(f4[:,:,:], f4[:,:,::1], i8[:,::1], f4[:,::1], i8, i8, i8, i8)", nogil=True, cache=True)
def _fill_panel(
    left: NDArray[Any], right: NDArray[Any], rows: NDArray[Any], panel: NDArray[Any],
    begin: int, end: int, tap: int, column: int,
) -> None:  # fmt: skip
    """Set a panel to the squares of rows begin … end − 1 and as many columns as it has."""
    samples, tokens, _ = left.shape
    group = max(1, GROUP_TOKENS // tokens)
    panel[:] = 0
    for first in range(0, samples, group):
        for row in range(begin, end, ROWS):
            for n in range(first, min(first + group, samples)):
                if panel.shape[1] == WIDTH:
                    _add_wide(left, right, rows, panel, n, row, tap, column, row - begin)
                else:
                    _add_narrow(left, right, rows, panel, n, row, tap, column, row - begin)


@njit(
    ["void(f4[:,:,:], f4[:,:,::1], i8[:,::1], f8, f4[:,:,::1])",
     "void(f4[:,:,:], f4[:,:,::1], i8[:,::1], f8, f8[:,:,::1])"],
    nogil=True, cache=True,
)  # fmt: skip
def add_squares(
    left: NDArray[Any], right: NDArray[Any], rows: NDArray[Any], factor: float,
    total: NDArray[Any],
) -> None:  # fmt: skip
    """Add factor · Σ_n (Σ_t left[n, t, l] · right[n, rows[tap, t], r])² to total[l, r, tap].

    Parameters
    ----------
    left
        Shape (sample, token, L), with at least one token.
    right
        Shape (sample, row, C) where C is R or more and a multiple of `LANES`.
    rows
        Shape (tap, token).
    factor
        Of what is added.
    total
        Shape (L, R, tap), float32 or float64.
    """
    length, columns, taps = total.shape
    height = (min(length, PANEL_ROWS) + ROWS - 1) // ROWS * ROWS
    column = 0
    while column < columns:
        # What is left over is narrow: as many narrow tiles take little more time than a wide one.
        width = WIDTH if column + WIDTH <= columns else LANES
        panel = np.empty((height, width), np.float32)
        for tap in range(taps):
            for begin in range(0, length, PANEL_ROWS):
                end = min(begin + PANEL_ROWS, length)
                _fill_panel(left, right, rows, panel, begin, end, tap, column)
                for row in range(begin, end):
                    for i in range(min(width, columns - column)):
                        total[row, column + i, tap] += factor * np.float64(panel[row - begin, i])
        column += width
