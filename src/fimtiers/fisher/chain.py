"""Runs chains of linear layers forward and backward by hand, several networks of one shape at once.

A layer of all networks is one batched matrix product, and so is the sum of the squares of its
gradients, (g²)ᵀ a² per network. Nothing is traced but the loss. What is kept for the backward pass
lies in one buffer that is used again and again, for a few networks or samples at a time.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs, length, split
from fimtiers.fisher.by_hand import Derivative, applied
from fimtiers.fisher.links import Links
from fimtiers.fisher.loss_watch import LossWatch
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.squares import Scaler, outer_squares
from fimtiers.fisher.sums import Sums
from fimtiers.fisher.tracked import mapped

ROUTE = "linear (chain)"
"""How gradients were obtained, as a result states it."""

BUFFER_BYTES = 3 << 20
"""The buffer may have this size; a few times a level-2 cache."""

BUFFER_PER_PARAMETER = 2
"""It may also be that many times as large as the parameters of a network: sums as large as these
are added up once per part of the samples, so a part must be worth it."""

Parameters = tuple[Tensor, Tensor | None]
"""Weights and biases of a layer of some networks."""


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
        self.widths, self.dtype = [len(weight) for weight in weights], weights[0].dtype
        self.lowest = min(
            number
            for number, stage in enumerate(links.stages)
            if not self.names.isdisjoint(stage.names)
        )
        entries, size = sum(self.widths) + 2 * max(self.widths), weights[0].element_size()
        most = max(BUFFER_BYTES, BUFFER_PER_PARAMETER * size * sum(w.numel() for w in weights))
        self.rows = max(1, min(most, memory or most) // (size * entries))
        self.watch = LossWatch(
            p for stage in links.stages for layer in stage.layers for p in layer.parameters()
        )
        self._memory: list[Tensor] = []
        self._rows, self._shape = 0, (0, 0)
        self._views: tuple[list[Tensor], list[Tensor]] = [], []

    def add(
        self, batch: tuple[Inputs, Any], sums: Sums, micro_batch: int | None = None
    ) -> tuple[Any, Tensor, int]:
        """Add the squared per-sample gradients of a batch.

        Parameters
        ----------
        batch
            Inputs and targets, such that `links` takes the inputs.
        sums
            Sums of squares to add to. Of several networks, the first axis counts them.
        micro_batch
            Most samples at a time.

        Returns
        -------
        labels
            The labels the losses were taken at.
        losses
            Of the first network, shape (sample, backward pass), detached.
        weight
            How many samples each sample counts for.

        Raises
        ------
        LossOfParametersError
            If the loss meets a parameter.
        SampleCouplingError
            If the loss is random.
        """
        samples, members = length(batch[0]), len(self.links.stages[0].layers)
        parts = math.ceil(samples / min(self.rows, micro_batch or samples))
        size = math.ceil(samples / parts)
        networks = max(1, self.rows // size)
        found: list[tuple[Any, Tensor, int]] = []
        for start in range(0, members, networks):
            some = slice(start, min(start + networks, members))
            stacked = [_stacked(stage.layers[some]) for stage in self.links.stages]
            own = [self._add(some, stacked, sums, *piece) for piece in split(batch, size)]
            found = found or own
        labels, losses, weight = found[0]
        if parts > 1:
            losses = torch.cat([own for _, own, _ in found])
            drawn = self.objective.kind == "mc"
            labels = torch.cat([own for own, _, _ in found]) if drawn else batch[1]
        return labels, losses, weight

    def _add(
        self,
        some: slice,
        parameters: Sequence[Parameters],
        sums: Sums,
        inputs: Tensor,
        targets: Any,
    ) -> tuple[Any, Tensor, int]:
        """Add what some networks contribute on some samples; return as `add` does."""
        networks, samples = some.stop - some.start, len(inputs)
        arriving, derivatives, outputs = self._forward(parameters, inputs)
        with self.watch:
            if networks > 1:
                targets = mapped(partial(_repeated, networks), targets)
            copied = outputs.clone()  # the loss may change it in place
            labels = self.objective.labels(copied, targets)
            losses, weight = self.objective.losses(copied, labels)
        for number, loss in enumerate(losses):
            if loss.requires_grad:
                again = number + 1 < len(losses)
                (gradient,) = torch.autograd.grad(
                    loss.sum(), outputs, retain_graph=again, materialize_grads=True
                )
                self._backward(gradient, again, arriving, derivatives, parameters, some, sums)
        values = torch.stack([loss.detach()[:samples] for loss in losses], 1)
        return labels, values, weight

    def _forward(
        self, parameters: Sequence[Parameters], inputs: Tensor
    ) -> tuple[list[Tensor], list[list[Derivative]], Tensor]:
        """Return the inputs of all layers, the derivatives of what follows them, the outputs."""
        networks, samples = len(parameters[0][0]), len(inputs)
        outgoing, _ = self._buffers(networks, samples)
        data = inputs.detach()
        if self.links.leading:
            data, _ = applied(self.links.leading, data.clone())
        data = data.expand(networks, *data.shape)
        arriving, derivatives = [], []
        for stage, (weight, bias), buffer in zip(
            self.links.stages, parameters, outgoing, strict=True
        ):
            arriving.append(data)
            if bias is None:
                torch.bmm(data, weight.mT, out=buffer)
            else:
                torch.baddbmm(bias, data, weight.mT, out=buffer)
            data, own = applied(stage.functions, buffer)
            derivatives.append(own)
        return arriving, derivatives, data.flatten(0, 1).detach().requires_grad_()

    def _backward(
        self, gradient: Tensor, again: bool, arriving: Sequence[Tensor],
        derivatives: Sequence[Sequence[Derivative]], parameters: Sequence[Parameters],
        some: slice, sums: Sums,
    ) -> None:  # fmt: skip
        """Square the gradients of all layers, last to first, and add them to the sums."""
        networks, samples = len(arriving[0]), len(arriving[0][0])
        _, passing = self._buffers(networks, samples)
        gradient = passing[-1].copy_(gradient.view_as(passing[-1]))
        for number in range(len(arriving) - 1, self.lowest - 1, -1):
            for pulled_back in reversed(derivatives[number]):
                gradient = pulled_back(gradient, again)
            self._square(number, gradient, arriving[number], some, sums)
            if number > self.lowest:
                weight, _ = parameters[number]
                gradient = torch.bmm(gradient, weight, out=passing[number - 1])

    def _square(self, number: int, gradient: Tensor, data: Tensor, some: slice, sums: Sums) -> None:
        """Add the squares of a layer's gradients, given that of its outputs and its inputs."""
        stage, scaler = self.links.stages[number], Scaler()
        left, right = gradient.transpose(0, 1), data.transpose(0, 1)
        weight, bias = stage.names
        if weight in self.names:
            squares, exponent = outer_squares(left.unsqueeze(1), right.unsqueeze(1), scaler)
            sums.add(
                weight, sums.totals[weight].view(-1, *squares.shape[1:])[some], squares, exponent
            )
        if bias in self.names:
            squares, exponent = scaler.summed(left)
            sums.add(bias, sums.totals[bias].view(-1, *squares.shape[1:])[some], squares, exponent)

    def _buffers(self, networks: int, samples: int) -> tuple[list[Tensor], list[Tensor]]:
        """Return where the outputs of layers go, and their gradients, which take turns in two."""
        if self._shape != (networks, samples):
            rows, last = networks * samples, len(self.widths)
            places = [*range(last), *(last + number % 2 for number in range(last))]
            widths = self.widths * 2
            if rows > self._rows:
                sizes = [*self.widths, max(self.widths), max(self.widths)]
                self._memory = [torch.empty(rows * size, dtype=self.dtype) for size in sizes]
                self._rows = rows
            views = [
                self._memory[place][: rows * width].view(networks, samples, width)
                for place, width in zip(places, widths, strict=True)
            ]
            self._views, self._shape = (views[:last], views[last:]), (networks, samples)
        return self._views


def _stacked(layers: Sequence[nn.Linear]) -> Parameters:
    """Return weights (network, output, input) and biases (network, 1, output)."""
    weights: list[Tensor] = [layer.weight.detach() for layer in layers]
    biases: list[Tensor] = [layer.bias for layer in layers]
    stacked = torch.stack(weights) if len(weights) > 1 else weights[0].unsqueeze(0)
    return stacked, None if biases[0] is None else torch.stack(biases).detach().unsqueeze(1)


def _repeated(times: int, target: Any) -> Any:
    """Return a tensor as often as there are networks, anything else as it is."""
    if not isinstance(target, Tensor):
        return target
    return target.expand(times, *target.shape).flatten(0, 1)
