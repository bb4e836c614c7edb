"""Fisher diagonals of several networks of one architecture, in one stacked pass.

Parameters are stacked and the model is run under `torch.func.vmap` over networks, so that every
operation of all networks is one operation. Where parameters meet data the stacked gradients come
back as they do for one network, and are squared network by network.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import stack_module_state, vmap

from fimtiers.fisher.batches import (
    NO_SAMPLES,
    Data,
    Inputs,
    call,
    ends,
    length,
    micro_batches,
    pairs,
    split,
    typical,
)
from fimtiers.fisher.calibration import Routes, calibrate
from fimtiers.fisher.chain import ROUTE, Chain
from fimtiers.fisher.diagonal import diagonal
from fimtiers.fisher.engine import Engine
from fimtiers.fisher.extractor import affordable, chosen
from fimtiers.fisher.fallback import Functional
from fimtiers.fisher.forms import Dense, Form, Outer
from fimtiers.fisher.interception import Interception, RoutesChangedError
from fimtiers.fisher.layout import Block
from fimtiers.fisher.likelihoods import Likelihood
from fimtiers.fisher.links import Links, links_of
from fimtiers.fisher.loop_check import (
    SAMPLES,
    differing,
    losses_alone,
    refuse_coupled,
    refuse_not_finite,
)
from fimtiers.fisher.loss_watch import LossOfParametersError
from fimtiers.fisher.objective import Objective, PerSampleLoss
from fimtiers.fisher.operations import Operations
from fimtiers.fisher.refusals import LossError, SampleCouplingError, refuse_coupled_modules
from fimtiers.fisher.result import Diagonal
from fimtiers.fisher.rules.contraction import LinearWeight
from fimtiers.fisher.squares import Scaler
from fimtiers.fisher.sums import Part, Sums
from fimtiers.fisher.tape import FormBuilder, Site, SquareCollector, Watch
from fimtiers.fisher.tracked import Tracked

CACHE = 64 << 20
"""Default bound on what is kept for a micro-batch of all networks, bytes. Stacked tensors far
beyond the last cache cost more than the calls that stacking saves."""


def diagonal_ensemble(
    models: Sequence[nn.Module],
    per_sample_loss: PerSampleLoss | Likelihood,
    data: Data,
    *,
    unit: str = "sequence",
    parameters: Sequence[str] | None = None,
    micro_batch: int | None = None,
    memory: int = CACHE,
    check: bool = True,
) -> list[Diagonal]:
    """Return the Fisher diagonals of networks of one architecture on the same data.

    The labels are those of the data. Architectures that cannot be stacked (tokens routed to
    experts, parameters without a rule) are computed one network after the other.

    Parameters
    ----------
    models
        Modules that differ in the values of their parameters and buffers alone.
    per_sample_loss, data, unit, parameters, micro_batch, memory, check
        As of `fimtiers.fisher.diagonal`; the check is made on the first network.

    Returns
    -------
    list of Diagonal
        One per network, in order.

    Raises
    ------
    ValueError
        If there is no model, or their parameters differ in name or shape.
    SampleCouplingError, WrongRouteError
        As `fimtiers.fisher.diagonal`.
    """
    _refuse_differing(models)
    for model in models:
        refuse_coupled_modules(model)
    first = models[0]
    objective = Objective(per_sample_loss, "empirical", unit)
    named = dict(first.named_parameters())
    names = chosen(named, parameters)
    links = links_of(models) if check else None
    if links is not None:
        with torch.inference_mode(False), torch.enable_grad():
            results = _of_chain(links, first, objective, names, data, micro_batch, memory)
        if results is not None:
            return results
    shapes, routes = {name: named[name].shape for name in names}, Routes()
    make_sums = partial(Sums, shapes, device=named[names[0]].device)
    engine = calibrate(
        first, objective, names, ends(typical(data), SAMPLES), make_sums, check, routes,
        guess=False,
    )  # fmt: skip
    stackable = isinstance(engine, Engine) and not routes.plan.without_rule and _stackable(engine)
    stack = Stack(models, engine) if stackable and isinstance(engine, Engine) else None
    if stack is not None:
        size = micro_batch or max(1, affordable(engine, memory) // len(models))
        try:
            n = sum(stack.add(batch) for batch in micro_batches(data, size))
        except (SampleCouplingError, LossError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception:  # not to be stacked; an error of the networks comes again below
            stack = None
    if stack is None:
        return [
            diagonal(
                model, per_sample_loss, data, unit=unit, parameters=names,
                micro_batch=micro_batch, memory=memory, check=check,
            )
            for model in models
        ]  # fmt: skip
    masks, operations = engine.masks(), Operations()
    engine.note(operations)
    found = {name: operations.of(name) for name in names}
    return [
        Diagonal(sums.totals, n, found, sums.exponents, masks, unit=unit) for sums in stack.sums
    ]


def _of_chain(
    links: Links,
    first: nn.Module,
    objective: Objective,
    names: Sequence[str],
    data: Data,
    micro_batch: int | None,
    memory: int,
) -> list[Diagonal] | None:
    """Return the diagonals of chains of layers, None if the loop over `first` gives others."""
    named, members = dict(first.named_parameters()), len(links.stages[0].layers)
    sums = Sums({name: torch.Size((members, *named[name].shape)) for name in names})
    chain, n = Chain(links, objective, names, memory), 0

    def confirm(batch: tuple[Inputs, Any], losses: Tensor, sums: Sums) -> None:
        if differing(first, objective, batch, losses, sums.of_member(0), {})[0]:
            raise UnlikeLoopError

    for batch in pairs(data):
        if not links.takes(batch[0]):
            return None
        for piece in split(batch, micro_batch or length(batch[0])):
            try:
                *_, count = chain.add(piece, sums, None if n else confirm)
            except (LossOfParametersError, UnlikeLoopError):
                return None
            n += count
    if n == 0:
        raise ValueError(NO_SAMPLES)
    own = [sums.of_member(s) for s in range(members)]
    routes = {name: sums.marked(name, ROUTE) for name in names}
    return [Diagonal(m.totals, n, routes, m.exponents, unit=objective.unit) for m in own]


class UnlikeLoopError(Exception):
    """A chain found other gradients than the loop."""


class Stack:
    """Networks of one architecture, stacked.

    Parameters
    ----------
    models
        The networks.
    engine
        Calibrated on the first of them.
    """

    def __init__(self, models: Sequence[nn.Module], engine: Engine) -> None:
        self.engine = engine
        self.parameters, self.buffers = stack_module_state(list(models))
        self._compared, self.models = False, models
        named = [dict(model.named_parameters()) for model in models]
        shapes = {name: named[0][name].shape for name in engine.names}
        self.stacked_sums = Sums(
            {name: torch.Size((len(models), *shape)) for name, shape in shapes.items()},
            device=engine.sums.device,
        )
        self.sums = [self.stacked_sums.of_member(s) for s in range(len(models))]
        self.own = [
            Interception({name: n[name] for name in engine.names}, engine.plan, sums)
            for n, sums in zip(named, self.sums, strict=True)
        ]
        self.interception = StackedInterception(
            {name: named[0][name] for name in engine.names}, engine.plan, engine.sums
        )
        self.interception.named = {name: self.parameters[name] for name in engine.names}

    def add(self, batch: tuple[Inputs, Any]) -> int:
        """Add the squared per-sample gradients of a batch; return the number of samples."""
        inputs, targets = batch
        samples, count = length(inputs), 0

        def losses(parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor]) -> Tensor:
            nonlocal count
            self.interception.recognise(parameters)
            model = Functional(self.engine.model, {**parameters, **buffers})
            outputs = call(model, inputs)
            values = self.engine.objective.losses(outputs, targets, samples)
            count = self.engine.objective.count(outputs, targets, values, samples)
            return torch.stack(list(values), 1)

        with self.interception.recording(samples):
            stacked = vmap(losses, randomness="error")(self.parameters, self.buffers)
            sites = self.interception.sites
            self._check(batch, stacked.detach())
            if not self.engine.recall_layouts(sites, samples):
                raise RoutesChangedError
            own_sites = [
                [self._of_network(site, s) for site in sites] for s in range(len(self.own))
            ]
            collectors = [
                SquareCollector(own.sums, of_network, own.stand_ins)
                for own, of_network in zip(self.own, own_sites, strict=True)
            ]
            order = {site: number for number, site in enumerate(sites)}

            def receive(site: Site, gradient: Tensor, saved: tuple[Tensor, ...]) -> None:
                if self._add_stacked(site, gradient, saved, collectors[0].awaited):
                    return
                for s, collector in enumerate(collectors):
                    own = own_sites[s][order[site]]
                    collector.receive(own, gradient[s], tuple(x[s] for x in saved))

            passes = stacked.unbind(2)
            for number, loss in enumerate(passes):
                self.interception.backward(loss.sum(), receive, retain=number + 1 < len(passes))
                for collector in collectors:
                    collector.finish()
        return count

    def _check(self, batch: tuple[Inputs, Any], losses: Tensor) -> None:
        """Refuse losses, shape (network, sample, backward pass), that are no numbers or coupled."""
        refuse_not_finite(losses.movedim(0, 2).flatten(1))
        if not self._compared:
            model, objective = self.engine.model, self.engine.objective
            for sample in {0, losses.shape[1] - 1}:
                alone = losses_alone(model, objective, batch, sample)
                refuse_coupled(losses[0, sample], alone)
            for own, model in zip(losses[1:], self.models[1:], strict=True):
                try:
                    refuse_coupled(own[0], losses_alone(model, objective, batch, 0))
                except SampleCouplingError as error:  # it differs in more than its parameters
                    raise RoutesChangedError from error
        self._compared = True

    def _add_stacked(
        self, site: Site, gradient: Tensor, saved: tuple[Tensor, ...], awaited: Mapping[str, int]
    ) -> bool:
        """Square a linear layer with one token per sample for all networks at once.

        Networks are groups of one product: small ones would spend their time in calls.
        """
        simple = gradient.ndim == 3 and site.layout == Block(0) and site.key[0] == "linear"
        if not simple or any(tracked.label in awaited for tracked, _ in site.uses):
            return False
        scaler, networks = Scaler(), gradient.shape[0]
        left = gradient.transpose(0, 1)
        for tracked, build in site.uses:
            form: Form = Dense(left)
            if isinstance(build, LinearWeight):
                right = saved[0].transpose(0, 1)
                sizes = networks, left.shape[2], right.shape[2]
                form = Outer(left.unsqueeze(1), right.unsqueeze(1), sizes, (0, 1, 2))
            total = self.stacked_sums.totals[tracked.label]
            form.add_squares(Part(self.stacked_sums, tracked.label, total), scaler)
        return True

    def _of_network(self, site: Site, number: int) -> Site:
        """Return a site with the tracked tensors of one network."""
        own = {tracked.label: tracked for tracked in self.own[number].parameters.values()}
        uses = [(own[tracked.label], build) for tracked, build in site.uses]
        return dataclasses.replace(site, uses=uses)


class StackedInterception(Interception):
    """Watches a model under vmap over networks."""

    stacked = True

    def recognise(self, parameters: Mapping[str, Tensor]) -> None:
        """Track the parameters that vmap handed out."""
        own = {tracked.label: tracked for tracked in self.parameters.values()}
        self.known = {
            id(p): Tracked(p, p.detach(), own[name].graph, (name,), name, own[name].sums)
            for name, p in parameters.items()
            if name in own
        }

    def watch(
        self,
        output: Tensor,
        uses: Sequence[tuple[Tracked, FormBuilder]],
        saved: tuple[Tensor, ...] = (),
    ) -> Tensor:
        """Return `output`, and have the stacked gradient delivered to a new site."""
        site = Site(self.key, output.shape, uses, self.samples, self._deliver, moves=self.moves)
        self.sites.append(site)
        return StackedWatch.apply(output, self.root, site, *(x.detach() for x in saved))


class StackedWatch(torch.autograd.Function):
    """A `Watch` under vmap, which sees all networks at once."""

    @staticmethod
    def forward(output: Tensor, root: Tensor, site: Site, *saved: Tensor) -> Tensor:
        """Return `output`."""
        return output.view_as(output)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: under vmap this class only passes on to `Watch`."""

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, output: Tensor, root: Tensor, site: Site, *saved: Tensor
    ) -> tuple[Tensor, int]:
        """Watch the stacked output."""
        saved_dims = in_dims[3:]
        stacked = [
            x.unsqueeze(0).expand(info.batch_size, *x.shape) if dim is None else _front(x, dim)
            for x, dim in zip(saved, saved_dims, strict=True)
        ]
        if in_dims[0] is None:
            output = output.unsqueeze(0).expand(info.batch_size, *output.shape)
            return Watch.apply(output, root, site, *stacked), 0
        return Watch.apply(_front(output, in_dims[0]), root, site, *stacked), 0


def _front(tensor: Tensor, axis: int) -> Tensor:
    return tensor if axis == 0 else tensor.movedim(axis, 0)


def _stackable(engine: Engine) -> bool:
    """Return whether parameters meet data as they are, samples in fixed places."""
    direct = all(tracked.label in engine.names for site in engine.sites for tracked, _ in site.uses)
    return direct and engine.has_fixed_layouts()


def _refuse_differing(models: Sequence[nn.Module]) -> None:
    if not models:
        raise ValueError("no model given; expected at least one")
    shapes = [{name: tuple(p.shape) for name, p in m.named_parameters()} for m in models]
    for number, other in enumerate(shapes):
        if other != shapes[0]:
            differing = sorted(
                name for name in shapes[0].keys() | other.keys()
                if shapes[0].get(name) != other.get(name)
            )  # fmt: skip
            raise ValueError(f"model {number} differs from model 0 in {differing}")
