"""Compares sums of squares with the single-sample loop, tensor by tensor as its gradients arrive.

The loop's squares are subtracted from the sums in place; what is left measures the disagreement.
Each large gradient is gone before the next comes, so a check needs no memory of the model's size.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs, call, part
from fimtiers.fisher.fallback import add_square, loop_gradients
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.refusals import LossError, SampleCouplingError
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
    losses: Tensor | None,
    sums: Sums,
    masks: Mapping[str, Tensor],
) -> tuple[list[str], Tensor]:
    """Compare sums of squares with those of the loop.

    Parameters
    ----------
    model, objective
        As of `fimtiers.fisher.engine.Engine`.
    batch
        A few samples, with the labels that their losses were taken at.
    losses
        What they were among other samples, shape (sample, backward pass); None if every sample
        was alone.
    sums
        Sums of squares over these samples; void afterwards.
    masks
        Entries to leave out, such as those that are rounding noise.

    Returns
    -------
    list of str
        The parameters whose sums differ.
    Tensor
        The losses of samples alone, shape (sample, backward pass).

    Raises
    ------
    SampleCouplingError
        If the losses are others when each sample is alone.
    LossError
        If a loss or a gradient is not finite.
    """
    check, parameters = LoopCheck(sums, masks), dict(model.named_parameters())
    chosen = {name: parameters[name] for name in sums.totals}
    alone = loop_gradients(model, objective, batch, chosen, check.receive)
    refuse_not_finite(alone)
    if losses is not None:
        refuse_coupled(losses, alone)
    wrong = [
        name
        for name, (left, found) in check.differences().items()
        if not left <= TOLERANCE[real(parameters[name].dtype)] * found < math.inf
    ]
    if wrong:
        _refuse_not_finite_gradients(model, objective, batch, {n: chosen[n] for n in wrong})
    return wrong, alone


def losses_alone(
    model: nn.Module, objective: Objective, batch: tuple[Inputs, Any], sample: int
) -> Tensor:
    """Return the losses of one sample of a batch when it is alone, shape (backward pass,)."""
    inputs, labels = part(batch, sample, sample + 1)
    losses = objective.losses(call(model, inputs), labels, 1)
    return torch.cat([loss.detach() for loss in losses])


def refuse_coupled(together: Tensor, alone: Tensor) -> None:
    """Raise if losses of samples among others are not what they are one by one.

    Parameters
    ----------
    together, alone
        Shape (sample, backward pass).

    Raises
    ------
    SampleCouplingError
        If they differ by more than rounding.
    """
    tolerance = TOLERANCE.get(together.dtype, max(TOLERANCE.values()))
    found, expected = together.flatten().tolist(), alone.flatten().tolist()
    scale = tolerance * max(map(abs, expected))
    if not all(abs(x - y) <= scale for x, y in zip(found, expected, strict=True)):
        raise SampleCouplingError(
            f"the losses of samples are {_short(found)} among others but {_short(expected)} one by "
            "one; an operation couples samples"
        )


def _short(values: list[float], most: int = 4) -> str:
    shown = ", ".join(f"{value:.8g}" for value in values[:most])
    return f"[{shown}{', …' if len(values) > most else ''}]"


def _refuse_not_finite_gradients(
    model: nn.Module, objective: Objective, batch: tuple[Inputs, Any], chosen: dict[str, Tensor]
) -> None:
    """Raise if the loop itself finds gradients that are NaN or infinite."""

    def receive(gradients: Mapping[str, Tensor]) -> None:
        for name, gradient in gradients.items():
            if not bool(torch.isfinite(gradient).all()):
                raise LossError(
                    f"the gradient of {name} is {_what(gradient)}, though the loss is finite"
                )

    loop_gradients(model, objective, batch, chosen, receive)


def _what(values: Tensor) -> str:
    return "NaN" if bool(values.isnan().any()) else "infinite"


def refuse_not_finite(losses: Tensor) -> None:
    """Raise if a loss is NaN or infinite.

    Parameters
    ----------
    losses
        Shape (sample, backward pass).

    Raises
    ------
    LossError
        Names the first such sample.
    """
    finite = torch.isfinite(losses)
    if bool(finite.all()):
        return
    sample = int((~finite).any(1).nonzero()[0])
    raise LossError(
        f"the loss of sample {sample} of a batch of {len(losses)} is {_what(losses[sample])}"
    )


SMALL = 1 << 12
"""Sums with at most this many entries are searched for NaN at the end of a run."""


def refuse_not_finite_sums(sums: Sums) -> None:
    """Raise if a sum of squares is NaN or infinite though all losses were finite.

    Small tensors are searched, biases and norms: what is NaN above one passes through it.
    """
    small = {name: total for name, total in sums.totals.items() if 0 < total.numel() <= SMALL}
    norms = torch._foreach_norm(list(small.values())) if small else []
    for name, norm in zip(small, norms, strict=True):
        if not math.isfinite(norm) and not bool(torch.isfinite(small[name]).all()):
            raise LossError(
                f"the gradient of {name} is {_what(small[name])} for some sample, though all "
                "losses are finite"
            )


def real(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of the absolute value of a number."""
    return dtype.to_real() if dtype.is_complex else dtype


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
