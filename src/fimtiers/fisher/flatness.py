"""Finds entries that no loss depends on, for parameters whose gradients come without a rule.

Where a rule sums the gradients of tokens, `fimtiers.fisher.symmetry` sees them cancel. The fallback
shows only the sum: rounding noise that looks like a small gradient. But a loss that is flat along
an entry stays what it is when the entry is moved far, and no small gradient does that.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs, call, length, part
from fimtiers.fisher.fallback import Functional, loop_gradients
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.sums import TILE, Sums

SMALL = 1 << 10
"""A gradient below this many rounding errors of the largest one may be noise."""

SHIFTS = (1.0, -1.0, 30.0, -30.0)
"""How far entries are moved. Even a saturated unit is reached by one of these."""

TESTS = 64
"""Most sets of entries of a tensor that are moved."""


def flat_entries(
    model: nn.Module, objective: Objective, batch: tuple[Inputs, Any], names: Sequence[str]
) -> dict[str, Tensor]:
    """Return where the gradient is rounding noise, for parameters that have such entries.

    Parameters
    ----------
    model, objective
        As of `fimtiers.fisher.engine.Engine`.
    batch
        A few samples, with the labels that their losses are taken at.
    names
        Parameters to look at. Large ones, and those of half precision, are left out.

    Returns
    -------
    dict
        Boolean masks, shaped as the parameters.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    chosen = [
        name
        for name in names
        if 0 < named[name].numel() <= TILE and named[name].dtype in (torch.float32, torch.float64)
    ]
    if not chosen:
        return {}
    largest: dict[str, Tensor] = {}
    peak = 0.0

    def receive(gradients: Mapping[str, Tensor]) -> None:
        nonlocal peak
        for name, gradient in gradients.items():
            size = gradient.detach().abs()
            peak = max(peak, float(size.max()) if size.numel() else 0.0)
            if name in chosen:
                largest[name] = torch.maximum(largest.get(name, size), size)

    loop_gradients(model, objective, batch, named, receive)
    test = FlatnessTest(model, objective, batch)
    found = {}
    for name, size in largest.items():
        noise = SMALL * torch.finfo(named[name].dtype).eps * peak
        candidates = ((size > 0) & (size <= noise)).flatten().nonzero().flatten()
        flat = torch.zeros(size.numel(), dtype=torch.bool, device=size.device)
        flat[test.flat_among(name, candidates)] = True
        if bool(flat.any()):
            found[name] = flat.view(size.shape)
    return found


def still_flat(
    flat: Mapping[str, Tensor], sums: Sums, n: int, model: nn.Module
) -> dict[str, Tensor]:
    """Return what of `flat` is noise over all samples, and not only over those looked at.

    Parameters
    ----------
    flat
        From `flat_entries`.
    sums
        Sums of squares of all parameters, of one model.
    n
        Number of samples.
    model
        Whose parameters they are.
    """
    if not flat:
        return {}
    peaks = [float(sums.unscaled(name).max()) for name, t in sums.totals.items() if t.numel()]
    peak = math.sqrt(max(peaks) / n)
    kept = {}
    for name, mask in flat.items():
        size = (sums.unscaled(name) / n).sqrt()
        noise = SMALL * torch.finfo(model.get_parameter(name).dtype).eps * peak
        kept[name] = mask.to(size.device) & (size <= noise)
    return {name: mask for name, mask in kept.items() if bool(mask.any())}


class FlatnessTest:
    """Moves entries of a parameter and sees whether losses stay.

    Parameters
    ----------
    model, objective, batch
        As of `flat_entries`.
    """

    def __init__(self, model: nn.Module, objective: Objective, batch: tuple[Inputs, Any]) -> None:
        self.model, self.objective, self.batch = model, objective, batch
        self.parameters = dict(model.named_parameters())
        self.expected = self._losses({})

    def flat_among(self, name: str, entries: Tensor) -> Tensor:
        """Return the entries, numbers in the flattened parameter, along which losses are flat."""
        pending, flat = [entries] if len(entries) else [], []
        for _ in range(TESTS):
            if not pending:
                break
            some = pending.pop()
            if self._is_flat(name, some):
                flat.append(some)
            elif len(some) > 1:
                pending += [*some.chunk(2)]
        return torch.cat(flat) if flat else entries[:0]

    def _is_flat(self, name: str, entries: Tensor) -> bool:
        p = self.parameters[name].detach()
        allowed = float(torch.finfo(p.dtype).eps ** 0.5 * self.expected.abs().max())
        for shift in SHIFTS:
            moved = p.clone()
            moved.view(-1)[entries] += shift
            if not bool(((self._losses({name: moved}) - self.expected).abs() <= allowed).all()):
                return False
        return True

    def _losses(self, changed: Mapping[str, Tensor]) -> Tensor:
        """Return the losses of all samples, each alone, with some parameters replaced."""
        model = Functional(self.model, {**self.parameters, **changed}) if changed else self.model
        inputs, labels = self.batch
        found: list[Tensor] = []
        for n in range(length(inputs)):
            outputs = call(model, part(inputs, n, n + 1))
            found += self.objective.losses(outputs, part(labels, n, n + 1), 1)
        return torch.cat([loss.detach() for loss in found])
