"""Chains of linear layers and ReLUs in machine code, for float32 on the processor.

A few samples pass through all layers before the next do, forward and backward, so that what passes
between layers stays in the cache; and all products are sums of eight rows at a time, which keeps
them in vector registers. For layers of up to a few hundred units this is faster than a library.
Imported when first needed, since that compiles it, or loads what was compiled before.
"""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from fimtiers.fisher.kernel import FAST, MAXIMUM_EXPONENT, PEAK_SAMPLES

BLOCK = 128
"""Samples that pass through all layers together: two layers of 256 fill half a level-2 cache."""

UNSET = 1 << 20
"""Exponent of a scale as long as only zeros were seen."""

OPTIONS: dict[str, Any] = {"fastmath": FAST, "nogil": True, "cache": True}


@numba.njit("void(f4[:,::1], f4[:,::1], f4[:,::1])", **OPTIONS)
def add_product(left: NDArray[Any], right: NDArray[Any], total: NDArray[Any]) -> None:
    """Add the matrix product of `left` and `right` to `total`."""
    rows, inner = left.shape
    length = right.shape[1]
    whole = inner - inner % 8
    for k in range(0, whole, 8):
        r0, r1, r2, r3 = right[k], right[k + 1], right[k + 2], right[k + 3]
        r4, r5, r6, r7 = right[k + 4], right[k + 5], right[k + 6], right[k + 7]
        for n in range(rows):
            l0, l1, l2, l3 = left[n, k], left[n, k + 1], left[n, k + 2], left[n, k + 3]
            l4, l5, l6, l7 = left[n, k + 4], left[n, k + 5], left[n, k + 6], left[n, k + 7]
            f = total[n]
            for i in range(length):
                f[i] += (
                    l0 * r0[i] + l1 * r1[i] + l2 * r2[i] + l3 * r3[i]
                    + l4 * r4[i] + l5 * r5[i] + l6 * r6[i] + l7 * r7[i]
                )  # fmt: skip
    for k in range(whole, inner):
        r0 = right[k]
        for n in range(rows):
            l0, f = left[n, k], total[n]
            for i in range(length):
                f[i] += l0 * r0[i]


@numba.njit("void(f4[:,::1], f4[:,::1], f4[:,::1])", **OPTIONS)
def add_outer_products(left: NDArray[Any], right: NDArray[Any], total: NDArray[Any]) -> None:
    """Add the matrix product of `left`, transposed, and `right` to `total`."""
    inner, rows = left.shape
    length = right.shape[1]
    whole = inner - inner % 8
    for k in range(0, whole, 8):
        r0, r1, r2, r3 = right[k], right[k + 1], right[k + 2], right[k + 3]
        r4, r5, r6, r7 = right[k + 4], right[k + 5], right[k + 6], right[k + 7]
        for n in range(rows):
            l0, l1, l2, l3 = left[k, n], left[k + 1, n], left[k + 2, n], left[k + 3, n]
            l4, l5, l6, l7 = left[k + 4, n], left[k + 5, n], left[k + 6, n], left[k + 7, n]
            f = total[n]
            for i in range(length):
                f[i] += (
                    l0 * r0[i] + l1 * r1[i] + l2 * r2[i] + l3 * r3[i]
                    + l4 * r4[i] + l5 * r5[i] + l6 * r6[i] + l7 * r7[i]
                )  # fmt: skip
    for k in range(whole, inner):
        r0 = right[k]
        for n in range(rows):
            l0, f = left[k, n], total[n]
            for i in range(length):
                f[i] += l0 * r0[i]


@numba.njit("i8(f4[:,::1], i8)", **OPTIONS)
def scale_exponent(values: NDArray[Any], peak: int) -> int:
    """Return k such that the largest of leading values / 2^k is nearly 2^`peak`, `UNSET` if none.

    Leading values are those of a few samples, or as many more as are needed to find one.
    """
    largest = np.float32(0)
    for n in range(values.shape[0]):
        if n < PEAK_SAMPLES or largest == 0:
            for i in range(values.shape[1]):
                largest = max(largest, abs(values[n, i]))
    if not 0 < largest < np.inf:
        return UNSET
    return max(-MAXIMUM_EXPONENT, min(math.frexp(largest)[1] - peak, MAXIMUM_EXPONENT))


@numba.njit("void(f4[:,::1], i8, f4[:,::1])", **OPTIONS)
def fill_squares(values: NDArray[Any], exponent: int, squares: NDArray[Any]) -> None:
    """Write (`values` / 2^`exponent`)², or zero if there is no exponent, to `squares`."""
    scale = np.float32(0 if exponent == UNSET else math.ldexp(1.0, -exponent))
    for k in range(squares.shape[0]):
        for i in range(squares.shape[1]):
            x = values[k, i] * scale
            squares[k, i] = x * x


