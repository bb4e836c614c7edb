"""Two samples decide by which route each parameter goes, and the loop confirms it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from fimtiers.fisher.batches import Inputs
from fimtiers.fisher.chain_engine import ChainEngine
from fimtiers.fisher.engine import Engine, RoutesChangedError
from fimtiers.fisher.fallback import add_by_loop, add_by_vmap
from fimtiers.fisher.interception import Plan
from fimtiers.fisher.links import links_of
from fimtiers.fisher.loop_check import differing
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.refusals import WrongRouteError
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
    """

    plan: Plan = field(default_factory=Plan)
    looped: dict[str, str] = field(default_factory=dict)

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

    Raises
    ------
    SampleCouplingError
        If the loss of a sample changes with its batch mates.
    WrongRouteError
        If a parameter has no route that agrees with the loop.
    """
    guessing, sums = check, Sums({})
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
            labels, losses, _ = engine.add(batch, guessing)
            labelled = batch[0], labels
            add_without_rules(model, objective, labelled, routes, sums)
        except RoutesChangedError:
            continue
        wrong: list[str] = []
        if check:
            wrong = differing(model, objective, labelled, losses, sums, engine.masks())
        if not wrong:
            engine.confirm(guessing)
            return engine
        if not guessing:
            _take_next_route(routes, wrong)
        guessing = False


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
            raise RoutesChangedError from error
    if routes.looped:
        add_by_loop(model, objective, batch, list(routes.looped), sums)


def _take_next_route(routes: Routes, names: Sequence[str]) -> None:
    """Send parameters whose values are wrong by vmap, or if they come from there by the loop."""
    for name in names:
        if name in routes.looped:
            raise WrongRouteError(f"{name}: no route agrees with the single-sample loop")
        reason = "refused by the check against the loop"
        if name in routes.plan.without_rule:
            routes.looped[name] = reason
        routes.plan.without_rule.setdefault(name, reason)
