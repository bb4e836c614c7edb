"""Compiled counting of float32 bit patterns, near one store per value.

The counter of an upper half is two words side by side: 2⁴⁰ plus the lower half is added to the
first, the square of the lower half to the second, so that one vector addition moves the number of
values, their sum and the sum of their squares at once. `PIECE` values can be counted before a word
overflows; `move_counts` then empties the counters.

Patterns are read by address: arrays of them must be contiguous.

The same pass can pick out the values of a few ranges of upper halves. That is written without
branches that depend on single values: a mispredicted branch costs more than the value does.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LOWER_BITS = 16
LOWER_VALUES = 1 << LOWER_BITS
ALL_BINS = 1 << 16
"""Upper halves, those with the sign bit among them."""

COUNT_SHIFT = 40
PIECE = 1 << 23
"""The number of values that share a counter must fit in 64 − 40 bits."""

LANES = 32
"""Values that are compared with the ranges in one step."""

BLOCK = 1 << 14
"""Values between two visits to what was found; they are still in the cache then."""

AHEAD = 1 << 13
"""Bytes ahead of the current value to fetch from memory: the counters leave the processor too
little room to look ahead by itself."""

RANGES = 4
"""At most so many ranges of upper halves are looked for; each number is compiled by itself."""

_I16, _I32, _I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
_WORDS = 4


def ranges(pairs: list[tuple[int, int]]) -> tuple[np.uint16, ...]:
    """Return inclusive ranges of upper halves as first bin and length, one after the other."""
    return tuple(np.uint16(n) for low, high in pairs for n in (low, high - low + 1))


@intrinsic
def _count_four(typingctx: Any, at: Any, table: Any) -> Any:
    """Add the four patterns at one address to the counters at another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at, table = arguments
        patterns = builder.load(_pointer(builder, at, ir.VectorType(_I32, _WORDS)), align=4)
        wide = builder.zext(patterns, ir.VectorType(_I64, _WORDS))
        lower = builder.and_(wide, _repeated(_I64, LOWER_VALUES - 1, _WORDS))
        first = builder.or_(lower, _repeated(_I64, 1 << COUNT_SHIFT, _WORDS))
        second = builder.mul(lower, lower)
        single = _pointer(builder, at, _I32)
        counters = _pointer(builder, table, ir.VectorType(_I64, 2))
        for lane in range(_WORDS):
            words = ir.Constant(ir.VectorType(_I32, 2), [lane, _WORDS + lane])
            addend = builder.shuffle_vector(first, second, words)
            pattern = builder.load(builder.gep(single, [ir.Constant(_I32, lane)]), align=4)
            upper = builder.zext(builder.lshr(pattern, ir.Constant(_I32, LOWER_BITS)), _I64)
            counter = builder.gep(counters, [upper])
            builder.store(builder.add(builder.load(counter, align=8), addend), counter, align=8)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp), generate


@intrinsic
def _lanes_inside(typingctx: Any, at: Any, wanted: Any) -> Any:
    """Return, as bits, which of the `LANES` patterns at an address are in one of the ranges."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at, wanted = arguments
        patterns = builder.load(_pointer(builder, at, ir.VectorType(_I32, LANES)), align=4)
        shifted = builder.lshr(patterns, _repeated(_I32, LOWER_BITS, LANES))
        upper = builder.trunc(shifted, ir.VectorType(_I16, LANES))
        inside = None
        for number in range(0, len(signature.args[1]), 2):
            first, length = (
                _in_all_lanes(builder, builder.extract_value(wanted, n))
                for n in (number, number + 1)
            )
            found = builder.icmp_unsigned("<", builder.sub(upper, first), length)
            inside = found if inside is None else builder.or_(inside, found)
        return builder.zext(builder.bitcast(inside, ir.IntType(LANES)), _I64)

    return types.uint64(types.uintp, wanted), generate


@intrinsic
def _fetch(typingctx: Any, at: Any) -> Any:
    """Ask for the cache line of an address, which need not be a valid one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [pointer, _I32, _I32, _I32]),
            "llvm.prefetch.p0",
        )
        to_read, keep, data = ir.Constant(_I32, 0), ir.Constant(_I32, 3), ir.Constant(_I32, 1)
        address = builder.inttoptr(arguments[0], pointer)
        builder.call(function, [address, to_read, keep, data])
        return context.get_dummy_value()

    return types.void(types.uintp), generate


