"""Two samples decide by which route each parameter goes, and the loop confirms it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs, length
from fimtiers.fisher.engine import Engine, RoutesChangedError
from fimtiers.fisher.fallback import add_by_loop, add_by_vmap
from fimtiers.fisher.interception import Plan
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.refusals import SampleCouplingError, WrongRouteError
from fimtiers.fisher.sums import Sums
from fimtiers.fisher.symmetry import SymmetryDetector

SAMPLES = 2
"""Samples that routes are tried on; two suffice to tell samples apart."""

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 0.2, torch.float16: 0.05}
"""Largest relative difference to the loop, per tensor. A wrong route is wrong by far more; batched
and single kernels round differently, and a sign of a ReLU may go either way."""


@dataclass
class Routes:
    """By which route each parameter goes.

    Attributes
    ----------
    plan
        Decisions on operations, and the parameters without a rule, with reasons.
    looped
        Parameters that vmap cannot serve either, with reasons.
    """

    plan: Plan = field(default_factory=Plan)
    looped: dict[str, str] = field(default_factory=dict)

    def by_vmap(self) -> list[str]:
        """Return the parameters that go by vmap."""
        return [name for name in self.plan.without_rule if name not in self.looped]


def calibrate(
    model: nn.Module,
    objective: Objective,
    names: Sequence[str],
    batch: tuple[Inputs, Any],
    sums: Sums,
    check: bool,
) -> tuple[Routes, Engine]:
    """Find a route for each parameter that agrees with the loop on a few samples.

    Parameters
    ----------
    model, objective, names
        As of `Engine`.
    batch
        The samples.
    sums
        Used as scratch and cleared.
    check
        Whether to compare with the loop.

    Raises
    ------
    SampleCouplingError
        If the loss of a sample changes with its batch mates.
    WrongRouteError
        If a parameter has no route that agrees with the loop.
    """
    routes = Routes()
    while True:
        sums.clear()
        objective.restart()
        engine = Engine(model, objective, names, routes.plan, sums)
        engine.symmetry = SymmetryDetector()
        try:
            labels, losses, _ = engine.add(batch)
            add_without_rules(model, objective, (batch[0], labels), routes, sums)
        except RoutesChangedError:
            continue
        masks = engine.symmetry.masks()
        if not check or _confirmed(
            model, objective, (batch[0], labels), routes, engine, losses, masks
        ):
            sums.clear()
            objective.restart()
            return routes, engine


def add_without_rules(
    model: nn.Module, objective: Objective, batch: tuple[Inputs, Any], routes: Routes, sums: Sums
) -> None:
    """Add the squared gradients of parameters without a rule."""
    if by_vmap := routes.by_vmap():
        try:
            add_by_vmap(model, objective, batch, by_vmap, sums)
        except Exception as error:  # whatever vmap cannot do, the loop can
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            routes.looped |= dict.fromkeys(by_vmap, f"vmap: {reason}")
            sums.clear(by_vmap)
            raise RoutesChangedError from error
    if routes.looped:
        add_by_loop(model, objective, batch, list(routes.looped), sums)


def _confirmed(
    model: nn.Module,
    objective: Objective,
    batch: tuple[Inputs, Any],
    routes: Routes,
    engine: Engine,
    losses: Tensor,
    masks: dict[str, Tensor],
) -> bool:
    """Compare with the loop; send parameters that disagree to the next route."""
    sums = engine.sums
    reference = Sums({n: t.shape for n, t in sums.totals.items()}, sums.dtype, sums.device)
    alone = add_by_loop(model, objective, batch, engine.names, reference)
    tolerance = TOLERANCE.get(losses.dtype, max(TOLERANCE.values()))
    if not torch.allclose(
        losses.double(),
        alone.double(),
        rtol=tolerance,
        atol=tolerance * float(alone.double().abs().max()),
    ):
        raise SampleCouplingError(
            f"the losses of {length(batch[0])} samples are {losses.flatten().tolist()} together "
            f"but {alone.flatten().tolist()} one by one; an operation couples samples"
        )
    wrong = [
        name
        for name in engine.names
        if not _agrees(sums, reference, name, masks.get(name), TOLERANCE[engine.dtype(name)])
    ]
    for name in wrong:
        if name in routes.looped:
            raise WrongRouteError(f"{name}: no route agrees with the single-sample loop")
        reason = "refused by the check against the loop"
        if name in routes.plan.without_rule:
            routes.looped[name] = reason
        routes.plan.without_rule.setdefault(name, reason)
    return not wrong


def _agrees(sums: Sums, reference: Sums, name: str, mask: Tensor | None, tolerance: float) -> bool:
    found, expected = sums.unscaled(name), reference.unscaled(name)
    if mask is not None:
        found, expected = found.masked_fill(mask, 0), expected.masked_fill(mask, 0)
    peak = float(expected.max()) if expected.numel() else 0.0
    if peak == 0:
        return not bool(found.any())
    difference = torch.linalg.vector_norm(found / peak - expected / peak)
    return bool(difference <= tolerance * torch.linalg.vector_norm(expected / peak))
