"""Runs batches through a model under interception and sums squared per-sample gradients."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs, call, length
from fimtiers.fisher.interception import Interception, Plan, RoutesChangedError
from fimtiers.fisher.known_layouts import KnownLayouts
from fimtiers.fisher.labels import Labels
from fimtiers.fisher.layout import Block, Whole
from fimtiers.fisher.loop_check import refuse_not_finite
from fimtiers.fisher.objective import Objective, OwnLossError
from fimtiers.fisher.operations import Operations
from fimtiers.fisher.sums import Sums
from fimtiers.fisher.symmetry import SymmetryDetector
from fimtiers.fisher.tape import MixedSamplesError, Site, SquareCollector


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

    Attributes
    ----------
    confirmed
        Whether what it computes agreed with the loop, or need not.
    alone
        Losses of the samples it was compared on, each alone, shape (sample, backward pass).
    """

    def __init__(
        self, model: nn.Module, objective: Objective, names: Sequence[str], plan: Plan, sums: Sums
    ) -> None:
        parameters = dict(model.named_parameters())
        self.model, self.objective, self.plan, self.sums = model, objective, plan, sums
        self.names = [name for name in names if parameters[name].numel()]
        self.parameters = [parameters[name] for name in self.names]
        for name, p in zip(self.names, self.parameters, strict=True):
            if p.is_complex():
                plan.without_rule.setdefault(name, "complex numbers")
        self.interception = Interception({n: parameters[n] for n in self.names}, plan, sums)
        self.symmetry = SymmetryDetector()
        self.sites: list[Site] = []
        self.samples = 0
        self.confirmed = False
        self.alone: Tensor | None = None
        self._known = KnownLayouts()
        self._unmoved: set[Site] = set()

    def begin(self, sums: Sums) -> None:
        """Start anew with other sums; what is known of layouts holds on."""
        self.sums, self.sites, self.symmetry = sums, [], SymmetryDetector()
        self.interception.bind(sums)

    def end(self) -> Sums:
        """Return the sums and let go of them."""
        sums = self.sums
        self.sums, self.sites, self._unmoved = Sums({}), [], set()
        self.interception.bind(self.sums)
        return sums

    def add(
        self, batch: tuple[Inputs, Any], guessing: bool = False
    ) -> tuple[Any, Tensor | None, int]:
        """Add the squared per-sample gradients of a batch.

        Parameters
        ----------
        batch
            Inputs and targets.
        guessing
            Whether to believe shapes where they show the samples, until `confirm`.

        Returns
        -------
        labels
            The labels the losses were taken at.
        losses
            Shape (sample, backward pass), detached; None if the fallback finds them.
        count
            How many samples, tokens or draws the batch counts for.

        Raises
        ------
        RoutesChangedError
            If a parameter turned out to need another route; `plan` says which.
        ValueError
            If a loss is not finite.
        """
        inputs, targets = batch
        samples = length(inputs)
        known = len(self.plan.without_rule)
        if self.plan.own_loss:
            self.sites = []
            return targets, None, samples
        if all(name in self.plan.without_rule for name in self.names):
            return self._without_interception(inputs, targets, samples)
        with self.interception.recording(samples, guessing):
            outputs = call(self.model, inputs)
            labels = self.objective.labels(outputs, targets)
            losses = self._losses(outputs, labels, samples)
            made = [t for loss in losses if (t := self.interception.tracked(loss)) is not None]
            self.interception.give_up(made, "the loss itself is made of parameters")
            if len(self.plan.without_rule) > known:
                raise RoutesChangedError
            values = torch.stack([loss.detach() for loss in losses], 1)
            refuse_not_finite(values)
            self.sites, self.samples = self.interception.sites, samples
            if self.sites:
                self._collect(losses, guessing)
            else:
                self.interception.look_for_leaks(losses)
        return labels, values, self.objective.count(outputs, labels, losses, samples)

    def _without_interception(
        self, inputs: Inputs, targets: Any, samples: int
    ) -> tuple[Any, Tensor, int]:
        """Return labels, losses and count of a batch whose squares the fallback adds."""
        self.sites, self.samples = [], samples
        outputs = call(self.model, inputs)
        labels = self.objective.labels(outputs, targets)
        losses = self._losses(outputs, labels, samples)
        values = torch.stack([loss.detach() for loss in losses], 1)
        refuse_not_finite(values)
        return labels, values, self.objective.count(outputs, labels, losses, samples)

    def _losses(self, outputs: Any, labels: Any, samples: int) -> Sequence[Tensor]:
        try:
            return self.objective.losses(outputs, labels, samples)
        except OwnLossError as error:
            self.plan.own_loss = True
            self.interception.give_up_all("the model's own loss, sample by sample")
            raise RoutesChangedError from error

    def confirm(self, guessing: bool) -> None:
        """Keep what was found, layouts too if they were guessed where a gradient arrived."""
        if guessing:
            moved = [site for site in self.sites if site not in self._unmoved]
            self._known.remember(moved, self.samples, moved)
        self.confirmed = True

    def has_fixed_layouts(self) -> bool:
        """Return whether samples were in fixed places everywhere in the last batch."""
        return all(isinstance(s.layout, Block) and not s.gathered for s in self.sites)

    def recall_layouts(self, sites: Sequence[Site], samples: int) -> bool:
        """Fill in known layouts; return whether all are known."""
        return not self._known.recall(sites, samples)

    @property
    def entries(self) -> float:
        """Entries of the outputs that were watched for a sample of the last batch."""
        return sum(site.shape.numel() for site in self.sites) / max(1, self.samples)

    @property
    def itemsize(self) -> int:
        """Bytes of an entry."""
        return self.parameters[0].element_size()

    def note(self, operations: Operations) -> None:
        """Note the operations of the last batch."""
        operations.note([
            (site.key, [root for tracked, _ in site.uses for root in tracked.roots])
            for site in self.sites
        ])  # fmt: skip

    def masks(self) -> dict[str, Tensor]:
        """Return where gradients are zero by symmetry."""
        return self.symmetry.masks()

    def _collect(self, losses: Sequence[Tensor], guessing: bool) -> None:
        unknown = self._locate(guessing)
        labels = Labels(self.interception, losses, unknown, self.samples) if unknown else None
        collector = SquareCollector(
            self.sums, self.sites, self.interception.stand_ins, self.symmetry
        )

        def receive(site: Site, gradient: Tensor, saved: tuple[Tensor, ...]) -> None:
            if guessing and bool(gradient.any()):
                self._unmoved.discard(site)
            if site.layout is None and not (labels and labels.locate(site, gradient)):
                return
            try:
                collector.receive(site, gradient, saved)
            except MixedSamplesError:
                self._reroute([site])

        for number, loss in enumerate(losses):
            if labels and labels.mixed:
                break
            self.interception.backward(loss.sum(), receive, retain=number + 1 < len(losses))
            collector.finish()
        if labels and labels.mixed:
            self._reroute(labels.mixed)
        if not guessing:
            self._known.remember(unknown, self.samples, ())

    def _locate(self, guessing: bool) -> list[Site]:
        """Fill in the layouts that are known or evident; return the sites left without."""
        self._unmoved = set(self.sites)
        if self.samples == 1:
            for site in self.sites:
                site.layout = Whole()
            return []
        unknown = self._known.recall(self.sites, self.samples)
        if not guessing:
            return unknown
        for site in unknown:
            if site.evident:
                site.layout = Block(0)
        return [site for site in unknown if not site.evident]

    def _reroute(self, sites: Sequence[Site]) -> None:
        """Let operations make tensors of parameters instead, and start again."""
        self.plan.derive.update(site.key for site in sites)
        raise RoutesChangedError
