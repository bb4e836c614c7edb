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
"""Samples that are looked at."""

NOISE = 256
"""A sum below this many rounding errors of its summands is noise."""


class SymmetryDetector:
    """Marks entries whose summands cancel to rounding noise in the first samples of a run."""

    def __init__(self) -> None:
        self.done = False
        self.cancels: dict[str, Tensor] = {}
        self.moves: dict[str, Tensor] = {}

    def look(self, tracked: Tracked, form: Form) -> None:
        """Look at the gradients of a tensor."""
        if not isinstance(form, Dense) or form.summands is None or len(tracked.roots) > 1:
            return
        values, summands = form.values[:SAMPLES], form.summands[:SAMPLES]
        precision = torch.finfo(summands.dtype).eps
        if precision > torch.finfo(torch.float32).eps or tracked.graph.grad_fn is not None:
            return
        if summands.numel() == values.numel():
            return  # nothing was summed
        name = tracked.roots[0]
        size = summands.abs().sum(form.axes, keepdim=True).reshape(values.shape)
        cancels = (values.abs() <= NOISE * precision * size).all(0)
        self.cancels[name] = self.cancels.get(name, cancels) & cancels
        self.moves[name] = self.moves.get(name, size[0] > 0) | (size > 0).any(0)

    def masks(self) -> dict[str, Tensor]:
        """Return where gradients are zero by symmetry, for parameters that have such entries."""
        masks = {name: self.cancels[name] & self.moves[name] for name in self.cancels}
        return {name: mask for name, mask in masks.items() if bool(mask.any())}
