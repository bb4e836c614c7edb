"""Parameters, and tensors made of parameters alone, as the interception sees them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Tracked:
    """A parameter, or a tensor computed from parameters before it met data.

    Attributes
    ----------
    tensor
        What the model holds.
    value
        The same, cut from the graph; what operations on data are run with.
    graph
        The same, connected to stand-ins of the parameters; what gradients are pulled back
        through.
    roots
        Names of the parameters it is made of.
    label
        How it was made, such as ``transpose(layers.0.weight)``.
    sums
        View of the parameter's sum of squares with the same elements, if each element is one
        element of the parameter (slices, transposes, casts); None after any arithmetic.
    """

    tensor: Tensor
    value: Tensor
    graph: Tensor
    roots: tuple[str, ...]
    label: str
    sums: Tensor | None

    def shares_memory(self, other: Tensor) -> bool:
        """Return whether another tensor lies in the memory of this one, or may do so."""
        if torch._C._functorch.is_batchedtensor(self.value):
            return True  # networks stacked by vmap; where they lie cannot be asked
        return self.value.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def value(item: Any) -> Any:
    """Return the value of something tracked, and anything else as it is."""
    return item.value if isinstance(item, Tracked) else item


def leaves(tree: Any) -> Iterator[Any]:
    """Yield the leaves of nested lists, tuples and dictionaries."""
    if isinstance(tree, (list, tuple)):
        for item in tree:
            yield from leaves(item)
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from leaves(item)
    else:
        yield tree


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return `tree` with `function` applied to its leaves."""
    if isinstance(tree, (list, tuple)):
        if isinstance(tree, torch.Size):
            return tree
        items = [mapped(function, x) if isinstance(x, NESTED) else function(x) for x in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if isinstance(tree, dict):
        return {key: mapped(function, item) for key, item in tree.items()}
    return function(tree)


NESTED = (list, tuple, dict)

CASTS = frozenset({
    "to", "type", "float", "double", "half", "bfloat16", "type_as", "contiguous", "clone", "alias",
})  # fmt: skip
"""Operations that keep every element where it is."""

SELECTIONS = frozenset({
    "t", "T", "mT", "transpose", "permute", "movedim", "moveaxis", "swapaxes", "swapdims", "view",
    "view_as", "reshape", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze",
    "__getitem__", "select", "narrow", "chunk", "split", "tensor_split", "unbind", "diagonal",
    "unsafe_chunk", "unsafe_split",
})  # fmt: skip
"""Operations whose every output element is an element of the input, none of them twice."""


def selected_sums(
    name: str, func: Callable[..., Any], args: Any, kwargs: Any, parents: list[Tracked]
) -> Any:
    """Apply a selection to the sums of squares of the tensor it selects from.

    Returns
    -------
    Tensor, sequence of Tensor, or None
        None where that would not give views of the same elements.
    """
    if len(parents) != 1 or parents[0].sums is None:
        return None
    sums = parents[0].sums
    if name in CASTS:
        return sums
    if name not in SELECTIONS:
        return None
    views = func(*mapped(lambda x: sums if isinstance(x, Tracked) else x, args),
                 **mapped(lambda x: sums if isinstance(x, Tracked) else x, kwargs))  # fmt: skip
    storage = sums.untyped_storage().data_ptr()
    if all(view.untyped_storage().data_ptr() == storage for view in leaves(views)):
        return views
    return None
