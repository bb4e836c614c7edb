"""Convolutions over one to three axes: grouped, dilated, strided, transposed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fimtiers.fisher.forms import Windowed
from fimtiers.fisher.layout import Layout
from fimtiers.fisher.rules.elementwise import Unbroadcast
from fimtiers.fisher.rules.protocol import Interceptor, Operation
from fimtiers.fisher.tape import MixedSamplesError
from fimtiers.fisher.tracked import Tracked, value
from fimtiers.fisher.windows import Window


@dataclass(frozen=True)
class Kernel:
    """Gradient of the weight of a convolution.

    Attributes
    ----------
    window
        Geometry.
    groups
        Number of groups of channels.
    transposed
        Whether input and output change places.
    """

    window: Window
    groups: int
    transposed: bool

    def __call__(
        self, gradient: Tensor, saved: tuple[Tensor, ...], layout: Layout, samples: int
    ) -> Windowed:
        """Return the per-sample sums over positions."""
        if layout.axis not in (0, None):
            raise MixedSamplesError
        sides = [
            layout.front(x, 0, samples).flatten(0, 1).unflatten(1, (self.groups, -1))
            for x in (gradient, *saved)
        ]
        fixed, source = sides[::-1] if self.transposed else sides
        return Windowed(fixed, source, self.window, samples)


def convolve(
    tape: Interceptor,
    func: Operation,
    data: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Run a convolution."""
    if isinstance(data, Tracked) or data.ndim != value(weight).ndim:
        return NotImplemented
    result = func(data, value(weight), value(bias), stride, padding, dilation, groups)
    kernel = tuple(value(weight).shape[2:])
    dilations = _per_axis(dilation, len(kernel))
    before, after = _zeros_at_ends(padding, kernel, dilations)
    window = Window(kernel, _per_axis(stride, len(kernel)), dilations, before, after)
    return _watch(tape, result, data, weight, bias, Kernel(window, groups, transposed=False))


def convolve_transposed(
    tape: Interceptor,
    func: Operation,
    data: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Run a transposed convolution: the input is what a window sees of the output."""
    if isinstance(data, Tracked) or data.ndim != value(weight).ndim:
        return NotImplemented
    result = func(
        data, value(weight), value(bias), stride, padding, output_padding, groups, dilation
    )
    kernel = tuple(value(weight).shape[2:])
    before = _per_axis(padding, len(kernel))
    # What the last window does not reach because of output_padding is cut off by the unfolding.
    window = Window(
        kernel, _per_axis(stride, len(kernel)), _per_axis(dilation, len(kernel)), before,
        tuple(p - o for p, o in zip(before, _per_axis(output_padding, len(kernel)), strict=True)),
    )  # fmt: skip
    return _watch(tape, result, data, weight, bias, Kernel(window, groups, transposed=True))


def _watch(
    tape: Interceptor, result: Tensor, data: Tensor, weight: Any, bias: Any, kernel: Kernel
) -> Tensor:
    uses: list[Any] = []
    if isinstance(weight, Tracked):
        uses.append((weight, kernel))
    if isinstance(bias, Tracked):
        shape = bias.value.shape
        uses.append((bias, Unbroadcast(shape, (*shape, *(1,) * len(kernel.window.kernel)))))
    return tape.watch(result, uses, (data,) if isinstance(weight, Tracked) else ())


def _per_axis(number: int | Sequence[int], axes: int) -> tuple[int, ...]:
    if isinstance(number, int):
        return (number,) * axes
    return tuple(number) * (axes if len(number) == 1 else 1)


def _zeros_at_ends(
    padding: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if padding == "valid":
        padding = 0
    if padding == "same":
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple(n // 2 for n in total), tuple(n - n // 2 for n in total)
    amounts = _per_axis(padding, len(kernel))
    return amounts, amounts


RULES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolve),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
                    convolve_transposed),
}  # fmt: skip
