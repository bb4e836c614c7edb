"""Runs batches through a model under interception and sums squared per-sample gradients."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs, call, length
from fimtiers.fisher.interception import Interception, Plan
from fimtiers.fisher.layout import Block, Whole, find_layout, label_weights
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.sums import Sums
from fimtiers.fisher.symmetry import SymmetryDetector
from fimtiers.fisher.tape import MixedSamplesError, Site, SquareCollector, Tape


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
        tape = Tape(samples, self._refuse_early_gradient)
        with self.interception.recording(tape):
            outputs = call(self.model, inputs)
            labels = self.objective.labels(outputs, targets)
            losses, weight = self.objective.losses(outputs, labels)
            if tracked := self.interception.tracked(losses):
                self.interception.give_up([tracked], "the loss itself is made of parameters")
            if len(self.plan.without_rule) > known:
                raise RoutesChangedError
            self.interception.recomputing = True
            if tape.sites:
                self._collect(tape, losses)
        self.sites, self.samples = tape.sites, samples
        return labels, losses.detach(), weight

    def dtype(self, name: str) -> torch.dtype:
        """Return the dtype of a parameter."""
        return self.interception.stand_ins[name].dtype

    def _collect(self, tape: Tape, losses: Tensor) -> None:
        if not self._recall_layouts(tape):
            self._find_layouts(tape, losses)
        collector = SquareCollector(self.sums, tape.sites, self.interception.stand_ins)
        passes = losses.unbind(1)
        for number, loss in enumerate(passes):

            def receive(site: Site, gradient: Tensor, saved: tuple[Tensor, ...]) -> None:
                if self.symmetry is not None:
                    self.symmetry.receive(site, gradient, saved)
                collector.receive(site, gradient, saved)

            self._backward(tape, loss.sum(), receive, retain=number + 1 < len(passes))
            collector.finish()

    def _backward(self, tape: Tape, loss: Tensor, receive: Any, retain: bool = True) -> None:
        """Run one backward pass; `receive` gets what arrives at the sites."""

        def undisturbed(site: Site, gradient: Tensor, saved: tuple[Tensor, ...]) -> None:
            self.interception.active = False
            try:
                receive(site, gradient, saved)
            except MixedSamplesError:
                self._reroute(site)
            finally:
                self.interception.active = True

        tape.receive = undisturbed
        if not loss.requires_grad:
            return
        # The sole input asked for is the root: no gradient of a parameter is ever formed.
        torch.autograd.grad(loss, self.interception.root, retain_graph=retain, allow_unused=True)

    def _find_layouts(self, tape: Tape, losses: Tensor) -> None:
        """Find where the samples are at each site, by labelled backward passes."""
        samples, total = tape.samples, losses.sum(1)
        if samples == 1:
            for site in tape.sites:
                site.layout = Whole()
            return
        arrivals: dict[Site, list[Tensor]] = {site: [] for site in tape.sites}

        def store(site: Site, gradient: Tensor, saved: tuple[Tensor, ...]) -> None:
            arrivals[site].append(gradient)

        weights = label_weights(samples, losses.detach())
        self._reroute_leaks(tape, total.sum())
        for weight in (torch.ones_like(weights[0]), *weights):
            self._backward(tape, (weight * total).sum(), store)
        self.interception.active = False
        mixed: list[Site] = []
        for site, gradients in arrivals.items():
            if not gradients or not any(bool(g.any()) for g in gradients):
                continue
            site.layout = find_layout(gradients[0], gradients[1:], weights, samples)
            if site.layout is None:
                mixed.append(site)
        self.interception.active = True
        if mixed:
            self._reroute(*mixed)
        self._remember_layouts(tape)
        for site in tape.sites:
            site.layout = site.layout or Block(0)

    def _reroute_leaks(self, tape: Tape, loss: Tensor) -> None:
        """Leave to the fallback what reaches the loss past all sites: compiled or custom code."""
        stand_ins = self.interception.stand_ins
        reached = [*self.parameters, *stand_ins.values()]
        tape.receive = _ignore
        gradients = torch.autograd.grad(loss, reached, retain_graph=True, allow_unused=True)
        for name, gradient in zip([*self.names, *stand_ins], gradients, strict=True):
            if gradient is not None:
                self.plan.without_rule[name] = "used where operations cannot be seen"
        if any(gradient is not None for gradient in gradients):
            raise RoutesChangedError

    def _reroute(self, *sites: Site) -> None:
        """Let operations make tensors of parameters instead, and start again."""
        self.plan.derive.update(site.key for site in sites)
        raise RoutesChangedError

    def _remember_layouts(self, tape: Tape) -> None:
        """Keep the layouts for other batches, unless one is unknown or differs by batch."""
        self.layouts = []
        for site in tape.sites:
            if not isinstance(site.layout, Block):
                self.layouts = None
                return
            shape = _per_sample(site.shape, site.layout, tape.samples)
            self.layouts.append((site.key, shape, site.layout))

    def _recall_layouts(self, tape: Tape) -> bool:
        """Fill in known layouts; return False if this pass differs from the one remembered."""
        if self.layouts is None or len(self.layouts) != len(tape.sites):
            return False
        for site, (key, shape, layout) in zip(tape.sites, self.layouts, strict=True):
            if site.key != key or _per_sample(site.shape, layout, tape.samples) != shape:
                return False
            site.layout = layout
        return True

    @staticmethod
    def _refuse_early_gradient(*_: Any) -> None:
        raise RuntimeError("a backward pass ran inside the forward pass of the model")


def _ignore(*_: Any) -> None:
    """Take no notice of a gradient."""


def _per_sample(shape: torch.Size, layout: Block, samples: int) -> tuple[int, ...]:
    """Return the shape that one sample has, or an impossible one if it does not divide."""
    lengths = list(shape)
    if lengths[layout.axis] % samples:
        return (-1,)
    lengths[layout.axis] //= samples
    return tuple(lengths)
