"""Runs batches through a model under interception and sums squared per-sample gradients."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs, call, length, part
from fimtiers.fisher.interception import Interception, Plan
from fimtiers.fisher.known_layouts import KnownLayouts
from fimtiers.fisher.labels import Labels
from fimtiers.fisher.layout import Block, Whole
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.operations import Operations
from fimtiers.fisher.provenance import Derivation, where_samples_enter
from fimtiers.fisher.sums import Sums
from fimtiers.fisher.symmetry import SymmetryDetector
from fimtiers.fisher.tape import MixedSamplesError, Site, SquareCollector
from fimtiers.fisher.tracked import mapped


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

    Attributes
    ----------
    confirmed
        Whether what it computes agreed with the loop, or need not.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, names: Sequence[str], plan: Plan, sums: Sums
    ) -> None:
        parameters = dict(model.named_parameters())
        self.model, self.objective, self.plan, self.sums = model, objective, plan, sums
        self.names = list(names)
        self.parameters = [parameters[name] for name in names]
        self.interception = Interception({n: parameters[n] for n in names}, plan, sums)
        self.symmetry = SymmetryDetector()
        self.sites: list[Site] = []
        self.samples = 0
        self.confirmed = False
        self._known = KnownLayouts()
        self._unmoved: set[Site] = set()
        self._inspected = False

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

    def add(self, batch: tuple[Inputs, Any], guessing: bool = False) -> tuple[Any, Tensor, int]:
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
        known = dict(self.plan.without_rule)
        with self.interception.recording(samples, guessing):
            outputs = call(self.model, inputs)
            labels = self.objective.labels(outputs, targets)
            losses, weight = self.objective.losses(outputs, labels)
            made = [t for loss in losses if (t := self.interception.tracked(loss)) is not None]
            self.interception.give_up(made, "the loss itself is made of parameters")
            given_up = len(self.plan.without_rule) > len(known)
            self.sites, self.samples = self.interception.sites, samples
            if self.sites and not given_up:
                self._collect(losses, guessing)
        if given_up:
            if self.interception.blamed_derived:
                self._clear_of_blame(batch, known)
            raise RoutesChangedError
        return labels, torch.stack([loss.detach() for loss in losses], 1), weight

    def confirm(self, guessing: bool) -> None:
        """Keep what was found, layouts too if they were guessed.

        Sites that no gradient reached prove nothing.
        """
        if guessing:
            self._known.remember(self.sites, self.samples, self._unmoved)
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
        if unknown or not self._inspected:
            self._reroute_leaks(losses)
            self._inspected = True
        labels = Labels(self.interception, losses, unknown, self.samples) if unknown else None
        collector = SquareCollector(
            self.sums, self.sites, self.interception.stand_ins,
            None if self.symmetry.done else self.symmetry,
        )  # fmt: skip

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
        self.symmetry.done = True
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
        passes = [self._derivations(few, known) for few in one_and_two(batch)]
        found = where_samples_enter(*passes) - self.plan.on_samples
        self.plan.on_samples |= found
        self.plan.derive -= found
        if not found:
            self.plan.without_rule = blamed

    def _derivations(self, batch: tuple[Inputs, Any], known: dict[str, str]) -> list[Derivation]:
        """Return what seems to be made of parameters alone in a forward pass.

        The plan is left with what was known before.
        """
        noted: list[Derivation] = []
        self.plan.without_rule = dict(known)
        self.interception.derivations = noted
        try:
            with self.interception.recording(length(batch[0])):
                outputs = call(self.model, batch[0])
                self.objective.losses(outputs, self.objective.labels(outputs, batch[1]))
        finally:
            self.interception.derivations = None
            self.plan.without_rule = dict(known)
        return noted

    def _believe_packing(self, shown: set[Site]) -> None:
        """Believe of operations that samples are where packing put them, if all their sites are."""
        expected = self.interception.expected
        self.plan.packed |= {site.key for site in expected}
        self.plan.packed -= {site.key for site in expected if site not in shown}

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

    def _reroute_leaks(self, losses: Sequence[Tensor]) -> None:
        """Leave to the fallback what reaches the loss past all sites: compiled or custom code."""
        names = {id(p): name for name, p in zip(self.names, self.parameters, strict=True)}
        names |= {id(p): name for name, p in self.interception.stand_ins.items()}
        leaked = {names[id(leaf)] for leaf in _leaves_of_graph(losses) if id(leaf) in names}
        for name in leaked:
            self.plan.without_rule[name] = "used where operations cannot be seen"
        if leaked:
            raise RoutesChangedError


def one_and_two(batch: tuple[Inputs, Any]) -> tuple[tuple[Inputs, Any], tuple[Inputs, Any]]:
    """Return the first sample of a batch, and it with another one, itself if there is none."""
    one = part(batch, 0, 1)
    if length(batch[0]) > 1:
        return one, part(batch, 0, 2)
    return one, mapped(lambda x: torch.cat([x, x]) if isinstance(x, Tensor) else x, one)


def _leaves_of_graph(losses: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield the leaves that backward passes from `losses` would reach."""
    pending, seen = [loss.grad_fn for loss in losses], set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        pending.extend(following for following, _ in node.next_functions)
