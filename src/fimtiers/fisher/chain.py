"""Runs chains of linear layers forward and backward by hand, several networks of one shape at once.

A layer of all networks is one batched matrix product, and so is the sum of the squares of its
gradients, (g²)ᵀ a² per network. Nothing is traced but the loss. What is kept for the backward pass
lies in one buffer that is used again and again, for a few networks or samples at a time.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fimtiers.fisher.batches import Inputs, length, part, split
from fimtiers.fisher.compiled import Compiled, suits
from fimtiers.fisher.layerwise import Layerwise
from fimtiers.fisher.links import Links
from fimtiers.fisher.loop_check import SAMPLES, refuse_not_finite
from fimtiers.fisher.loss_watch import LossWatch
from fimtiers.fisher.objective import Masked, Objective
from fimtiers.fisher.runner import Runner
from fimtiers.fisher.sums import Sums
from fimtiers.fisher.tracked import mapped

ROUTE = "linear (chain)"
"""How gradients were obtained, as a result states it."""

BUFFER_BYTES = 3 << 20
"""The buffer may have this size; a few times a level-2 cache."""

BUFFER_PER_PARAMETER = 0.5
"""It may also be that many times as large as the parameters of a network: sums as large as these
are added up once per part of the samples, so a part must be worth it."""

Confirm = Callable[[tuple[Inputs, Any], Tensor, Sums], None]
"""Takes a few samples with their labels, the losses and the sums of squares of the first network
on them, which it may overwrite, and raises if they are wrong."""


class Chain:
    """Networks that are one chain.

    Parameters
    ----------
    links
        The chain.
    objective
        Whose gradients are squared.
    names
        Parameters to compute.
    memory
        Bound on the buffer, bytes.
    """

    def __init__(
        self, links: Links, objective: Objective, names: Sequence[str], memory: int | None = None
    ) -> None:
        self.links, self.objective, self.names = links, objective, frozenset(names)
        weights = [stage.layers[0].weight for stage in links.stages]
        self.size = weights[0].element_size()
        parameters = self.size * sum(weight.numel() for weight in weights)
        most = max(BUFFER_BYTES, int(BUFFER_PER_PARAMETER * parameters))
        self.memory = min(most, memory or most)
        self.watch = LossWatch(
            p
            for stage in links.stages
            for layer in stage.layers
            for p in layer._parameters.values()
            if p is not None
        )
        self._runners: dict[type[Runner], Runner] = {}

    def add(
        self, batch: tuple[Inputs, Any], sums: Sums, confirm: Confirm | None = None
    ) -> tuple[Any, Tensor, int]:
        """Add the squared per-sample gradients of a batch.

        Parameters
        ----------
        batch
            Inputs and targets, such that `links` takes the inputs.
        sums
            Sums of squares to add to. Of several networks, the first axis counts them.
        confirm
            Given what the first samples alone contribute before anything is added to the sums,
            which must be zero.

        Returns
        -------
        labels
            The labels the losses were taken at.
        losses
            Of the first network, shape (sample, backward pass), detached.
        count
            How many samples, tokens or draws the batch counts for.

        Raises
        ------
        LossOfParametersError
            If the loss meets a parameter.
        SampleCouplingError
            If the loss is random.
        """
        samples, members = length(batch[0]), len(self.links.stages[0].layers)
        runner = self._runner(Compiled if suits(self.links, sums, samples) else Layerwise)
        rows = max(1, self.memory // (self.size * runner.entries))
        parts = math.ceil(samples / rows)
        size = math.ceil(samples / parts)
        networks = max(1, rows // size)
        found: list[tuple[Any, Tensor, int]] = []
        for start in range(0, members, networks):
            runner.begin(slice(start, min(start + networks, members)))
            watch = self.watch if start == 0 else nullcontext()  # others have the same loss
            own = []
            for piece in split(batch, size):
                own.append(self._add(runner, sums, watch, *piece, confirm))
                confirm = None
            found = found or own
        runner.end()
        labels, losses, count = found[0]
        if parts > 1:
            losses = torch.cat([own for _, own, _ in found])
            drawn = self.objective.kind == "mc"
            labels = _joined([own for own, _, _ in found]) if drawn else batch[1]
            count = sum(own for _, _, own in found)
        return labels, losses, count

    def release(self) -> None:
        """Let go of large buffers; small ones are kept for the next batch."""
        self._runners = {k: r for k, r in self._runners.items() if r.kept_bytes <= BUFFER_BYTES}

    def _runner(self, kind: type[Runner]) -> Runner:
        if kind not in self._runners:
            self._runners[kind] = kind(self.links, self.names)
        return self._runners[kind]

    def _add(
        self,
        runner: Runner,
        sums: Sums,
        watch: AbstractContextManager[Any],
        inputs: Tensor,
        targets: Any,
        confirm: Confirm | None,
    ) -> tuple[Any, Tensor, int]:
        """Add what some networks contribute on some samples; return as `add` does."""
        samples = len(inputs)
        outputs = runner.outputs(inputs.detach()).detach().requires_grad_()
        copied = outputs.clone()  # the loss may change it in place
        if len(outputs) > samples:
            targets = mapped(partial(_repeated, len(outputs) // samples), targets)
        with watch:
            labels = self.objective.labels(copied, targets)
            losses = self.objective.losses(copied, labels, len(copied))
        values = torch.stack([loss.detach()[:samples] for loss in losses], 1)
        refuse_not_finite(values)
        reached = [loss for loss in losses if loss.requires_grad]
        gradient: Tensor | None = None
        if confirm is not None:
            for loss in reversed(reached):
                gradient = _gradient(outputs, samples, loss, True)
                runner.add_squares(gradient[:1, :SAMPLES], True, sums)
            confirm(part((inputs, labels), 0, SAMPLES), values[:SAMPLES], sums)
            sums.clear()
        for number, loss in enumerate(reached):
            again = number + 1 < len(reached)
            if gradient is None:  # or that of the first loss, from just now
                gradient = _gradient(outputs, samples, loss, again)
            runner.add_squares(gradient, again, sums)
            gradient = None
        return labels, values, self.objective.count(copied, labels, losses, samples)


def _gradient(outputs: Tensor, samples: int, loss: Tensor, again: bool) -> Tensor:
    """Return the gradient of the outputs, shape (network, sample, width)."""
    (gradient,) = torch.autograd.grad(
        loss.sum(), outputs, retain_graph=again, materialize_grads=True
    )
    return gradient.view(-1, samples, outputs.shape[-1])


def _joined(labels: list[Any]) -> Any:
    """Return the labels of parts of the samples as those of all."""
    if isinstance(labels[0], Masked):
        return Masked(*(torch.cat(own) for own in zip(*labels, strict=True)))
    return torch.cat(labels)


def _repeated(times: int, target: Any) -> Any:
    """Return a tensor as often as there are networks, anything else as it is."""
    if not isinstance(target, Tensor):
        return target
    return target.expand(times, *target.shape).flatten(0, 1)
