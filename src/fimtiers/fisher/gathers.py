"""Notices when a model picks or places rows of data by index, which hides where samples are.

An expert that gets the tokens routed to it, packed sequences, boolean masks: how many rows there
are, and whose, depends on the data. What was found for one batch says nothing about the next.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fimtiers.fisher.tracked import leaves

PACKING = "_pack_padded_sequence"
"""Function that puts sequences of different lengths into one tensor."""

GATHERS = frozenset({
    "__getitem__", "__setitem__", "index", "index_select", "gather", "take", "take_along_dim",
    "masked_select", "index_add", "index_add_", "index_copy", "index_copy_", "index_put",
    "index_put_", "scatter", "scatter_", "scatter_add", "scatter_add_", "masked_scatter",
    "masked_scatter_", PACKING,
})  # fmt: skip
"""Functions that may pick or place rows of data by index."""

CUTS = frozenset({
    "__getitem__", "split", "chunk", "narrow", "tensor_split", "split_with_sizes", "unsafe_split",
    "unsafe_chunk",
})  # fmt: skip
"""Functions that cut data into stretches: what was picked is cut into one stretch per expert."""

WATCHED = GATHERS | CUTS


class Gathers:
    """What a forward pass gathered so far.

    Attributes
    ----------
    lengths
        Numbers of rows that were picked or placed, and of the stretches cut from them.
    """

    def __init__(self) -> None:
        self.lengths: set[int] = set()

    def note(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Take notice of a call of one of the functions in `WATCHED`.

        Integers are looked up in tables, so that rows of them picked by a mask hide samples too;
        what is picked from them by index is as a rule no row per sample.
        """
        data, *others = *args, *kwargs.values()
        if not isinstance(data, Tensor) or data.ndim == 0:
            return
        floating = data.is_floating_point()
        if self.lengths and floating:
            self._note_stretches(data, result)
        for shape, is_mask in _indices(others):
            if floating or name == PACKING:
                self.lengths.update(shape)
            if is_mask and isinstance(result, Tensor):
                self.lengths.update(result.shape[:1])

    def _note_stretches(self, data: Tensor, result: Any) -> None:
        for part in leaves(result):
            if isinstance(part, Tensor) and part.ndim == data.ndim and len(part) != len(data):
                self.lengths.add(len(part))

    def may_hide(self, shape: torch.Size, samples: int) -> bool:
        """Return whether samples may be anywhere in a result of this shape.

        Where the first axis counts samples and nothing of that length was gathered, it is what
        it seems.
        """
        return bool(self.lengths) and not (
            len(shape) > 0 and shape[0] == samples and samples not in self.lengths
        )


def _indices(items: Sequence[Any]) -> Iterator[tuple[tuple[int, ...], bool]]:
    """Yield the shape of every array of indices, and whether it is a mask."""
    for item in items:
        if isinstance(item, (Tensor, np.ndarray)):
            kind = str(item.dtype)
            if item.ndim > 0 and "float" not in kind:
                yield tuple(item.shape), kind.endswith("bool")
        elif isinstance(item, list) and item and all(isinstance(x, int) for x in item):
            yield (len(item),), False
        elif isinstance(item, (list, tuple)):
            yield from _indices(item)