@intrinsic
def _lowest_bit(typingctx: Any, bits: Any) -> Any:
    """Return the place of the lowest bit of a number that is not zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


def _pointer(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _repeated(kind: Any, value: int, lanes: int) -> Any:
    return ir.Constant(ir.VectorType(kind, lanes), [value] * lanes)


def _in_all_lanes(builder: Any, value: Any) -> Any:
    vector = ir.VectorType(value.type, LANES)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, one, _repeated(_I32, 0, LANES))


@numba.njit(nogil=True)
def count_patterns(patterns, table):  # type: ignore[no-untyped-def]
    """Add at most `PIECE` patterns to the counters, uint64, shape (2¹⁶, 2)."""
    at, counters = patterns.ctypes.data, table.ctypes.data
    whole = len(patterns) // LANES * LANES
    for i in range(0, whole, LANES):
        for step in range(0, LANES, 16):
            _fetch(at + 4 * (i + step) + AHEAD)
        if not _count_alike(patterns, i, table):
            for step in range(0, LANES, 4):
                _count_four(at + 4 * (i + step), counters)
    _count_rest(patterns, whole, table)


@numba.njit(nogil=True)
def count_and_select(patterns, table, wanted, selected, taken):  # type: ignore[no-untyped-def]
    """Count patterns as `count_patterns` does, and copy those in the ranges `wanted`.

    They are written to `selected` from place `taken` on. Returns the number of places taken: all of
    them if there may have been too few.
    """
    at, counters = patterns.ctypes.data, table.ctypes.data
    found = np.empty(BLOCK // LANES + 1, np.uint64)
    whole = len(patterns) // LANES * LANES
    for start in range(0, whole, BLOCK):
        hits = 0
        for i in range(start, min(start + BLOCK, whole), LANES):
            for step in range(0, LANES, 16):
                _fetch(at + 4 * (i + step) + AHEAD)
            lanes = _lanes_inside(at + 4 * i, wanted)
            found[hits] = np.uint64(i - start) << np.uint64(LANES) | lanes
            hits += lanes != 0
            if not _count_alike(patterns, i, table):
                for step in range(0, LANES, 4):
                    _count_four(at + 4 * (i + step), counters)
        taken = _take(patterns, start, found, hits, selected, taken)
    _count_rest(patterns, whole, table)
    return _select_rest(patterns, whole, wanted, selected, taken)


@numba.njit(nogil=True)
def select_patterns(patterns, wanted, selected):  # type: ignore[no-untyped-def]
    """Copy the patterns in the ranges `wanted` to `selected`, as long; return how many."""
    at, taken = patterns.ctypes.data, 0
    found = np.empty(BLOCK // LANES + 1, np.uint64)
    whole = len(patterns) // LANES * LANES
    for start in range(0, whole, BLOCK):
        hits = 0
        for i in range(start, min(start + BLOCK, whole), LANES):
            lanes = _lanes_inside(at + 4 * i, wanted)
            found[hits] = np.uint64(i - start) << np.uint64(LANES) | lanes
            hits += lanes != 0
        taken = _take(patterns, start, found, hits, selected, taken)
    return _select_rest(patterns, whole, wanted, selected, taken)


@numba.njit(nogil=True)
def move_counts(table, bins):  # type: ignore[no-untyped-def]
    """Add the counters of numbers that are not negative to `bins`, and set them to zero."""
    lower = np.uint64((1 << COUNT_SHIFT) - 1)
    for upper in range(len(bins)):
        first = table[upper, 0]
        if first:
            bins[upper, 0] += np.int64(first >> np.uint64(COUNT_SHIFT))
            bins[upper, 1] += np.int64(first & lower)
            bins[upper, 2] += np.int64(table[upper, 1])
            table[upper, 0] = table[upper, 1] = 0


@numba.njit(nogil=True)
def count_lower(patterns, slot, counts):  # type: ignore[no-untyped-def]
    """Count the lower halves of the patterns whose upper half has a slot."""
    for i in range(len(patterns)):
        row = slot[patterns[i] >> np.uint32(LOWER_BITS)]
        if row >= 0:
            counts[row, patterns[i] & np.uint32(LOWER_VALUES - 1)] += 1


@numba.njit(nogil=True)
def count_places(patterns, starts, length):  # type: ignore[no-untyped-def]
    """Return how many values of each upper half are in stretches that begin at `starts`."""
    counts = np.zeros(ALL_BINS, np.int64)
    for start in starts:
        for i in range(start, start + length):
            counts[patterns[i] >> np.uint32(LOWER_BITS)] += 1
    return counts


@numba.njit(inline="always")
def _take(patterns, start, found, hits, selected, taken):  # type: ignore[no-untyped-def]
    if taken + LANES * hits > len(selected):
        return len(selected)
    for hit in range(hits):
        lanes = found[hit] & np.uint64((1 << LANES) - 1)
        first = start + np.int64(found[hit] >> np.uint64(LANES))
        while lanes:
            selected[taken] = patterns[first + _lowest_bit(lanes)]
            taken += 1
            lanes &= lanes - np.uint64(1)
    return taken


@numba.njit
def _count_alike(patterns, start, table):  # type: ignore[no-untyped-def]
    """Count `LANES` patterns together if one bin takes all; return whether it does.

    Runs of one bin, such as zeros, would wait for their counter at each value.
    """
    upper = patterns[start] >> np.uint32(LOWER_BITS)
    if patterns[start + LANES - 1] >> np.uint32(LOWER_BITS) != upper:
        return False
    other, first, second = np.uint32(0), np.uint64(0), np.uint64(0)
    for i in range(start, start + LANES):
        other |= (patterns[i] >> np.uint32(LOWER_BITS)) ^ upper
        lower = np.uint64(patterns[i] & np.uint32(LOWER_VALUES - 1))
        first += lower
        second += lower * lower
    if other:
        return False
    table[upper, 0] += np.uint64(LANES << COUNT_SHIFT) + first
    table[upper, 1] += second
    return True


@numba.njit
def _count_rest(patterns, start, table):  # type: ignore[no-untyped-def]
    for i in range(start, len(patterns)):
        lower = np.uint64(patterns[i] & np.uint32(LOWER_VALUES - 1))
        upper = patterns[i] >> np.uint32(LOWER_BITS)
        table[upper, 0] += np.uint64(1 << COUNT_SHIFT) | lower
        table[upper, 1] += lower * lower


@numba.njit
def _select_rest(patterns, start, wanted, selected, taken):  # type: ignore[no-untyped-def]
    for i in range(start, len(patterns)):
        upper = patterns[i] >> np.uint32(LOWER_BITS)
        for number in range(0, len(wanted), 2):
            first, length = np.int64(wanted[number]), np.int64(wanted[number + 1])
            if first <= np.int64(upper) < first + length:
                if taken == len(selected):
                    return taken
                selected[taken] = patterns[i]
                taken += 1
                break
    return taken
