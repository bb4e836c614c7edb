"""Per-sample gradients in the forms in which the backward pass leaves them.

A form knows one tensor's gradient for every sample of a batch without holding it. It can add up
its squares, the point of the engine, or write the gradients of a few samples out in full, which
some parameters with several uses need. All forms are linear in the gradient they are made from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fimtiers.fisher.squares import (
    Scaler,
    add_outer_squares,
    add_window_squares,
    outer_squares,
    window_squares,
)
from fimtiers.fisher.sums import Part
from fimtiers.fisher.windows import Window, unfold


class Form(Protocol):
    """Gradients of one tensor for each of `samples` samples."""

    @property
    def samples(self) -> int:
        """Number of samples."""

    def add_squares(self, part: Part, scaler: Scaler) -> None:
        """Add Σ_n G_n² to sums shaped as the tensor."""

    def gradients(self, start: int, stop: int) -> Tensor:
        """Return G_n for n = start … stop − 1, shape (stop − start, *tensor)."""


@dataclass(slots=True)
class Dense:
    """Gradients as they are.

    Attributes
    ----------
    values
        G, shape (sample, *tensor).
    summands
        What was summed to give `values`, shape (sample, …); None if nothing was.
    axes
        Axes of `summands` that were summed over.
    """

    values: Tensor
    summands: Tensor | None = None
    axes: tuple[int, ...] = ()

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.values.shape[0]

    def squares(self, scaler: Scaler) -> tuple[Tensor, int]:
        """Return Σ_n G_n² / 4^k and k."""
        return scaler.summed(self.values)

    def add_squares(self, part: Part, scaler: Scaler) -> None:
        """Add Σ_n G_n² to sums."""
        part.add(*self.squares(scaler))

    def gradients(self, start: int, stop: int) -> Tensor:
        """Return G_n of some samples."""
        return self.values[start:stop]

    def joined(self, others: Sequence["Dense"]) -> "Dense":
        """Return the gradient of several uses together."""
        return Dense(sum((other.values for other in others), self.values))


@dataclass(slots=True)
class Outer:
    """Sums of outer products over tokens, G_n = Σ_t left_nt ⊗ right_nt, one per group.

    Attributes
    ----------
    left, right
        Shapes (sample, token, group, L) and (sample, token, group, R).
    sizes
        Lengths of the tensor's axes in the order (groups …, L …, R …).
    order
        Permutation from that order to the tensor's own.
    """

    left: Tensor
    right: Tensor
    sizes: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.left.shape[0]

    def add_squares(self, part: Part, scaler: Scaler) -> None:
        """Add Σ_n G_n² to sums."""
        shape = self.left.shape[2], self.left.shape[3], self.right.shape[3]
        inverse = [self.order.index(axis) for axis in range(len(self.order))]
        view = part.view.permute(inverse)
        if view.is_contiguous():
            add_outer_squares(part.of(view.view(shape)), self.left, self.right, scaler)
            return
        total, exponent = outer_squares(self.left, self.right, scaler)
        part.of(view).add(total.reshape(self.sizes), exponent)

    def gradients(self, start: int, stop: int) -> Tensor:
        """Return G_n of some samples."""
        left, right = self.left[start:stop], self.right[start:stop]
        product = torch.einsum("btgl,btgr->bglr", left, right.to(left.dtype))
        return product.reshape(-1, *self.sizes).permute(0, *(axis + 1 for axis in self.order))

    def joined(self, others: Sequence["Outer"]) -> "Outer":
        """Return the gradient of several uses together: their tokens, one after the other."""
        left = torch.cat([self.left, *(other.left for other in others)], 1)
        right = torch.cat([self.right, *(other.right for other in others)], 1)
        return Outer(left, right, self.sizes, self.order)

    def transposed(self) -> "Outer":
        """Return the gradient of the transposed matrix."""
        return Outer(self.left, self.right, self.sizes, self.order[::-1])


@dataclass(frozen=True)
class Windowed:
    """Sums over positions of a fixed vector times a moving window: weights of convolutions.

    Attributes
    ----------
    fixed
        Shape (image, group, L, *positions): output gradient, or input if transposed.
    source
        Shape (image, group, R, *space): input, or output gradient if transposed; not padded.
    window
        Geometry of the convolution.
    samples
        Number of samples; each has the same number of images, in order.
    """

    fixed: Tensor
    source: Tensor
    window: Window
    samples: int

    def add_squares(self, part: Part, scaler: Scaler) -> None:
        """Add Σ_n G_n² to sums."""
        given = self.fixed, self.source, self.window, self.samples, scaler
        groups, length = self.fixed.shape[1:3]
        shape = groups, length, self.source.shape[2], self.window.taps
        if part.view.is_contiguous():
            add_window_squares(part.of(part.view.view(shape)), *given)
            return
        total, exponent = window_squares(*given)
        part.add(total.flatten(0, 1).unflatten(-1, self.window.kernel), exponent)

    def gradients(self, start: int, stop: int) -> Tensor:
        """Return G_n of some samples."""
        images = self.fixed.shape[0] // self.samples
        part = slice(start * images, stop * images)
        columns = unfold(self.source[part], self.window).unflatten(0, (-1, images))
        fixed = self.fixed[part].flatten(3).unflatten(0, (-1, images))
        product = torch.einsum("bmglt,bmgrkt->bglrk", fixed, columns)
        return product.flatten(1, 2).unflatten(-1, self.window.kernel)


@dataclass(frozen=True)
class Scatter:
    """Rows of a table, G_n[v] = Σ over t with index_nt = v of rows_nt.

    Attributes
    ----------
    rows
        Shape (sample, token, *row).
    index
        Shape (sample, token); entries below 0 take no gradient.
    length
        Number of rows of the table.
    """

    rows: Tensor
    index: Tensor
    length: int

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.rows.shape[0]

    def add_squares(self, part: Part, scaler: Scaler) -> None:
        """Add Σ_n G_n² to sums."""
        rows, exponent = (
            (self.rows.double(), 0) if scaler.suits_wide(self.rows) else scaler.scaled(self.rows)
        )
        if self.index.shape[1] == 1 and not bool((self.index < 0).any()):
            part.add_rows(self.index[:, 0], rows[:, 0].square(), exponent)
            return
        met = self.met()
        part.add_rows(met.row, met.summed(rows).square_(), exponent)

    def met(self) -> "Met":
        """Return which rows each sample looked up."""
        sample = torch.arange(self.samples, device=self.index.device).unsqueeze(1)
        kept = (self.index >= 0).flatten()
        key = (self.index + self.length * sample).flatten()
        whole = bool(kept.all())
        distinct, place = torch.unique(key if whole else key[kept], return_inverse=True)
        return Met(distinct // self.length, distinct % self.length, place, None if whole else kept)

    def joined(self, others: Sequence["Scatter"]) -> "Scatter":
        """Return the gradient of several uses together: their tokens, one after the other."""
        rows = torch.cat([self.rows, *(other.rows for other in others)], 1)
        index = torch.cat([self.index, *(other.index for other in others)], 1)
        return Scatter(rows, index, self.length)

    def gradients(self, start: int, stop: int) -> Tensor:
        """Return G_n of some samples, zeros included."""
        rows, index = self.rows[start:stop], self.index[start:stop]
        full = rows.new_zeros(stop - start, self.length, *rows.shape[2:])
        sample = torch.arange(stop - start, device=index.device).unsqueeze(1).expand_as(index)
        kept = index >= 0
        return full.index_put_((sample[kept], index[kept]), rows[kept], accumulate=True)


@dataclass(frozen=True)
class Met:
    """The pairs of a sample and a row of a table that it looked up, each once.

    Attributes
    ----------
    sample, row
        Of each pair, sorted by sample and then by row.
    place
        Number of the pair of each token that takes a gradient, in the order (sample, token).
    kept
        Which tokens take one, shape (sample · token); None if all.
    """

    sample: Tensor
    row: Tensor
    place: Tensor
    kept: Tensor | None

    def summed(self, rows: Tensor) -> Tensor:
        """Return the sum of the rows of each pair, from shape (sample, token, *row)."""
        rows = rows.flatten(0, 1)
        sums = rows.new_zeros(len(self.row), *rows.shape[1:])
        return sums.index_add_(0, self.place, rows if self.kept is None else rows[self.kept])

    def first(self, rows: Tensor) -> Tensor:
        """Return the row of the first token of each pair, from shape (sample, token, *row)."""
        rows = rows.flatten(0, 1)
        token = torch.arange(len(rows), device=rows.device)
        token = token if self.kept is None else token[self.kept]
        first = token.new_zeros(len(self.row))
        first.scatter_reduce_(0, self.place, token, "amin", include_self=False)
        return rows[first]
