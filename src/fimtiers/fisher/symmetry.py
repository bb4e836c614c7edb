"""Finds parameters whose gradient is zero by symmetry and pure rounding noise in practice.

Softmax attention does not change when the same vector is added to all keys, so a bias of the
keys has no gradient: its per-token gradients cancel. What is left of the sum is rounding noise,
which would populate the lowest tier of every transformer.
"""

import torch
from torch import Tensor

from fimtiers.fisher.forms import Dense, Form
from fimtiers.fisher.tracked import Tracked

SAMPLES = 2
"""Samples that are looked at first; tensors without a candidate there are not looked at again."""

NOISE = 256
"""A sum below this many rounding errors of its summands is noise."""


class SymmetryDetector:
    """Marks entries whose summands cancel to rounding noise in every sample of a run."""

    def __init__(self) -> None:
        self.cancels: dict[str, Tensor] = {}
        self.moves: dict[str, Tensor] = {}
        self._settled: set[str] = set()

    def look(self, tracked: Tracked, form: Form) -> None:
        """Look at the gradients of a tensor."""
        name = tracked.roots[0]
        if name in self._settled:
            return
        if not isinstance(form, Dense) or form.summands is None or len(tracked.roots) > 1:
            return
        precision = torch.finfo(form.summands.dtype).eps
        if precision > torch.finfo(torch.float32).eps or tracked.graph.grad_fn is not None:
            return
        if form.summands.numel() == form.values.numel():
            return  # nothing was summed
        if name not in self.cancels and not bool(_noise(form, precision, SAMPLES)[0].any()):
            self._settled.add(name)
            return
        cancels, moves = _noise(form, precision, form.samples)
        self.cancels[name] = self.cancels.get(name, cancels) & cancels
        self.moves[name] = self.moves.get(name, moves) | moves
        if not bool(self.cancels[name].any()):
            self._settled.add(name)

    def masks(self) -> dict[str, Tensor]:
        """Return where gradients are zero by symmetry, for parameters that have such entries."""
        masks = {name: self.cancels[name] & self.moves[name] for name in self.cancels}
        return {name: mask for name, mask in masks.items() if bool(mask.any())}


def _noise(form: Dense, precision: float, samples: int) -> tuple[Tensor, Tensor]:
    """Return which entries cancel in all of the first samples, and which have summands at all."""
    assert form.summands is not None
    values, summands = form.values[:samples], form.summands[:samples]
    size = summands.abs().sum(form.axes, keepdim=True).reshape(values.shape)
    return (values.abs() <= NOISE * precision * size).all(0), (size > 0).any(0)
