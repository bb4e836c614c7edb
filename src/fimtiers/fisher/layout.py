"""Where the sample index hides in a tensor, found by asking the backward pass.

Backward passes are linear. Give sample b's loss the weight 2^b, and the gradient of every
intermediate entry that serves sample b alone is multiplied by 2^b, exactly. Comparing with the
gradient at equal weights shows to which sample an entry belongs, whatever reshapes, transposes
and gathers lie between, and entries that serve several samples betray themselves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

BASE = 32
"""Weights are 1 … 2^(BASE − 1), far inside the exponents of float32 and bfloat16."""

TOLERANCE = 1e-4
"""Largest residual of a layout relative to each sample; exact kernels give 0."""

NOISE = 1e-6
"""Residual relative to the largest sample that atomic additions may leave."""


class Layout(Protocol):
    """Brings the sample index of a tensor to the front."""

    @property
    def axis(self) -> int | None:
        """Axis of the anchored tensor that holds the sample index; None if all is one sample."""

    def front(self, tensor: Tensor, axis: int, samples: int) -> Tensor:
        """Return `tensor` as (sample, …, rest of `axis`, …)."""


@dataclass(frozen=True)
class Whole:
    """All of the tensor belongs to the only sample."""

    axis: None = None

    def front(self, tensor: Tensor, axis: int, samples: int) -> Tensor:
        """Return `tensor` with an axis of length 1 in front."""
        return tensor.unsqueeze(0)


@dataclass(frozen=True)
class Block:
    """The sample index is all of an axis, or its slow or fast part.

    Attributes
    ----------
    axis
        Axis of the anchored tensor.
    slow
        True for (sample, other) flattened in C order, False for (other, sample).
    """

    axis: int
    slow: bool = True

    def front(self, tensor: Tensor, axis: int, samples: int) -> Tensor:
        """Return a view of `tensor` as (sample, …, rest of `axis`, …)."""
        rest = tensor.shape[axis] // samples
        if self.slow:
            return tensor.unflatten(axis, (samples, rest)).movedim(axis, 0)
        return tensor.unflatten(axis, (rest, samples)).movedim(axis + 1, 0)


@dataclass(frozen=True)
class Ragged:
    """Each entry of axis 0 belongs to some sample: tokens gathered by an expert, packed sequences.

    Attributes
    ----------
    index
        Entries of each sample, padded with −1, shape (sample, most entries of one sample).
    """

    index: Tensor
    axis: int = 0

    def front(self, tensor: Tensor, axis: int, samples: int) -> Tensor:
        """Return a copy of `tensor` as (sample, …, entry, …); padding is zero."""
        rows = tensor.index_select(axis, self.index.clamp(min=0).flatten())
        rows = rows.movedim(axis, 0).unflatten(0, (samples, -1))
        padding = self.index < 0
        if bool(padding.any()):
            rows.masked_fill_(padding.reshape(*padding.shape, *(1,) * (tensor.ndim - 1)), 0)
        return rows.movedim(1, axis + 1)


def label_weights(samples: int, like: Tensor) -> list[Tensor]:
    """Return the weights of the samples' losses, one tensor of shape (sample,) per digit."""
    weights: list[Tensor] = []
    index = torch.arange(samples, device=like.device)
    while not weights or index.any():
        weights.append(torch.exp2((index % BASE).to(like.dtype)))
        index = index // BASE
    return weights


def find_layout(
    plain: Tensor,
    labelled: Sequence[Tensor],
    weights: Sequence[Tensor],
    samples: int,
    gathered: bool = False,
) -> tuple[Layout | None, bool]:
    """Find the sample index of a tensor from its gradients.

    Parameters
    ----------
    plain
        Gradient of the sum of all losses.
    labelled
        Gradients of the sums weighted with `weights`, shaped as `plain`.
    weights
        From `label_weights`.
    samples
        Number of samples in the batch.
    gathered
        Whether to look for rows picked by index first.

    Returns
    -------
    Layout or None
        None if some entry serves several samples.
    bool
        Whether another layout fits as well, since many gradients are zero.
    """
    if gathered and (ragged := _find_ragged(plain, labelled, weights, samples)):
        return ragged, False
    fitting = _fitting(plain, labelled, weights, samples)
    if first := next(fitting, None):
        return first, next(fitting, None) is not None
    return _find_ragged(plain, labelled, weights, samples), False


def _fitting(
    plain: Tensor, labelled: Sequence[Tensor], weights: Sequence[Tensor], samples: int
) -> Iterator[Block]:
    """Yield the layouts along an axis that gradients allow."""
    for axis, length in enumerate(plain.shape):
        if length % samples:
            continue
        for slow in (True, False) if length > samples else (True,):
            block = Block(axis, slow)
            gradient = block.front(plain, axis, samples)
            if all(
                _is_scaled(block.front(g, axis, samples), gradient, w)
                for g, w in zip(labelled, weights, strict=True)
            ):
                yield block


def fits(
    layout: Layout,
    plain: Tensor,
    labelled: Sequence[Tensor],
    weights: Sequence[Tensor],
    samples: int,
) -> bool:
    """Return whether gradients show that all samples are where a layout says.

    Parameters
    ----------
    layout
        What is to be shown.
    plain, labelled, weights, samples
        As of `find_layout`.
    """
    axis = layout.axis or 0
    front = layout.front(plain, axis, samples)
    return bool(front.flatten(1).any(1).all()) and all(
        _is_scaled(layout.front(g, axis, samples), front, w)
        for g, w in zip(labelled, weights, strict=True)
    )


def _is_scaled(labelled: Tensor, plain: Tensor, weights: Tensor) -> bool:
    """Return whether each entry of the first axis is scaled by its weight, however small."""
    residual = labelled / weights.to(plain.dtype).reshape(-1, *(1,) * (plain.ndim - 1)) - plain
    size = _largest_by_row(plain)
    return bool((_largest_by_row(residual) <= TOLERANCE * size + NOISE * size.max()).all())


def _find_ragged(
    plain: Tensor, labelled: Sequence[Tensor], weights: Sequence[Tensor], samples: int
) -> Ragged | None:
    if plain.ndim == 0:
        return None
    size = _largest_by_row(plain)
    sample = torch.zeros(len(size), dtype=torch.long, device=plain.device)
    for digit, gradient in enumerate(labelled):
        ratio = _largest_by_row(gradient) / size.where(size > 0, 1.0)
        exponent = torch.log2(ratio.where(ratio > 0, 1.0)).round().long().clamp(0, BASE - 1)
        sample += exponent * BASE**digit
    sample = sample.clamp(max=samples - 1)
    for gradient, weight in zip(labelled, weights, strict=True):
        if not _is_scaled(gradient, plain, weight[sample]):
            return None
    return Ragged(_pad_by_sample(sample, samples))


def _largest_by_row(values: Tensor) -> Tensor:
    return values.reshape(values.shape[0], -1).abs().amax(1).double()


def _pad_by_sample(sample: Tensor, samples: int) -> Tensor:
    counts = torch.bincount(sample, minlength=samples)
    order = torch.argsort(sample, stable=True)
    start = torch.cumsum(counts, 0) - counts
    index = sample.new_full((samples, int(counts.max()) if len(sample) else 1), -1)
    ordered = sample[order]
    index[ordered, torch.arange(len(sample), device=sample.device) - start[ordered]] = order
    return index