@numba.njit("void(f4[:,::1], f4[::1], i8[::1], b1[::1], f4[::1], f4[::1])", **OPTIONS)
def forward(
    inputs: NDArray[Any],
    parameters: NDArray[Any],
    widths: NDArray[Any],
    rectified: NDArray[Any],
    outputs: NDArray[Any],
    transposed: NDArray[Any],
) -> None:
    """Fill in the outputs of all layers.

    Parameters
    ----------
    inputs
        Shape (sample, width).
    parameters
        Weight (output, input) and bias of each layer, one after the other.
    widths
        Of the inputs and of all layers.
    rectified
        Which layers are followed by a ReLU.
    outputs
        Those of each layer, (sample, width), one after the other.
    transposed
        Scratch as large as the parameters; aligned, which memory allocated here might not be.
    """
    samples, layers = inputs.shape[0], len(rectified)
    place = 0
    for layer in range(layers):
        before, width = widths[layer], widths[layer + 1]
        weight = parameters[place : place + before * width].reshape((width, before))
        target = transposed[place : place + before * width].reshape((before, width))
        for i in range(before):
            for o in range(width):
                target[i, o] = weight[o, i]
        place += (before + 1) * width
    for start in range(0, samples, BLOCK):
        stop = min(start + BLOCK, samples)
        data, place, offset = inputs[start:stop], 0, 0
        for layer in range(layers):
            before, width = widths[layer], widths[layer + 1]
            weight = transposed[place : place + before * width].reshape((before, width))
            bias = parameters[place + before * width : place + (before + 1) * width]
            found = outputs[offset + start * width : offset + stop * width].reshape((-1, width))
            for n in range(stop - start):
                for o in range(width):
                    found[n, o] = bias[o]
            add_product(data, weight, found)
            if rectified[layer]:
                for n in range(stop - start):
                    for o in range(width):
                        x = found[n, o]
                        found[n, o] = np.float32(0) if x <= 0 else x  # keeps NaN
            data, place, offset = found, place + (before + 1) * width, offset + samples * width


@numba.njit("void(f4[::1], i8[::1], i8[:,::1], i8, f8[::1])", **OPTIONS)
def add_unscaled(
    sums: NDArray[Any],
    widths: NDArray[Any],
    exponents: NDArray[Any],
    lowest: int,
    totals: NDArray[Any],
) -> None:
    """Add the sums of scaled squares to `totals`, without the scales of gradients and of inputs."""
    end = len(sums)
    for layer in range(len(exponents) - 1, lowest - 1, -1):
        before, width = widths[layer], widths[layer + 1]
        middle = end - width
        left_scale = 0.0 if exponents[layer, 0] == UNSET else 4.0 ** exponents[layer, 0]
        right_scale = 0.0 if exponents[layer, 1] == UNSET else 4.0 ** exponents[layer, 1]
        for k in range(middle, end):
            totals[k] += left_scale * sums[k]
        for k in range(middle - before * width, middle):
            totals[k] += left_scale * right_scale * sums[k]
        end = middle - before * width


@numba.njit(
    "void(f4[:,::1], f4[:,::1], f4[::1], i8[::1], b1[::1], f4[::1], i8, i8, f8[::1], f4[::1], "
    "f4[:,::1])",
    **OPTIONS,
)
def add_squares(
    gradient: NDArray[Any],
    inputs: NDArray[Any],
    parameters: NDArray[Any],
    widths: NDArray[Any],
    rectified: NDArray[Any],
    outputs: NDArray[Any],
    lowest: int,
    peak: int,
    totals: NDArray[Any],
    sums: NDArray[Any],
    memory: NDArray[Any],
) -> None:
    """Add the squared per-sample gradients of all parameters from some layer on.

    Parameters
    ----------
    gradient
        Of the outputs of the last layer, shape (sample, width), for the first samples or all.
    inputs, parameters, widths, rectified, outputs
        As of `forward`.
    lowest
        First layer whose gradients matter.
    peak
        The largest values of leading samples are scaled to nearly 2^`peak`, before they are
        squared.
    totals
        Sums of squares, laid out as the parameters.
    sums
        Scratch as large as the parameters, aligned.
    memory
        Scratch of four rows, each for `BLOCK` samples of the widest layer, aligned.
    """
    samples, layers = inputs.shape[0], len(rectified)
    sums[:] = 0
    exponents = np.full((layers, 2), UNSET)
    for start in range(0, gradient.shape[0], BLOCK):
        stop = min(start + BLOCK, gradient.shape[0])
        some = stop - start
        arrived = memory[0, : some * widths[layers]].reshape((some, widths[layers]))
        arrived[:] = gradient[start:stop]
        place, offset = len(parameters), len(outputs)
        for layer in range(layers - 1, lowest - 1, -1):
            before, width = widths[layer], widths[layer + 1]
            place, offset = place - (before + 1) * width, offset - samples * width
            middle, end = place + before * width, place + (before + 1) * width
            if rectified[layer]:
                found = outputs[offset + start * width : offset + stop * width].reshape((-1, width))
                for n in range(some):
                    for o in range(width):
                        x = arrived[n, o]
                        arrived[n, o] = np.float32(0) if found[n, o] <= 0 else x
            data = inputs[start:stop]
            if layer > 0:
                first = offset - samples * before
                data = outputs[first + start * before : first + stop * before].reshape((-1, before))
            if exponents[layer, 0] == UNSET:
                exponents[layer, 0] = scale_exponent(arrived, peak)
            if exponents[layer, 1] == UNSET:
                exponents[layer, 1] = scale_exponent(data, peak)
            left = memory[2, : some * width].reshape((some, width))
            right = memory[3, : some * before].reshape((some, before))
            fill_squares(arrived, exponents[layer, 0], left)
            fill_squares(data, exponents[layer, 1], right)
            add_outer_products(left, right, sums[place:middle].reshape((width, before)))
            bias = sums[middle:end]
            for n in range(some):
                for o in range(width):
                    bias[o] += left[n, o]
            if layer > lowest:
                passed = memory[(layers - layer) % 2, : some * before].reshape((some, before))
                passed[:] = 0
                add_product(arrived, parameters[place:middle].reshape((width, before)), passed)
                arrived = passed
    add_unscaled(sums, widths, exponents, lowest, totals)
