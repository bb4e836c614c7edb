"""Products summed over an axis: linear layers, matrix products, einsum.

Every such operation is written as an Einstein sum of data and parameter. The label of an axis
tells its part: token (data and result), group (all three), input (data and parameter) or output
(parameter and result).
"""

from collections.abc import Callable
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fimtiers.fisher.forms import Outer
from fimtiers.fisher.layout import Block, Layout
from fimtiers.fisher.rules.elementwise import unbroadcast
from fimtiers.fisher.rules.protocol import Interceptor, Operation
from fimtiers.fisher.tape import MixedSamplesError
from fimtiers.fisher.tracked import Tracked, value


@dataclass(frozen=True)
class Contraction:
    """Gradient of a parameter in an Einstein sum ``data,parameter->result``.

    Attributes
    ----------
    result, data, parameter
        Labels of the axes.
    """

    result: str
    data: str
    parameter: str

    def covered(self) -> bool:
        """Return whether each axis has one of the four parts."""
        alone = (
            set(self.data) - set(self.parameter) - set(self.result)
            | set(self.parameter) - set(self.data) - set(self.result)
            | set(self.result) - set(self.data) - set(self.parameter)
        )
        return not alone

    def __call__(
        self, gradient: Tensor, saved: tuple[Tensor, ...], layout: Layout, samples: int
    ) -> Outer:
        """Return the per-sample sums of outer products."""
        (data,) = saved
        axis, data_axis = layout.axis or 0, 0
        if layout.axis is not None:
            if self.result[axis] in self.parameter:
                raise MixedSamplesError
            data_axis = self.data.index(self.result[axis])
        gradient = layout.front(gradient, axis, samples)
        data = layout.front(data, data_axis, samples)
        tokens = [x for x in self.result if x not in self.parameter]
        groups = [x for x in self.parameter if x in self.result and x in self.data]
        outputs = [x for x in self.parameter if x not in self.data]
        inputs = [x for x in self.parameter if x not in self.result]
        sides = [
            (_matrix(gradient, self.result, tokens, groups, outputs), outputs),
            (_matrix(data, self.data, tokens, groups, inputs), inputs),
        ]
        if (
            inputs
            and outputs
            and self.parameter.index(inputs[0]) < self.parameter.index(outputs[0])
        ):
            sides.reverse()
        (left, left_labels), (right, right_labels) = sides
        canonical = [*groups, *left_labels, *right_labels]
        length = dict(zip(self.result, gradient.shape[1:], strict=True))
        length |= dict(zip(self.data, data.shape[1:], strict=True))
        return Outer(
            left,
            right,
            sizes=tuple(length[x] for x in canonical),
            order=tuple(canonical.index(x) for x in self.parameter),
        )


def _matrix(
    tensor: Tensor, labels: str, tokens: list[str], groups: list[str], rest: list[str]
) -> Tensor:
    """Return a tensor as (sample, token, group, rest)."""
    axes = [1 + labels.index(x) for x in (*tokens, *groups, *rest)]
    if axes != list(range(1, tensor.ndim)):
        tensor = tensor.permute(0, *axes)
    n_tokens, n_groups = len(tokens), len(groups)
    shape = tensor.shape
    return tensor.reshape(
        shape[0],
        shape[1 : 1 + n_tokens].numel(),
        shape[1 + n_tokens : 1 + n_tokens + n_groups].numel(),
        shape[1 + n_tokens + n_groups :].numel(),
    )


@dataclass(frozen=True)
class LinearWeight:
    """Gradient of the weight of a linear layer: the contraction ``…I,OI->…O``, with a short cut."""

    def __call__(
        self, gradient: Tensor, saved: tuple[Tensor, ...], layout: Layout, samples: int
    ) -> Outer:
        """Return the per-sample sums of outer products."""
        (data,) = saved
        sizes = gradient.shape[-1], data.shape[-1]
        if isinstance(layout, Block) and layout.axis == 0 and layout.slow:
            left = gradient.reshape(samples, -1, 1, sizes[0])
            return Outer(left, data.reshape(samples, -1, 1, sizes[1]), sizes, (0, 1))
        tokens = ascii_lowercase[: data.ndim - 1]
        return Contraction(tokens + "O", tokens + "I", "OI")(gradient, saved, layout, samples)


LINEAR_WEIGHT = LinearWeight()


def linear(tape: Interceptor, func: Operation, data: Any, weight: Any, bias: Any = None) -> Any:
    """Run ``x Wᵀ + b``."""
    if isinstance(data, Tracked):
        return NotImplemented
    result = func(data, value(weight), value(bias))
    weighted = isinstance(weight, Tracked)
    uses: list[Any] = [(weight, LINEAR_WEIGHT)] if weighted else []
    if isinstance(bias, Tracked):
        uses.append((bias, unbroadcast(bias.value.shape)))
    return tape.watch(result, uses, (data,) if weighted else ())


