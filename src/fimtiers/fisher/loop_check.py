"""Compares sums of squares with the single-sample loop, tensor by tensor as its gradients arrive.

What is left of the sums without the loop's squares measures the disagreement; the sums stay as they
are. The gradients of the first sample are kept until those of the second come, which needs the
memory of a plain pass; each large one of the last is gone before the next comes.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs, call, part
from fimtiers.fisher.fallback import loop_gradients
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.refusals import LossError, SampleCouplingError
from fimtiers.fisher.sums import TILE, Sums, suits_kernel

SAMPLES = 2
"""Samples that are compared; two suffice to tell samples apart."""

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 0.2, torch.float16: 0.05}
"""Largest relative difference to the loop, per tensor. A wrong route is wrong by far more; batched
and single kernels round differently, and a sign of a ReLU may go either way."""

LOSS_IS_FINER = 2
"""A loss of full precision made of numbers of half precision is held to this fraction of their
tolerance: it averages over what they round."""

SAFE_NORMS = 1e-12, 1e12
"""Norms whose squares neither underflow nor overflow in float32."""


def differing(
    model: nn.Module,
    objective: Objective,
    batch: tuple[Inputs, Any],
    losses: Tensor | None,
    sums: Sums,
    masks: Mapping[str, Tensor],
    computed_in: Collection[torch.dtype] = (),
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
        Sums of squares over these samples.
    masks
        Entries to leave out, such as those that are rounding noise.
    computed_in
        Dtypes that were computed in besides those of the parameters, as under autocast.

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
    passes = None if losses is None else losses.numel()
    check, parameters = LoopCheck(sums, masks, passes), dict(model.named_parameters())
    chosen = {name: parameters[name] for name in sums.totals}
    alone = loop_gradients(model, objective, batch, chosen, check.receive)
    refuse_not_finite(alone)
    if losses is not None:
        refuse_coupled(losses, alone, computed_in)
    wrong = [
        name
        for name, (left, found) in check.differences().items()
        if not left <= tolerance_of(parameters[name].dtype, *computed_in) * found < math.inf
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


def tolerance_of(*dtypes: torch.dtype) -> float:
    """Return the tolerance of what was computed in some dtypes, that of the coarsest."""
    return max(TOLERANCE.get(real(dtype), 0.0) for dtype in dtypes)


def refuse_coupled(
    together: Tensor, alone: Tensor, computed_in: Collection[torch.dtype] = ()
) -> None:
    """Raise if losses of samples among others are not what they are one by one.

    Parameters
    ----------
    together, alone
        Shape (sample, backward pass).
    computed_in
        Dtypes of what they were made from.

    Raises
    ------
    SampleCouplingError
        If they differ by more than rounding.
    """
    tolerance = TOLERANCE.get(together.dtype, max(TOLERANCE.values()))
    coarsest = max((TOLERANCE.get(real(dtype), 0.0) for dtype in computed_in), default=0.0)
    tolerance = max(tolerance, coarsest / LOSS_IS_FINER)
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
    if math.isfinite(float(losses.sum())):
        return
    finite = torch.isfinite(losses)
    if bool(finite.all()):
        return
    sample = int((~finite).any(1).nonzero()[0])
    raise LossError(
        f"the loss of a sample is {_what(losses[sample])}, number {sample} of the {len(losses)} "
        "that run together"
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
    """Compares the gradients of the loop with sums of squares.

    Parameters
    ----------
    sums
        Sums of squares to check.
    masks
        Entries to leave out, such as those that are rounding noise.
    passes
        Number of gradients that a parameter gets at most, if known: the last is not kept.
    """

    def __init__(self, sums: Sums, masks: Mapping[str, Tensor], passes: int | None = None) -> None:
        self.sums, self.masks, self.passes = sums, masks, passes
        self._small = {
            name: torch.zeros_like(total)
            for name, total in sums.totals.items()
            if total.dtype == torch.float64 and total.numel() <= TILE and name not in masks
        }
        self._counts: dict[str, int] = {}
        self._kept: dict[str, Tensor] = {}
        self._squares: dict[str, Tensor] = {}
        self._compared: dict[str, tuple[float, float]] = {}

    def receive(self, gradients: Mapping[str, Tensor]) -> None:
        """Take gradients of one sample."""
        small = [name for name in self._small if name in gradients]
        if small:
            squares = [self._small[name] for name in small]
            exact = [torch.empty_like(own) for own in squares]  # whose squares need no scale
            torch._foreach_copy_(exact, [gradients[name] for name in small])
            torch._foreach_addcmul_(squares, exact, exact)
        for name, gradient in gradients.items():
            if name not in self._small:
                self._receive_large(name, gradient)

    def differences(self) -> dict[str, tuple[float, float]]:
        """Return the norms of engine minus loop and of the engine's sums, of each parameter."""
        names = list(self._small)
        totals = [self.sums.totals[name] for name in names]
        found = _norms(totals)
        if names:
            left = _norms(list(torch._foreach_sub(totals, list(self._small.values()))))
            self._compared |= dict(zip(names, zip(left, found, strict=True), strict=True))
        for name in self.sums.totals:
            if name not in self._compared:
                self._compare(name, [])
        return {name: self._compared[name] for name in self.sums.totals}

    def _receive_large(self, name: str, gradient: Tensor) -> None:
        self._counts[name] = self._counts.get(name, 0) + 1
        if self._counts[name] == self.passes:
            self._compare(name, [gradient])
        elif self._counts[name] == 1:
            self._kept[name] = gradient
        else:
            self._keep_square(name, gradient)

    def _keep_square(self, name: str, gradient: Tensor) -> None:
        """Keep the sum of squares of all gradients so far instead of the first gradient."""
        if name not in self._squares:
            shape, device = gradient.shape, gradient.device
            self._squares[name] = torch.zeros(shape, dtype=torch.float64, device=device)
            self._keep_square(name, self._kept.pop(name))
        for some in _tiles(gradient.numel()):
            exact = gradient.reshape(-1)[some].double()
            self._squares[name].view(-1)[some].addcmul_(exact, exact)

    def _compare(self, name: str, gradients: list[Tensor]) -> None:
        """Compare a sum with the squares of these gradients and of those that were kept."""
        if name in self._kept:
            gradients = [self._kept.pop(name), *gradients]
        total, squares = self.sums.totals[name], self._squares.pop(name, None)
        if (
            name not in self.masks
            and squares is None
            and len(gradients) == SAMPLES
            and all(suits_kernel(total, gradient) for gradient in gradients)
        ):
            from fimtiers.fisher.sums_kernel import compare_squares

            flat = (x.reshape(-1).numpy() for x in (total, *gradients))
            found, left = map(math.sqrt, compare_squares(*flat))
            self._compared[name] = left, found
            return
        scale = 4.0 ** self.sums.exponents[name]
        found = left = 0.0
        for some in _tiles(total.numel()):
            own = total.view(-1)[some].double() * scale
            expected = torch.zeros_like(own)
            for gradient in gradients:
                expected += gradient.reshape(-1)[some].to(own).square_()
            if squares is not None:
                expected += squares.view(-1)[some].to(own)
            rest = own - expected
            if name in self.masks:
                masked = self.masks[name].reshape(-1)[some].to(own.device)
                own, rest = own.masked_fill(masked, 0), rest.masked_fill(masked, 0)
            (own_norm, rest_norm) = _norms([own, rest])
            found, left = math.hypot(found, own_norm), math.hypot(left, rest_norm)
        self._compared[name] = left, found


def _tiles(entries: int) -> list[slice]:
    return [slice(start, start + TILE) for start in range(0, entries, TILE)]


def _norms(values: Sequence[Tensor]) -> list[float]:
    """Return norms; no square of a square underflows."""
    norms = [float(norm) for norm in torch._foreach_norm(list(values))] if values else []
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
