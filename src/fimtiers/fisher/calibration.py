"""Two samples decide by which route each parameter goes, and the loop confirms it."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs, call, part
from fimtiers.fisher.chain_engine import ChainEngine
from fimtiers.fisher.engine import Engine
from fimtiers.fisher.fallback import add_by_loop, add_by_vmap, loop_gradients
from fimtiers.fisher.flatness import flat_entries
from fimtiers.fisher.interception import Plan, RoutesChangedError
from fimtiers.fisher.links import links_of
from fimtiers.fisher.loop_check import differing, refuse_not_finite
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.randomness import draws_are_unused
from fimtiers.fisher.reasons import in_short
from fimtiers.fisher.refusals import (
    LossError,
    RandomCallError,
    SampleCouplingError,
    WrongRouteError,
)
from fimtiers.fisher.sums import Sums


@dataclass
class Routes:
    """By which route each parameter goes.

    Attributes
    ----------
    plan
        Decisions on operations, and the parameters without a rule, with reasons.
    looped
        Parameters that vmap cannot serve either, with reasons.
    flat
        Where gradients of such parameters are zero by symmetry.
    """

    plan: Plan = field(default_factory=Plan)
    looped: dict[str, str] = field(default_factory=dict)
    flat: dict[str, Tensor] = field(default_factory=dict)

    def by_vmap(self) -> list[str]:
        """Return the parameters that go by vmap."""
        return [name for name in self.plan.without_rule if name not in self.looped]

    def describe(self, name: str, operations: str) -> str:
        """Return the route of a parameter seen in some operations, as a result states it."""
        if name in self.looped:
            return f"loop ({self.looped[name]})"
        if name in self.plan.without_rule:
            return f"vmap ({self.plan.without_rule[name]})"
        return operations


def calibrate(
    model: nn.Module,
    objective: Objective,
    names: Sequence[str],
    batch: tuple[Inputs, Any],
    make_sums: Callable[[], Sums],
    check: bool,
    routes: Routes,
    guess: bool = True,
) -> Engine | ChainEngine:
    """Find a route for each parameter that agrees with the loop on a few samples.

    A chain is not run here: it is compared with the loop on the first samples of its first batch.

    Parameters
    ----------
    model, objective, names
        As of `Engine`.
    batch
        The samples.
    make_sums
        Makes sums of squares for the samples, which are gone before those of the data are made:
        new ones take no memory until they are added to.
    check
        Whether to compare with the loop. If so, samples are first taken to be where shapes show
        them, which the comparison confirms; if not, labelled passes find them.
    routes
        What earlier attempts found; extended.
    guess
        False to find all layouts by labelled passes, which proves them at once.

    Raises
    ------
    SampleCouplingError
        If the loss of a sample changes with its batch mates.
    WrongRouteError
        If a parameter has no route that agrees with the loop.
    """
    guessing, sums = check and guess, Sums({})
    while True:
        objective.restart()
        links = links_of([model]) if guessing and routes.plan.by_hand else None
        if links is not None and links.takes(batch[0]):
            return ChainEngine(model, objective, names, routes.plan, links)
        if sums.totals:
            sums.clear()
        else:
            sums = make_sums()
        engine = Engine(model, objective, names, routes.plan, sums)
        try:
            labels, losses, count = engine.add(batch, guessing)
            labelled = batch[0], labels
            alone = add_without_rules(model, objective, labelled, routes, sums)
        except RoutesChangedError:
            continue
        except RandomCallError:
            routes.plan.draws_unused = draws_are_unused(model, objective, batch)
            if not routes.plan.draws_unused:
                raise
            continue
        except (SampleCouplingError, LossError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            leave_to_loop(error, model, objective, batch, routes)
            continue
        wrong: list[str] = []
        if check:
            fallback = [name for name in routes.plan.without_rule if name in sums.totals]
            routes.flat = flat_entries(model, objective, labelled, fallback) if fallback else {}
            masks = engine.masks() | routes.flat
            wrong, alone = differing(
                model, objective, labelled, losses, sums, masks, engine.computed_in
            )
        if not wrong:
            engine.confirm(guessing)
            engine.alone = alone if check else None
            # Labels drawn for some samples first would be others than those drawn for all.
            if check and objective.kind != "mc":
                engine.counted = count
            return engine
        if not guessing:
            _take_next_route(routes, wrong)
        guessing = False


def add_without_rules(
    model: nn.Module, objective: Objective, batch: tuple[Inputs, Any], routes: Routes, sums: Sums
) -> Tensor | None:
    """Add the squared gradients of parameters without a rule.

    Returns
    -------
    Tensor or None
        The losses of samples one by one, shape (sample, backward pass), if there are such
        parameters.
    """
    losses = None
    if by_vmap := routes.by_vmap():
        try:
            losses = add_by_vmap(model, objective, batch, by_vmap, sums, routes.plan.draws_unused)
        except Exception as error:  # whatever vmap cannot do, the loop can
            reason = in_short(error).removeprefix("vmap: ")
            routes.looped |= dict.fromkeys(by_vmap, f"vmap: {reason}")
            raise RoutesChangedError from error
    if routes.looped:
        losses = add_by_loop(model, objective, batch, list(routes.looped), sums)
    if losses is not None:
        refuse_not_finite(losses)
    return losses


def leave_to_loop(
    error: Exception,
    model: nn.Module,
    objective: Objective,
    batch: tuple[Inputs, Any],
    routes: Routes,
) -> None:
    """Leave all parameters to the fallback, if the model runs when nothing watches it.

    Parameters
    ----------
    error
        What happened when the model was watched.
    model, objective
        As of `Engine`.
    batch
        Samples that it happened with.
    routes
        Extended.

    Raises
    ------
    Exception
        What the model or the loss itself raises, or `error` if nothing is left to be changed.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    missing = [name for name in named if name not in routes.plan.without_rule]
    if not missing:
        raise error
    single = part(batch, 0, 1)
    if objective.kind == "mc":
        outputs = call(model, single[0])
        single = single[0], objective.labels(outputs, single[1])
        objective.restart()
    try:
        loop_gradients(model, objective, single, named, lambda _: None)
    except Exception as own:
        if type(own) is type(error):
            raise error from None
        raise
    about = in_short(error)
    warnings.warn(
        f"the model cannot be watched ({about}); its gradients are taken without rules, which is "
        "slower",
        stacklevel=2,
    )
    for name in missing:
        routes.plan.without_rule[name] = f"not to be watched: {about}"


def _take_next_route(routes: Routes, names: Sequence[str]) -> None:
    """Send parameters whose values are wrong by vmap, or if they come from there by the loop."""
    for name in names:
        if name in routes.looped:
            raise WrongRouteError(f"{name}: no route agrees with the single-sample loop")
        reason = "refused by the check against the loop"
        if name in routes.plan.without_rule:
            routes.looped[name] = reason
        routes.plan.without_rule.setdefault(name, reason)
