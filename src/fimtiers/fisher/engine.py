"""Runs batches through a model under interception and sums squared per-sample gradients."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs, call, length, part
from fimtiers.fisher.interception import Interception, Plan, RoutesChangedError
from fimtiers.fisher.known_layouts import KnownLayouts
from fimtiers.fisher.labels import Labels
from fimtiers.fisher.layout import Block, Whole
from fimtiers.fisher.loop_check import refuse_not_finite
from fimtiers.fisher.objective import Objective, OwnLossError
from fimtiers.fisher.operations import Operations
from fimtiers.fisher.provenance import Derivation, where_samples_enter
from fimtiers.fisher.sums import Sums
from fimtiers.fisher.symmetry import SymmetryDetector
from fimtiers.fisher.tape import MixedSamplesError, Site, SquareCollector
from fimtiers.fisher.tracked import mapped

HALF = {torch.bfloat16, torch.float16}
"""Dtypes whose rounding hides whether summands cancel."""


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
    counted
        What the samples count for that were compared and are in the sums; 0 if they are not to be
        counted.
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
        self.counted = 0
        self._known = KnownLayouts()
        self._unmoved: set[Site] = set()

    def begin(self, sums: Sums) -> None:
        """Start anew with other sums; what is known of layouts holds on."""
        self.sums, self.sites, self.symmetry = sums, [], SymmetryDetector()
        self.interception.bind(sums)

    def end(self) -> Sums:
        """Return the sums and let go of them."""
        sums, self.counted = self.sums, 0
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
        known = dict(self.plan.without_rule)
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
            given_up = len(self.plan.without_rule) > len(known)
            values = torch.stack([loss.detach() for loss in losses], 1)
            refuse_not_finite(values)
            self.sites, self.samples = self.interception.sites, samples
            if self.sites and not given_up:
                with _in_full_precision(self.parameters[0].device.type):
                    self._collect(losses, guessing)
            elif not given_up:
                self.interception.look_for_leaks(losses)
        if given_up:
            if self.interception.blamed_derived:
                self._clear_of_blame(batch, known)
            raise RoutesChangedError
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
    def computed_in(self) -> frozenset[torch.dtype]:
        """What operations on parameters gave so far, and what autocast had them give."""
        return frozenset(self.interception.computed_in)

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
            self.sums,
            self.sites,
            self.interception.stand_ins,
            # What cancels in coarse numbers need not cancel.
            None if HALF & self.interception.computed_in else self.symmetry,
        )

        def receive(site: Site, gradient: Tensor, saved: tuple[Tensor, ...]) -> None:
            if guessing and bool(gradient.any()):
                self._unmoved.discard(site)
            if site.layout is None and not (labels and labels.locate(site, gradient)):
                return
            try:
                collector.receive(site, gradient, saved)
            except MixedSamplesError:
                if guessing and site.evident:
                    self.plan.misleading.add(site.key)
                    raise RoutesChangedError from None
                self._reroute([site])

        for number, loss in enumerate(losses):
            if labels and labels.mixed:
                break
            self.interception.backward(loss.sum(), receive, retain=number + 1 < len(losses))
            collector.finish()
        if labels and labels.mixed:
            self._reroute(labels.mixed)
        if labels:
            self._believe_packing(labels.as_expected)
        if not guessing:
            self._known.remember(unknown, self.samples, ())

    def _clear_of_blame(self, batch: tuple[Inputs, Any], known: dict[str, str]) -> None:
        """Take back what was given up behind a first operation on samples that has no rule.

        Such an operation looks like one on parameters alone, and so do all that follow, which
        would leave every parameter behind it to the fallback.

        Parameters
        ----------
        batch
            Inputs and targets.
        known
            What was left to the fallback before.
        """
        blamed = self.plan.without_rule
        found: set[tuple[str, ...]] = set()
        # Two samples are soonest done, but others of the batch may take other ways.
        for few, more in (one_and_two(batch), (batch, twice(batch))):
            alone, together = self._derivations(few, known), self._derivations(more, known)
            found = where_samples_enter(alone, together) - self.plan.on_samples
            if found:
                break
        self.plan.on_samples |= found
        self.plan.derive -= found
        if not found:
            self.plan.without_rule = blamed

    def _derivations(self, batch: tuple[Inputs, Any], known: dict[str, str]) -> list[Derivation]:
        """Return what seems to be made of parameters alone in a forward pass.

        The plan is left with what was known before. A model that does not run on other numbers
        of samples shows what it made until it fails.
        """
        noted: list[Derivation] = []
        self.plan.without_rule = dict(known)
        self.interception.derivations = noted
        try:
            with self.interception.recording(length(batch[0])):
                outputs = call(self.model, batch[0])
                labels = self.objective.labels(outputs, batch[1])
                self.objective.losses(outputs, labels, length(batch[0]))
        except Exception:  # raised again where it counts
            return noted
        finally:
            self.interception.derivations = None
            self.plan.without_rule = dict(known)
        return noted

    def _believe_packing(self, shown: set[Site]) -> None:
        """Believe of operations that samples are where packing put them, if all their sites are."""
        others = {site.key for site in self.sites if site.gathered and site not in shown}
        self.plan.packed |= {site.key for site in shown}
        self.plan.packed -= others

    def _locate(self, guessing: bool) -> list[Site]:
        """Fill in the layouts that are known or evident; return the sites left without."""
        self._unmoved = set(self.sites)
        if self.samples == 1:
            for site in self.sites:
                site.layout = Whole()
            return []
        unknown = self._known.recall(self.sites, self.samples)
        unknown = [site for site in unknown if site.layout is None]  # others told themselves
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


def _in_full_precision(device: str) -> AbstractContextManager[Any]:
    """Return a context without autocast, which would round squares, or let them overflow."""
    if torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


def one_and_two(batch: tuple[Inputs, Any]) -> tuple[tuple[Inputs, Any], tuple[Inputs, Any]]:
    """Return the first sample of a batch, and it with another one, itself if there is none."""
    one = part(batch, 0, 1)
    return one, part(batch, 0, 2) if length(batch[0]) > 1 else twice(one)


def twice(batch: tuple[Inputs, Any]) -> tuple[Inputs, Any]:
    """Return a batch with each sample twice."""
    return mapped(lambda x: torch.cat([x, x]) if isinstance(x, Tensor) else x, batch)
