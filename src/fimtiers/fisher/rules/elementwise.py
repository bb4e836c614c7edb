"""Element by element with broadcasting: sums, products, biases, scales, position tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the usual name

from fimtiers.fisher.forms import Dense
from fimtiers.fisher.layout import Block, Layout
from fimtiers.fisher.rules.protocol import Interceptor, Operation
from fimtiers.fisher.tape import MixedSamplesError
from fimtiers.fisher.tracked import Tracked, leaves, mapped, value


@dataclass(frozen=True)
class Unbroadcast:
    """Gradient of a tensor that was broadcast: the sum over the axes it was broadcast along.

    Attributes
    ----------
    shape
        Shape of the tensor.
    aligned
        The same number of elements, as aligned with the last axes of the result.
    """

    shape: torch.Size
    aligned: tuple[int, ...]

    def __call__(
        self, gradient: Tensor, saved: tuple[Tensor, ...], layout: Layout, samples: int
    ) -> Dense:
        """Return the per-sample sums."""
        missing = gradient.ndim - len(self.aligned)
        sample = layout.axis
        if sample is not None and sample >= missing and self.aligned[sample - missing] != 1:
            raise MixedSamplesError
        if layout == Block(0) and gradient.shape == (samples, *self.shape):
            return Dense(gradient)
        axes = _broadcast_axes(self.aligned, gradient.ndim)
        front = layout.front(gradient, sample or 0, samples)
        total = summed(front, axes).reshape(samples, *self.shape)
        return Dense(total, summands=front, axes=axes)


@cache
def _broadcast_axes(aligned: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """Return the axes along which a tensor was repeated, counted behind the sample axis."""
    missing = ndim - len(aligned)
    return tuple(axis + 1 for axis in range(ndim) if axis < missing or aligned[axis - missing] == 1)


def summed(values: Tensor, axes: Sequence[int]) -> Tensor:
    """Return the sum over some axes, in float32 if the values are of half precision."""
    axes = [axis for axis in axes if values.shape[axis] != 1]
    if not axes:
        return values
    return values.sum(axes, keepdim=True, dtype=torch.promote_types(values.dtype, torch.float32))


@cache
def unbroadcast(shape: torch.Size) -> Unbroadcast:
    """Return what sums a gradient to `shape`, aligned at the last axis."""
    return Unbroadcast(shape, tuple(shape))


def broadcast(tape: Interceptor, func: Operation, *args: Any, **kwargs: Any) -> Any:
    """Run any operation that acts element by element on broadcast arguments."""
    tensors = [x for x in leaves((args, kwargs)) if isinstance(x, (Tensor, Tracked))]
    data = [x for x in tensors if isinstance(x, Tensor)]
    if not data or (isinstance(args[0], Tracked) and func.__name__.endswith("_")):
        return NotImplemented
    # The function of this name in torch imports sympy, which takes half a second.
    shape = np.broadcast_shapes(*(value(x).shape for x in tensors))

    def expanded(item: Any) -> Any:
        if not isinstance(item, Tracked):
            return item
        # The view keeps its gradient apart from that of equal parameters elsewhere.
        return tape.watch(item.value.expand(shape), [(item, unbroadcast(item.value.shape))])

    return func(*mapped(expanded, args), **mapped(expanded, kwargs))


def expand(tape: Interceptor, func: Operation, tensor: Any, *args: Any, **kwargs: Any) -> Any:
    """Run an expansion of a parameter, as of class tokens to the batch."""
    if not isinstance(tensor, Tracked):
        return NotImplemented
    result = func(tensor.value, *mapped(value, args), **mapped(value, kwargs))
    return tape.watch(result, [(tensor, unbroadcast(tensor.value.shape))])


def repeat(tape: Interceptor, func: Operation, tensor: Any, *args: Any, **kwargs: Any) -> Any:
    """Run a repetition of a parameter, such as of one table for each sample of the batch."""
    numbers = list(leaves([args, kwargs]))
    if not isinstance(tensor, Tracked) or 0 in numbers:
        return NotImplemented
    axes = max(len(numbers), tensor.value.ndim)
    numbers = [1] * (axes - len(numbers)) + numbers
    shape = [1] * (axes - tensor.value.ndim) + list(tensor.value.shape)
    return _repeated(tape, tensor, numbers, shape, axis_of_copies=0)


def repeat_interleave(
    tape: Interceptor, func: Operation, tensor: Any, repeats: Any, dim: int | None = None, **_: Any
) -> Any:
    """Run a repetition in which copies of an entry follow each other."""
    if not isinstance(tensor, Tracked) or not isinstance(repeats, int) or dim is None:
        return NotImplemented
    shape = list(tensor.value.shape)
    numbers = [1] * len(shape)
    numbers[dim] = repeats
    return _repeated(tape, tensor, numbers, shape, axis_of_copies=1)


def _repeated(
    tape: Interceptor, tensor: Tracked, numbers: list[int], shape: list[int], axis_of_copies: int
) -> Tensor:
    """Return a parameter repeated along its axes, as an expansion with an axis for the copies.

    Parameters
    ----------
    tape
        Watches the expansion.
    tensor
        The parameter.
    numbers
        Of copies along each axis.
    shape
        Of the parameter, with axes of length 1 in front.
    axis_of_copies
        0 to put the axis of copies before that of the parameter, 1 for behind.
    """
    aligned, expanded = [], []
    for number, length in zip(numbers, shape, strict=True):
        if number == 1 or length == 1:
            aligned.append(length)
            expanded.append(number * length)
            continue
        pair = [(1, number), (length, length)]
        for own, whole in pair[::-1] if axis_of_copies else pair:
            aligned.append(own)
            expanded.append(whole)
    result = tape.watch(
        tensor.value.reshape(aligned).expand(expanded),
        [(tensor, Unbroadcast(tensor.value.shape, tuple(aligned)))],
    )
    # A copy, as that of torch: others may change it in place.
    return result.reshape([n * m for n, m in zip(numbers, shape, strict=True)]).contiguous()


def prelu(input: Tensor, weight: Tensor) -> Tensor:  # noqa: A002  torch's name
    """Return max(x, 0) + w min(x, 0), w per channel."""
    if weight.numel() > 1 and input.ndim > 1:
        weight = weight.view(-1, *(1,) * (input.ndim - 2))
    return F.relu(input) - weight * F.relu(-input)


_NAMES = (
    "add", "sub", "rsub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "pow",
    "maximum", "minimum", "lerp", "addcmul", "addcdiv", "where", "atan2", "hypot",
    "logaddexp",
)  # fmt: skip
_SYMBOLS = ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "div", "rdiv",
            "pow", "rpow")  # fmt: skip

RULES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_NAMES, broadcast),
    **dict.fromkeys([f"{name}_" for name in ("add", "sub", "mul", "div", "addcmul")], broadcast),
    **dict.fromkeys([f"__{name}__" for name in _SYMBOLS], broadcast),
    **dict.fromkeys([f"__i{name}__" for name in ("add", "sub", "mul", "truediv")], broadcast),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), expand),
    **dict.fromkeys(("repeat", "tile"), repeat),
    "repeat_interleave": repeat_interleave,
}
DECOMPOSITIONS: dict[str, Callable[..., Any]] = {"prelu": prelu}
