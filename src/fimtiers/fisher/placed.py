"""Rows looked up along other axes of a tensor than its first."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fimtiers.fisher.forms import Scatter
from fimtiers.fisher.squares import Scaler
from fimtiers.fisher.sums import Part


@dataclass(frozen=True)
class Placed:
    """Rows of a tensor whose axes are brought in another order, with the first ones flattened.

    Attributes
    ----------
    form
        The rows.
    sizes
        Lengths of the tensor's axes in the order of `form`, before they are flattened.
    order
        Permutation from that order to the tensor's own.
    """

    form: Scatter
    sizes: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.form.samples

    def add_squares(self, part: Part, scaler: Scaler) -> None:
        """Add Σ_n G_n² to sums."""
        inverse = [self.order.index(axis) for axis in range(len(self.order))]
        view = part.view.permute(inverse)
        shape = self.form.length, *self.form.rows.shape[2:]
        if _are_adjacent(view, view.ndim - len(shape) + 1):
            self.form.add_squares(part.of(view.view(shape)), scaler)
            return
        total = torch.zeros(shape, dtype=view.dtype, device=view.device)
        self.form.add_squares(part.of(total), scaler)
        view += total.view(self.sizes)

    def gradients(self, start: int, stop: int) -> Tensor:
        """Return G_n of some samples."""
        gradients = self.form.gradients(start, stop).reshape(-1, *self.sizes)
        return gradients.permute(0, *(axis + 1 for axis in self.order))


def _are_adjacent(tensor: Tensor, axes: int) -> bool:
    """Return whether the first axes of a tensor can be seen as one."""
    return all(
        tensor.stride(n) == tensor.shape[n + 1] * tensor.stride(n + 1) for n in range(axes - 1)
    )
