"""Per-sample gradients in the forms in which the backward pass leaves them.

A form knows one tensor's gradient for every sample of a batch without holding it. It can sum
its squares, the point of the engine, or write the gradients of a few samples out in full, which
parameters with several uses need. All forms are linear in the gradient they are made from.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fimtiers.fisher.squares import Scaler, outer_squares, window_squares
from fimtiers.fisher.windows import Window, unfold


class Form(Protocol):
    """Gradients of one tensor for each of `samples` samples."""

    @property
    def samples(self) -> int:
        """Number of samples."""

    def squares(self, scaler: Scaler) -> tuple[Tensor, int]:
        """Return Σ_n G_n² / 4^k, shaped as the tensor, and k."""

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

    def gradients(self, start: int, stop: int) -> Tensor:
        """Return G_n of some samples."""
        return self.values[start:stop]


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

    def squares(self, scaler: Scaler) -> tuple[Tensor, int]:
        """Return Σ_n G_n² / 4^k and k."""
        total, exponent = outer_squares(self.left, self.right, scaler)
        return total.reshape(self.sizes).permute(self.order), exponent

    def gradients(self, start: int, stop: int) -> Tensor:
        """Return G_n of some samples."""
        left, right = self.left[start:stop], self.right[start:stop]
        product = torch.einsum("btgl,btgr->bglr", left, right.to(left.dtype))
        return product.reshape(-1, *self.sizes).permute(0, *(axis + 1 for axis in self.order))

    def joined(self, other: "Outer") -> "Outer":
        """Return the gradient of two uses together: their tokens, one after the other."""
        left = torch.cat([self.left, other.left], 1)
        return Outer(left, torch.cat([self.right, other.right], 1), self.sizes, self.order)


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

    def squares(self, scaler: Scaler) -> tuple[Tensor, int]:
        """Return Σ_n G_n² / 4^k and k."""
        total, exponent = window_squares(self.fixed, self.source, self.window, self.samples, scaler)
        return total.flatten(0, 1).unflatten(-1, self.window.kernel), exponent

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

    def squares(self, scaler: Scaler) -> tuple[Tensor, int]:
        """Return Σ_n G_n² / 4^k and k, adding up each sample's equal tokens first."""
        rows, exponent = scaler.scaled(self.rows)
        rows, key = (
            rows.flatten(0, 1),
            self.index
            + self.length * torch.arange(self.samples, device=self.index.device).unsqueeze(1),
        )
        kept = (self.index >= 0).flatten()
        distinct, place = torch.unique(key.flatten()[kept], return_inverse=True)
        sums = rows.new_zeros(len(distinct), *rows.shape[1:])
        sums.index_add_(0, place, rows if bool(kept.all()) else rows[kept])
        total = rows.new_zeros(self.length, *rows.shape[1:])
        return total.index_add_(0, distinct % self.length, sums.square_()), exponent

    def gradients(self, start: int, stop: int) -> Tensor:
        """Return G_n of some samples, zeros included."""
        rows, index = self.rows[start:stop], self.index[start:stop]
        full = rows.new_zeros(stop - start, self.length, *rows.shape[2:])
        sample = torch.arange(stop - start, device=index.device).unsqueeze(1).expand_as(index)
        kept = index >= 0
        return full.index_put_((sample[kept], index[kept]), rows[kept], accumulate=True)