def matmul(tape: Interceptor, func: Operation, first: Any, second: Any) -> Any:
    """Run a matrix product, parameter on either side, batched or not."""
    a, b = value(first), value(second)
    rows, columns = ("R" if a.ndim > 1 else ""), ("C" if b.ndim > 1 else "")
    batch = ascii_lowercase[: max(a.ndim, b.ndim, 2) - 2]
    a_labels = batch[len(batch) - max(a.ndim - 2, 0) :] + rows + "K"
    b_labels = batch[len(batch) - max(b.ndim - 2, 0) :] + "K" + columns
    labels = a_labels, b_labels, batch + rows + columns
    result = _contract(tape, func, (first, second), labels)
    if result is NotImplemented and isinstance(first, Tracked) != isinstance(second, Tracked):
        return _broadcast_product(tape, func, first, second)
    return result


def _broadcast_product(tape: Interceptor, func: Operation, first: Any, second: Any) -> Any:
    """Run a matrix product with a parameter that is repeated along leading axes of the data."""
    a, b = value(first), value(second)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    tracked = first if isinstance(first, Tracked) else second
    shape = tracked.value.shape
    if len(shape) < 3 or shape[:-2] == batch:
        return NotImplemented
    whole = tape.watch(tracked.value.expand(*batch, *shape[-2:]), [(tracked, unbroadcast(shape))])
    return func(whole, b) if tracked is first else func(a, whole)


def addmm(
    tape: Interceptor, func: Operation, bias: Any, first: Any, second: Any, **scales: Any
) -> Any:
    """Run ``b + x W``, as the Conv1D of GPT-2 does, and its batched kin."""
    if scales or isinstance(first, Tracked) == isinstance(second, Tracked):
        return NotImplemented
    result = func(value(bias), value(first), value(second))
    labels = ("aRK", "aKC", "aRC") if result.ndim == 3 else ("RK", "KC", "RC")
    uses: list[Any] = []
    if isinstance(bias, Tracked):
        uses.append((bias, unbroadcast(bias.value.shape)))
    elif isinstance(bias, Tensor) and bias.requires_grad and not result.requires_grad:
        return NotImplemented
    return _watch_product(tape, result, (first, second), labels, uses)


def einsum(tape: Interceptor, func: Operation, equation: Any, *operands: Any) -> Any:
    """Run an Einstein sum of data and one parameter."""
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not isinstance(equation, str) or "." in equation or len(operands) != 2:
        return NotImplemented
    terms, arrow, result = equation.replace(" ", "").partition("->")
    first, _, second = terms.partition(",")
    if not arrow:
        result = "".join(sorted(x for x in first + second if (first + second).count(x) == 1))
    if any(len(set(labels)) != len(labels) for labels in (first, second)):
        return NotImplemented

    def run(a: Tensor, b: Tensor) -> Tensor:
        return func(equation, a, b)

    return _contract(tape, run, operands, (first, second, result))


def _contract(
    tape: Interceptor, func: Operation, operands: tuple[Any, ...], labels: tuple[str, str, str]
) -> Any:
    if isinstance(operands[0], Tracked) == isinstance(operands[1], Tracked):
        return NotImplemented
    if not _equal_lengths([value(x) for x in operands], labels):
        return NotImplemented
    result = func(*(value(x) for x in operands))
    return _watch_product(tape, result, operands, labels, [])


def _watch_product(
    tape: Interceptor,
    result: Tensor,
    operands: tuple[Any, ...],
    labels: tuple[str, str, str],
    uses: list[Any],
) -> Any:
    side = 0 if isinstance(operands[0], Tracked) else 1
    rule = Contraction(labels[2], labels[1 - side], labels[side])
    if not rule.covered():
        return NotImplemented
    return tape.watch(result, [(operands[side], rule), *uses], (operands[1 - side],))


def _equal_lengths(operands: list[Tensor], labels: tuple[str, str, str]) -> bool:
    """Return whether every label has one length, that is, whether nothing is broadcast."""
    length: dict[str, int] = {}
    return all(
        length.setdefault(label, n) == n
        for operand, axes in zip(operands, labels, strict=False)
        for label, n in zip(axes, operand.shape, strict=True)
    )


def grouped_mm(
    data: Tensor,
    weights: Tensor,
    *,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
) -> Any:
    """Multiply stretches of rows by one expert's matrix each, expert after expert."""
    if data.ndim != 2 or weights.ndim != 3 or offs is None or bias is not None or out_dtype:
        return NotImplemented
    ends = offs.tolist()
    products = [
        data[start:end] @ weight
        for start, end, weight in zip([0, *ends], ends, weights.unbind(0), strict=False)
        if end > start
    ]
    unassigned = data.new_zeros(len(data) - ends[-1], weights.shape[2])
    return torch.cat([*products, unassigned])


RULES: dict[str, Callable[..., Any]] = {
    "linear": linear,
    **dict.fromkeys(("matmul", "__matmul__", "mm", "bmm", "mv"), matmul),
    "__rmatmul__": lambda tape, func, second, first: matmul(
        tape, lambda a, b: torch.matmul(a, b), first, second
    ),
    **dict.fromkeys(("addmm", "baddbmm"), addmm),
    "einsum": einsum,
}
DECOMPOSITIONS: dict[str, Callable[..., Any]] = {
    "grouped_mm": grouped_mm,
    "_grouped_mm": grouped_mm,
}
