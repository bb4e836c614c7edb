"""Tables looked up by index: embeddings, indexing, `gather` and its kin.

Where whole rows are looked up, the gradient is kept as rows and where they go. Where single
elements are, the same operation on a table of positions tells where each of them came from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fimtiers.fisher.forms import Form, Scatter
from fimtiers.fisher.layout import Layout
from fimtiers.fisher.placed import Placed
from fimtiers.fisher.rules.protocol import Interceptor, Operation
from fimtiers.fisher.tape import MixedSamplesError
from fimtiers.fisher.tracked import Tracked, leaves


@dataclass(frozen=True)
class Rows:
    """Gradient of a table of which rows were looked up.

    The result has the axes of the index in place of those of the table that it points along.

    Attributes
    ----------
    shape
        Of the table.
    axis
        First axis that the index points along.
    axes
        Number of such axes; the index counts their entries in C order.
    padding
        Row that takes no gradient, or None.
    """

    shape: torch.Size
    axis: int = 0
    axes: int = 1
    padding: int | None = None

    def __call__(
        self, gradient: Tensor, saved: tuple[Tensor, ...], layout: Layout, samples: int
    ) -> Form:
        """Return the rows of gradient with where they go."""
        (index,) = saved
        first, tokens = self.axis, index.ndim
        sample = first if layout.axis is None else layout.axis
        if not first <= sample < first + tokens:
            raise MixedSamplesError
        rows = layout.front(gradient, sample, samples)
        if first > 0:
            places = range(first + 1, first + 1 + tokens)
            rows = rows.movedim(tuple(places), tuple(range(1, 1 + tokens)))
        index = layout.front(index, sample - first, samples).flatten(1)
        if self.padding is not None:
            index = index.masked_fill(index == self.padding, -1)
        length = self.shape[first : first + self.axes].numel()
        scatter = Scatter(rows.flatten(1, tokens), index, length)
        if first == 0 and self.axes == 1:
            return scatter
        others = [n for n in range(len(self.shape)) if not first <= n < first + self.axes]
        order = [*range(first, first + self.axes), *others]
        sizes = tuple(self.shape[n] for n in order)
        return Placed(scatter, sizes, tuple(order.index(n) for n in range(len(order))))


@dataclass(frozen=True)
class Elements:
    """Gradient of a tensor of which single elements were looked up.

    Attributes
    ----------
    shape
        Of the tensor.
    """

    shape: torch.Size

    def __call__(
        self, gradient: Tensor, saved: tuple[Tensor, ...], layout: Layout, samples: int
    ) -> Placed:
        """Return the elements of gradient with where they go."""
        axis = layout.axis or 0
        values, positions = (
            layout.front(x, axis, samples).reshape(samples, -1) for x in (gradient, *saved)
        )
        length = self.shape.numel()
        return Placed(Scatter(values, positions, length), self.shape, tuple(range(len(self.shape))))


def embedding(tape: Interceptor, func: Operation, *args: Any, **kwargs: Any) -> Any:
    """Run an embedding, by the function of `torch.nn` or the plain one of `torch`."""
    if func is torch.embedding:
        return _embedding_of_torch(tape, func, *args, **kwargs)
    return _embedding(tape, func, *args, **kwargs)


def _embedding(
    tape: Interceptor,
    func: Operation,
    input: Any,  # noqa: A002  torch's name
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Run an embedding; one that renormalises or rescales has no rule."""
    if not isinstance(weight, Tracked) or max_norm is not None or scale_grad_by_freq:
        return NotImplemented
    shape = weight.value.shape
    if padding_idx is not None:
        padding_idx %= shape[0]
    # Never sparse: the gradient must reach the site as rows.
    result = func(input, weight.value, padding_idx)
    return tape.watch(result, [(weight, Rows(shape, padding=padding_idx))], (input,))


