"""Per-sample gradients of a table whose rows are summed in bags, without a row per token."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fimtiers.fisher.squares import Scaler
from fimtiers.fisher.sums import Part


@dataclass(frozen=True)
class Bags:
    """Weighted sums of rows of a table, G_n[v] = Σ over tokens t of n with row v of w_t g_bag(t).

    Attributes
    ----------
    gradient
        g, shape (bag, width).
    sample
        Which sample each bag belongs to, shape (bag,), −1 for none; None if each is one sample.
    bag, row
        Of each token, shape (token,).
    weight
        w, shape (token,); None if all are one.
    samples
        Number of samples.
    length
        Number of rows of the table.
    """

    gradient: Tensor
    sample: Tensor | None
    bag: Tensor
    row: Tensor
    weight: Tensor | None
    samples: int
    length: int

    def add_squares(self, part: Part, scaler: Scaler) -> None:
        """Add Σ_n G_n² to sums.

        With one bag per sample, G_n[v] is a number times g_n: the weights of equal rows are
        added up, and rows are formed only to be added to the total.
        """
        if self.sample is None:
            part.add_rows(*self._squares_of_single_bags(scaler))
            return
        rows, exponent = scaler.scaled(self.gradient)
        rows = rows[self.bag]
        if self.weight is not None:
            weight, own = scaler.scaled(self.weight)
            rows, exponent = rows * weight.unsqueeze(1), exponent + own
        sample = self.sample[self.bag]
        kept = sample >= 0
        distinct, place = torch.unique((sample * self.length + self.row)[kept], return_inverse=True)
        sums = rows.new_zeros(len(distinct), rows.shape[1]).index_add_(0, place, rows[kept])
        part.add_rows(distinct % self.length, sums.square_(), exponent)

    def gradients(self, start: int, stop: int) -> Tensor:
        """Return G_n of some samples."""
        sample = self.bag if self.sample is None else self.sample[self.bag]
        kept = (sample >= start) & (sample < stop)
        rows = self.gradient[self.bag[kept]]
        if self.weight is not None:
            rows = rows * self.weight[kept].unsqueeze(1)
        full = rows.new_zeros(stop - start, self.length, rows.shape[1])
        return full.index_put_((sample[kept] - start, self.row[kept]), rows, accumulate=True)

    def _squares_of_single_bags(self, scaler: Scaler) -> tuple[Tensor, Tensor, int]:
        """Return numbers of rows, squares / 4^k to add to them, and k."""
        gradient, exponent = scaler.squared(self.gradient, scaler.suits_wide(self.gradient))
        key = self.bag * self.length + self.row
        if self.weight is None:
            distinct, counts = torch.unique(key, return_counts=True)
            weight = counts.to(gradient.dtype)
        else:
            scaled, own = scaler.scaled(self.weight.to(gradient.dtype))
            exponent += own
            distinct, place = torch.unique(key, return_inverse=True)
            weight = scaled.new_zeros(len(distinct)).index_add_(0, place, scaled)
        rows = gradient.index_select(0, distinct // self.length)
        return distinct % self.length, rows.mul_(weight.square().unsqueeze(1)), exponent
