"""Tables whose rows are looked up and reduced in bags: `torch.nn.EmbeddingBag`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fimtiers.fisher.bags import Bags
from fimtiers.fisher.layout import Block, Layout, Whole
from fimtiers.fisher.rules.lookup import Elements
from fimtiers.fisher.rules.protocol import Interceptor, Operation
from fimtiers.fisher.tape import MixedSamplesError
from fimtiers.fisher.tracked import Tracked

MAXIMUM = 2
"""Number of the mode in torch's compiled function."""


@dataclass(frozen=True)
class SumsOfRows:
    """Gradient of a table of which each bag sums some rows.

    Attributes
    ----------
    length
        Number of rows of the table.
    mean
        Whether bags of one size average; other factors come with the tokens.
    """

    length: int
    mean: bool = False

    def __call__(
        self, gradient: Tensor, saved: tuple[Tensor, ...], layout: Layout, samples: int
    ) -> Bags:
        """Return what each bag sums, and whose it is."""
        if len(saved) == 1:
            row, bag = _tokens(*saved, None, False)
            weight: list[Tensor] = []
            gradient = gradient / saved[0].shape[1] if self.mean else gradient
        else:
            bag, row, *weight = saved
        if layout.axis not in (0, None):
            raise MixedSamplesError
        bags, sample = len(gradient), None
        if bags != samples or layout not in (Block(0), Whole()):
            # Counted from one, since zero stands where a sample has fewer bags than others.
            own = layout.front(torch.arange(1, bags + 1, device=bag.device), 0, samples)
            own = own.reshape(samples, -1)
            sample = bag.new_full((bags + 1,), -1)
            sample[own] = torch.arange(samples, device=bag.device).unsqueeze(1)
            sample = sample[1:]
        return Bags(gradient, sample, bag, row, weight[0] if weight else None, samples, self.length)


def embedding_bag(
    tape: Interceptor,
    func: Operation,
    input: Any,  # noqa: A002  torch's name
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Run an embedding bag; one that renormalises or rescales has no rule."""
    if func is torch.embedding_bag or not isinstance(weight, Tracked) or input.is_nested:
        return NotImplemented
    if max_norm is not None or scale_grad_by_freq or isinstance(per_sample_weights, Tracked):
        return NotImplemented
    length = weight.value.shape[0]
    if padding_idx is not None:
        padding_idx %= length
    if mode == "max":
        return _maximum(tape, weight, input, offsets, include_last_offset, padding_idx)
    result = func(
        input, weight.value, offsets, mode=mode, per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset, padding_idx=padding_idx,
    )  # fmt: skip
    if offsets is None and per_sample_weights is None and padding_idx is None:
        return tape.watch(result, [(weight, SumsOfRows(length, mode == "mean"))], (input,))
    row, bag = _tokens(input, offsets, include_last_offset)
    factor = None if per_sample_weights is None else per_sample_weights.reshape(-1)[: len(row)]
    if padding_idx is not None:
        kept = row != padding_idx
        row, bag = row[kept], bag[kept]
        factor = None if factor is None else factor[kept]
    if mode == "mean":
        sizes = torch.bincount(bag, minlength=len(result))
        factor = sizes.to(result.dtype).reciprocal()[bag]
    saved = (bag, row) if factor is None else (bag, row, factor)
    return tape.watch(result, [(weight, SumsOfRows(length))], saved)


def _tokens(rows: Tensor, offsets: Tensor | None, with_end: bool) -> tuple[Tensor, Tensor]:
    """Return the row that each token looks up and the bag that it is in."""
    if offsets is None:
        bags = torch.arange(rows.shape[0], device=rows.device)
        return rows.reshape(-1), bags.repeat_interleave(rows.shape[1])
    ends = offsets if with_end else torch.cat([offsets, offsets.new_tensor([len(rows)])])
    sizes = ends.diff()
    bag = torch.arange(len(sizes), device=rows.device).repeat_interleave(sizes)
    return rows[: len(bag)], bag


def _maximum(
    tape: Interceptor,
    table: Tracked,
    rows: Tensor,
    offsets: Tensor | None,
    with_end: bool,
    padding: int | None,
) -> Tensor:
    """Run an embedding bag that takes the largest entry of each column."""
    if offsets is None:
        offsets = torch.arange(0, rows.numel(), rows.shape[1], device=rows.device)
        rows = rows.reshape(-1)
    result, _, sizes, largest = torch.embedding_bag(
        table.value, rows, offsets, False, MAXIMUM, False, None, with_end, padding
    )
    width = table.value.shape[1]
    places = largest.to(torch.int64) * width + torch.arange(width, device=rows.device)
    # The zeros of an empty bag come from nowhere.
    places = places.masked_fill((sizes == 0).unsqueeze(1), -1)
    return tape.watch(result, [(table, Elements(table.value.shape))], (places,))


RULES: dict[str, Callable[..., Any]] = {"embedding_bag": embedding_bag}