def _embedding_of_torch(
    tape: Interceptor,
    func: Operation,
    weight: Any,
    indices: Any,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Run the embedding that takes the table first, and −1 for no padding."""
    if not isinstance(weight, Tracked) or scale_grad_by_freq:
        return NotImplemented
    result = func(weight.value, indices)
    rule = Rows(weight.value.shape, padding=padding_idx if padding_idx >= 0 else None)
    return tape.watch(result, [(weight, rule)], (indices,))


def getitem(tape: Interceptor, func: Operation, table: Any, key: Any) -> Any:
    """Run ``table[index]`` with arrays of indices; slices alone have no rule, nor need one."""
    items = key if isinstance(key, tuple) else (key,)
    if not isinstance(table, Tracked) or not any(_is_array(item) for item in items):
        return NotImplemented
    if any(isinstance(x, Tracked) for x in leaves(items)):
        return NotImplemented
    result = func(table.value, key)
    if found := _whole_rows(items, table.value.ndim):
        axis, indices = found
        arrays = [torch.as_tensor(x, device=result.device) for x in indices]
        watched = _watch_rows(tape, table, result, arrays, axis)
        if watched is not NotImplemented:
            return watched
    return _watch_elements(tape, lambda x: func(x, key), table, result)


def index_select(
    tape: Interceptor,
    func: Operation,
    input: Any,  # noqa: A002  torch's name
    dim: int,
    index: Any,
) -> Any:
    """Run `torch.index_select`."""
    if not isinstance(input, Tracked) or input.value.ndim == 0:
        return NotImplemented
    result = func(input.value, dim, index)
    return _watch_rows(tape, input, result, [index.reshape(-1)], dim % input.value.ndim)


def gather(
    tape: Interceptor,
    func: Operation,
    input: Any,  # noqa: A002  torch's name
    dim: int,
    index: Any,
    **options: Any,
) -> Any:
    """Run `torch.gather`; an index that is the same along all other axes picks whole rows."""
    if not isinstance(input, Tracked) or input.value.ndim == 0:
        return NotImplemented
    shape = input.value.shape
    result = func(input.value, dim, index, **options)
    dim %= len(shape)
    others = [axis for axis in range(len(shape)) if axis != dim]
    if all(index.shape[n] == shape[n] and _constant_along(index, n) for n in others):
        return _watch_rows(tape, input, result, [_along(index, dim)], dim)
    return tape.watch(result, [(input, Elements(shape))], (_positions(index, dim, shape),))


def take_along_dim(
    tape: Interceptor,
    func: Operation,
    input: Any,  # noqa: A002  torch's name
    indices: Any,
    dim: int | None = None,
) -> Any:
    """Run `torch.take_along_dim`, which broadcasts table and index."""
    if not isinstance(input, Tracked) or input.value.ndim == 0:
        return NotImplemented
    if dim is None:
        return take(tape, func, input, indices)
    shape = input.value.shape
    result = func(input.value, indices, dim)
    dim %= len(shape)
    others = [axis for axis in range(len(shape)) if axis != dim]
    if all(_constant_along(indices, n) and result.shape[n] == shape[n] for n in others):
        return _watch_rows(tape, input, result, [_along(indices, dim)], dim)
    places = _positions(indices.expand_as(result), dim, shape)
    return tape.watch(result, [(input, Elements(shape))], (places,))


def take(
    tape: Interceptor,
    func: Operation,
    input: Any,  # noqa: A002  torch's name
    index: Any,
) -> Any:
    """Run `torch.take`, which counts the elements of the table in C order."""
    if not isinstance(input, Tracked):
        return NotImplemented
    shape, result = input.value.shape, func(input.value, index)
    return tape.watch(result, [(input, Elements(shape))], (index.remainder(shape.numel()),))


def _watch_rows(
    tape: Interceptor, table: Tracked, result: Tensor, indices: Sequence[Tensor], axis: int
) -> Any:
    """Watch a result that has whole rows of a table, found by one index per axis from `axis`."""
    shape = table.value.shape
    combined: Any = 0
    for length, index in zip(shape[axis:], indices, strict=False):
        # Those below zero count from the end.
        combined = combined * length + index.to(torch.int64).remainder(length)
    if result.shape != shape[:axis] + combined.shape + shape[axis + len(indices) :]:
        return NotImplemented
    return tape.watch(result, [(table, Rows(shape, axis, len(indices)))], (combined,))


def _positions(index: Tensor, dim: int, shape: torch.Size) -> Tensor:
    """Return the places in memory, in C order, of elements that an index picks along one axis."""
    places = index.to(torch.int64).remainder(shape[dim]) * shape[dim + 1 :].numel()
    for axis, length in enumerate(index.shape):
        if axis != dim and shape[axis] > 1:
            own = torch.arange(length, device=index.device) * shape[axis + 1 :].numel()
            places = places + own.view(-1, *(1,) * (index.ndim - axis - 1))
    return places


def _watch_elements(
    tape: Interceptor, select: Callable[[Tensor], Tensor], table: Tracked, result: Tensor
) -> Tensor:
    """Watch a result that has elements of a table."""
    shape = table.value.shape
    positions = torch.arange(shape.numel(), device=result.device).view(shape)
    return tape.watch(result, [(table, Elements(shape))], (select(positions),))


def _whole_rows(items: Sequence[Any], axes: int) -> tuple[int, list[Any]] | None:
    """Return the first axis that indices point along, and these, if rows are left whole.

    That is so if all indices follow each other, with nothing but full slices around them.
    """
    dots = [n for n, item in enumerate(items) if item is Ellipsis]
    if dots:
        missing = [slice(None)] * (axes - len(items) + 1)
        items = [*items[: dots[0]], *missing, *items[dots[0] + 1 :]]
    places = [n for n, item in enumerate(items) if not _is_full(item)]
    indices = [items[n] for n in places]
    if len(dots) > 1 or places != list(range(places[0], places[0] + len(places))):
        return None
    if not all(_is_array(x) or type(x) is int for x in indices) or any(map(_is_mask, indices)):
        return None
    return places[0], indices


def _is_array(item: Any) -> bool:
    """Return whether an item in brackets is an array of indices, or a mask."""
    if isinstance(item, (Tensor, np.ndarray)):
        return item.ndim > 0
    return isinstance(item, (list, range))


def _is_mask(item: Any) -> bool:
    kind = item.dtype if isinstance(item, (Tensor, np.ndarray)) else np.asarray(item).dtype
    return str(kind).removeprefix("torch.") in ("bool", "uint8")


def _is_full(item: Any) -> bool:
    return isinstance(item, slice) and item == slice(None)


def _constant_along(index: Tensor, axis: int) -> bool:
    """Return whether the layout of an index in memory shows that it is constant along an axis."""
    return index.shape[axis] == 1 or index.stride(axis) == 0


def _along(index: Tensor, axis: int) -> Tensor:
    """Return the entries of an index along one axis, first of all others."""
    return index[(0,) * axis + (slice(None),) + (0,) * (index.ndim - axis - 1)]


RULES: dict[str, Callable[..., Any]] = {
    "embedding": embedding,
    "__getitem__": getitem,
    "index_select": index_select,
    "gather": gather,
    "take_along_dim": take_along_dim,
    "take": take,
}
