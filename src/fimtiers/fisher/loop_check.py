"""Compares sums of squares with the single-sample loop, tensor by tensor as its gradients arrive.

The loop's squares are subtracted from the sums in place; what is left measures the disagreement.
Each gradient is gone before the next comes, so a check needs no memory of the model's size.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from fimtiers.fisher.fallback import add_square
from fimtiers.fisher.sums import TILE, Sums

SAFE_NORMS = 1e-12, 1e12
"""Norms whose squares neither underflow nor overflow in float32."""


class LoopCheck:
    """Takes the gradients of the loop away from sums of squares.

    Parameters
    ----------
    sums
        Sums of squares to check; void afterwards.
    masks
        Entries to leave out, such as those that are rounding noise.
    """

    def __init__(self, sums: Sums, masks: Mapping[str, Tensor]) -> None:
        self.sums, self.masks = sums, masks
        self._found: dict[str, float] = {}
        self._left: dict[str, float | None] = {}

    def receive(self, name: str, gradient: Tensor) -> None:
        """Subtract the square of a gradient of one sample."""
        total = self.sums.totals[name]
        if name not in self.masks and _suits_kernel(total, gradient):
            from fimtiers.fisher.check_kernel import subtract_square

            before, after = subtract_square(total.view(-1).numpy(), gradient.view(-1).numpy())
            self._found.setdefault(name, math.sqrt(before))
            self._left[name] = math.sqrt(after)
            return
        if name not in self._found:
            self._found[name] = self._norm(name)
            if self._found[name] == 0:
                self.sums.clear([name])  # it has no scale yet
        add_square(self.sums, name, gradient, -1.0)
        self._left[name] = None

    def difference(self, name: str) -> tuple[float, float]:
        """Return the norms of engine minus loop and of the engine's sums, of one parameter."""
        left = self._left.get(name)
        if left is None:
            left = self._norm(name)
        return left, self._found.get(name, left)

    def agrees(self, name: str, tolerance: float) -> bool:
        """Return whether the two differ by at most a part of the sums, which must be finite."""
        left, found = self.difference(name)
        return left <= tolerance * found < math.inf

    def _norm(self, name: str) -> float:
        """Return the norm of what is not masked; no square of a square underflows."""
        values, mask = self.sums.totals[name], self.masks.get(name)
        values = (values if mask is None else values.masked_fill(mask, 0)).flatten()
        norm = math.sqrt(float(values @ values))
        if SAFE_NORMS[0] < norm < SAFE_NORMS[1]:
            return norm
        peak = float(values.abs().amax()) if values.numel() else 0.0
        if peak == 0 or not math.isfinite(peak):
            return peak
        values = values / peak
        return peak * math.sqrt(float(values @ values))


def _suits_kernel(total: Tensor, gradient: Tensor) -> bool:
    """Return whether compiled code, which saves passes over memory, is worth loading."""
    return (
        total.numel() > TILE
        and total.is_cpu
        and gradient.is_cpu
        and total.dtype == torch.float64
        and gradient.dtype == torch.float32
        and total.is_contiguous()
        and gradient.is_contiguous()
    )
