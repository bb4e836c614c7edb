"""Runs batches through a model under interception and sums squared per-sample gradients."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs, call, length
from fimtiers.fisher.interception import Interception, Plan
from fimtiers.fisher.layout import Block, Whole, find_layout, label_weights
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.sums import Sums
from fimtiers.fisher.symmetry import SymmetryDetector
from fimtiers.fisher.tape import MixedSamplesError, Site, SquareCollector


class RoutesChangedError(Exception):
    """The plan changed in mid-run; sums begun under the old one are void."""


class Engine:
    """One model, one objective, and what is known of where samples are at each site.

    Parameters
    ----------
    model
        Left as it is; neither its gradients nor its flags change.
    objective
        Whose gradients are squared.
    names
        Parameters to compute.
    plan
        Decisions of earlier attempts; extended where this one fails.
    sums
        Sums of squares to add to.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, names: Sequence[str], plan: Plan, sums: Sums
    ) -> None:
        parameters = dict(model.named_parameters())
        self.model, self.objective, self.plan, self.sums = model, objective, plan, sums
        self.names = list(names)
        self.parameters = [parameters[name] for name in names]
        self.interception = Interception({n: parameters[n] for n in names}, plan, sums)
        self.layouts: list[tuple[tuple[str, ...], tuple[int, ...], Block]] | None = None
        self.symmetry: SymmetryDetector | None = None
        self.sites: list[Site] = []
        self.samples = 0

    def add(self, batch: tuple[Inputs, Any]) -> tuple[Any, Tensor, int]:
        """Add the squared per-sample gradients of a batch.

        Returns
        -------
        labels
            The labels the losses were taken at.
        losses
            Shape (sample, backward pass), detached.
        weight
            How many samples each sample counts for.

        Raises
        ------
        RoutesChangedError
            If a parameter turned out to need another route; `plan` says which.
        """
        inputs, targets = batch
        samples = length(inputs)
        known = len(self.plan.without_rule)
        with self.interception.recording(samples):
            outputs = call(self.model, inputs)
            labels = self.objective.labels(outputs, targets)
            losses, weight = self.objective.losses(outputs, labels)
            made = [t for loss in losses if (t := self.interception.tracked(loss)) is not None]
            self.interception.give_up(made, "the loss itself is made of parameters")
            if len(self.plan.without_rule) > known:
                raise RoutesChangedError
            self.sites, self.samples = self.interception.sites, samples
            if self.sites:
                self._collect(losses)
        return labels, torch.stack([loss.detach() for loss in losses], 1), weight

    def dtype(self, name: str) -> torch.dtype:
        """Return the dtype of a parameter."""
        return self.interception.stand_ins[name].dtype

    def _collect(self, losses: Sequence[Tensor]) -> None:
        if self.samples == 1:
            for site in self.sites:
                site.layout = Whole()
        elif not self.recall_layouts(self.sites, self.samples):
            self._find_layouts(losses)
        collector = SquareCollector(self.sums, self.sites, self.interception.stand_ins)

        def receive(site: Site, gradient: Tensor, saved: tuple[Tensor, ...]) -> None:
            try:
                if self.symmetry is not None:
                    self.symmetry.receive(site, gradient, saved)
                collector.receive(site, gradient, saved)
            except MixedSamplesError:
                self._reroute([site])

        for number, loss in enumerate(losses):
            self.interception.backward(loss.sum(), receive, retain=number + 1 < len(losses))
            collector.finish()

    def _find_layouts(self, losses: Sequence[Tensor]) -> None:
        """Find where the samples are at each site, by labelled backward passes."""
        samples, total = self.samples, torch.stack(list(losses)).sum(0)
        self._reroute_leaks(total)
        arrivals: dict[Site, list[Tensor]] = {site: [] for site in self.sites}

        def store(site: Site, gradient: Tensor, saved: tuple[Tensor, ...]) -> None:
            arrivals[site].append(gradient)

        weights = label_weights(samples, total.detach())
        for weight in (torch.ones_like(weights[0]), *weights):
            self.interception.backward((weight * total).sum(), store)
        mixed = []
        for site, gradients in arrivals.items():
            if gradients and any(bool(g.any()) for g in gradients):
                site.layout = find_layout(gradients[0], gradients[1:], weights, samples)
                if site.layout is None:
                    mixed.append(site)
        if mixed:
            self._reroute(mixed)
        self._remember_layouts()
        for site in self.sites:
            site.layout = site.layout or Block(0)

    def _reroute(self, sites: Sequence[Site]) -> None:
        """Let operations make tensors of parameters instead, and start again."""
        self.plan.derive.update(site.key for site in sites)
        raise RoutesChangedError

    def _reroute_leaks(self, loss: Tensor) -> None:
        """Leave to the fallback what reaches the loss past all sites: compiled or custom code."""
        names = {id(p): name for name, p in zip(self.names, self.parameters, strict=True)}
        names |= {id(p): name for name, p in self.interception.stand_ins.items()}
        leaked = {names[id(leaf)] for leaf in _leaves_of_graph(loss) if id(leaf) in names}
        for name in leaked:
            self.plan.without_rule[name] = "used where operations cannot be seen"
        if leaked:
            raise RoutesChangedError

    def _remember_layouts(self) -> None:
        """Keep the layouts for other batches, unless one is unknown or differs by batch."""
        self.layouts = []
        for site in self.sites:
            if not isinstance(site.layout, Block):
                self.layouts = None
                return
            shape = _per_sample(site.shape, site.layout, self.samples)
            self.layouts.append((site.key, shape, site.layout))

    def recall_layouts(self, sites: Sequence[Site], samples: int) -> bool:
        """Fill in known layouts; return False if these sites differ from those remembered."""
        if self.layouts is None or len(self.layouts) != len(sites):
            return False
        for site, (key, shape, layout) in zip(sites, self.layouts, strict=True):
            if site.key != key or _per_sample(site.shape, layout, samples) != shape:
                return False
            site.layout = layout
        return True


def _leaves_of_graph(loss: Tensor) -> Iterator[Tensor]:
    """Yield the leaves that a backward pass from `loss` would reach."""
    pending, seen = [loss.grad_fn], set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        pending.extend(following for following, _ in node.next_functions)


def _per_sample(shape: torch.Size, layout: Block, samples: int) -> tuple[int, ...]:
    """Return the shape that one sample has, or an impossible one if it does not divide."""
    lengths = list(shape)
    if lengths[layout.axis] % samples:
        return (-1,)
    lengths[layout.axis] //= samples
    return tuple(lengths)
