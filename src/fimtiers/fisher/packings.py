"""Where packed sequences put the samples, read off the call that packed them.

A packed tensor holds the first tokens of all sequences, the longest sequence first, then their
second tokens, and so on. Sequences of any order are sorted before.
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fimtiers.fisher.gathers import PACKING
from fimtiers.fisher.layout import Ragged

SORTING = "index_select"
"""Function that brings sequences into the order of their lengths."""


class Packings:
    """Layouts of the packed tensors of a forward pass, by their numbers of rows.

    They hold if the axis along which sequences were packed is that of the samples, in order. Its
    length shows that only by chance or by rights: believe it of an operation after it was seen.

    Parameters
    ----------
    samples
        Number of samples in the batch.
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self._sorted: tuple[Callable[[], Any], int, Tensor] | None = None
        self._layouts: dict[int, Ragged | None] = {}

    def note(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        """Take notice of a call, by arguments in their places as `pack_padded_sequence` makes it.

        Parameters
        ----------
        name
            Of the function.
        args, result
            Of the call.
        """
        if name == SORTING and len(args) == 3 and args[2].numel() == self.samples:
            self._sorted = weakref.ref(result), args[1] % args[0].ndim, args[2].flatten()
        if name != PACKING or len(args) != 3:
            return
        data, _, batch_first = args
        axis = 0 if batch_first else 1
        if data.shape[axis] == self.samples:
            order = torch.arange(self.samples, device=data.device)
            if self._sorted and self._sorted[0]() is data and self._sorted[1] == axis:
                order = self._sorted[2]
            packed, sizes = result
            layout, rows = rows_of_samples(sizes.to(data.device), order), len(packed)
            known = self._layouts.setdefault(rows, layout)
            if known is not None and not torch.equal(known.index, layout.index):
                self._layouts[rows] = None  # the number of rows does not tell which

    def layout(self, shape: torch.Size) -> Ragged | None:
        """Return where samples are in a tensor of this shape, if it is one of packed rows."""
        return self._layouts.get(shape[0]) if len(shape) else None


def rows_of_samples(sizes: Tensor, order: Tensor) -> Ragged:
    """Return the rows of each sample in a packed tensor.

    Parameters
    ----------
    sizes
        Number of sequences that have a first, a second, … token.
    order
        Sample of the longest sequence, the second longest, …
    """
    places = torch.arange(len(order), device=order.device).unsqueeze(1)
    rows = (torch.cumsum(sizes, 0) - sizes + places).masked_fill(places >= sizes, -1)
    return Ragged(torch.empty_like(rows).index_copy_(0, order, rows))
