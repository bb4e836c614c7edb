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
    """Run a repetition of a parameter, if only axes of length 1 are repeated."""
    if not isinstance(tensor, Tracked):
        return NotImplemented
    result = func(tensor.value, *args, **kwargs)
    shape, missing = tensor.value.shape, result.ndim - tensor.value.ndim
    if any(n not in (1, result.shape[axis + missing]) for axis, n in enumerate(shape)):
        return NotImplemented
    return tape.watch(result, [(tensor, unbroadcast(shape))])


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
}
DECOMPOSITIONS: dict[str, Callable[..., Any]] = {"prelu": prelu}
