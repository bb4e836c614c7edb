"""Compares sums of squares with the single-sample loop, tensor by tensor as its gradients arrive.

The loop's squares are subtracted from the sums in place; what is left measures the disagreement.
Each large gradient is gone before the next comes, so a check needs no memory of the model's size.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs
from fimtiers.fisher.fallback import add_square, loop_gradients
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.refusals import SampleCouplingError
from fimtiers.fisher.sums import TILE, Sums, suits_kernel

SAMPLES = 2
"""Samples that are compared; two suffice to tell samples apart."""

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 0.2, torch.float16: 0.05}
"""Largest relative difference to the loop, per tensor. A wrong route is wrong by far more; batched
and single kernels round differently, and a sign of a ReLU may go either way."""

SAFE_NORMS = 1e-12, 1e12
"""Norms whose squares neither underflow nor overflow in float32."""


def differing(
    model: nn.Module,
    objective: Objective,
    batch: tuple[Inputs, Any],
    losses: Tensor,
    sums: Sums,
    masks: Mapping[str, Tensor],
) -> list[str]:
    """Return the parameters whose sums of squares differ from those of the loop.

    Parameters
    ----------
    model, objective
        As of `fimtiers.fisher.engine.Engine`.
    batch
        A few samples, with the labels that their losses were taken at.
    losses
        What they were among other samples, shape (sample, backward pass).
    sums
        Sums of squares over these samples; void afterwards.
    masks
        Entries to leave out, such as those that are rounding noise.

    Raises
    ------
    SampleCouplingError
        If the losses are others when each sample is alone.
    """
    check, parameters = LoopCheck(sums, masks), dict(model.named_parameters())
    chosen = {name: parameters[name] for name in sums.totals}
    alone = loop_gradients(model, objective, batch, chosen, check.receive)
    tolerance = TOLERANCE.get(losses.dtype, max(TOLERANCE.values()))
    together, expected = losses.flatten().tolist(), alone.flatten().tolist()
    scale = tolerance * max(map(abs, expected))
    if not all(abs(x - y) <= scale for x, y in zip(together, expected, strict=True)):
        raise SampleCouplingError(
            f"the losses of samples are {together} among others but {expected} one by one; "
            "an operation couples samples"
        )
    return [
        name
        for name, (left, found) in check.differences().items()
        if not left <= TOLERANCE[parameters[name].dtype] * found < math.inf
    ]


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
        self._small = [
            name
            for name, total in sums.totals.items()
            if total.dtype == torch.float64 and total.numel() <= TILE and name not in masks
        ]
        self._exact = {name: torch.empty_like(sums.totals[name]) for name in self._small}
        self._found = dict(zip(self._small, self._norms(self._small), strict=True))
        self._left: dict[str, float] = {}

    def receive(self, gradients: Mapping[str, Tensor]) -> None:
        """Subtract the squares of gradients of one sample."""
        small = [name for name in self._small if name in gradients]
        if small:
            totals = [self.sums.totals[name] for name in small]
            exact = [self._exact[name] for name in small]  # squares in float64 need no scale
            torch._foreach_copy_(exact, [gradients[name] for name in small])
            torch._foreach_addcmul_(totals, exact, exact, value=-1)
        for name in gradients.keys() - set(small):
            self._receive_large(name, gradients[name])

    def differences(self) -> dict[str, tuple[float, float]]:
        """Return the norms of engine minus loop and of the engine's sums, of each parameter."""
        pending = [name for name in self.sums.totals if name not in self._left]
        left = dict(zip(pending, self._norms(pending), strict=True)) | self._left
        return {name: (left[name], self._found.get(name, left[name])) for name in self.sums.totals}

    def _receive_large(self, name: str, gradient: Tensor) -> None:
        total = self.sums.totals[name]
        if name not in self.masks and suits_kernel(total, gradient):
            from fimtiers.fisher.sums_kernel import subtract_square

            before, after = subtract_square(total.view(-1).numpy(), gradient.view(-1).numpy())
            self._found.setdefault(name, math.sqrt(before))
            self._left[name] = math.sqrt(after)
            return
        if name not in self._found:
            (self._found[name],) = self._norms([name])
            if self._found[name] == 0:
                self.sums.clear([name])  # it has no scale yet
        add_square(self.sums, name, gradient, -1.0)
        self._left.pop(name, None)

    def _norms(self, names: Sequence[str]) -> list[float]:
        """Return the norms of what is not masked; no square of a square underflows."""
        values = [self.sums.totals[name] for name in names]
        for number, name in enumerate(names):
            if name in self.masks:
                values[number] = values[number].masked_fill(self.masks[name], 0)
        norms = [float(norm) for norm in torch._foreach_norm(values)] if values else []
        return [
            norm if SAFE_NORMS[0] < norm < SAFE_NORMS[1] else _scaled_norm(own)
            for norm, own in zip(norms, values, strict=True)
        ]


def _scaled_norm(values: Tensor) -> float:
    """Return the norm of values whose squares may be out of range."""
    peak = float(values.abs().amax()) if values.numel() else 0.0
    if peak == 0 or not math.isfinite(peak):
        return peak
    return peak * float(torch.linalg.vector_norm(values / peak))
