"""Chains run layer by layer: any elementwise functions, several networks in one matrix product."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fimtiers.fisher.by_hand import Derivative, applied
from fimtiers.fisher.links import Links
from fimtiers.fisher.squares import FEW_ENTRIES, Scaler, squares_by_rows
from fimtiers.fisher.sums import Sums

Parameters = tuple[Tensor, Tensor | None]
"""Weights (network, output, input) and biases (network, 1, output) of a layer."""

CPU = torch.device("cpu")


class Layerwise:
    """A `Runner` by batched matrix products."""

    def __init__(self, links: Links, names: frozenset[str]) -> None:
        self.links, self.names = links, names
        weight = links.stages[0].layers[0].weight
        self.widths, self.dtype = links.widths[1:], weight.dtype
        self.entries = sum(self.widths) + 2 * max(self.widths)
        self.lowest = links.lowest(names)
        self.arriving: list[Tensor] = []
        self.derivatives: list[list[Derivative]] = []
        self._memory: list[Tensor] = []
        self._rows, self._shape = 0, (0, 0)
        self._views: tuple[list[Tensor], list[Tensor]] = [], []

    def begin(self, some: slice) -> None:
        """Take the parameters of some networks."""
        self.some = some
        self.parameters = [_stacked(stage.layers[some]) for stage in self.links.stages]

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs for some samples, shape (network · sample, width)."""
        networks, samples = self.some.stop - self.some.start, len(inputs)
        outgoing, _ = self._buffers(networks, samples)
        data = inputs
        if self.links.leading:
            data, _ = applied(self.links.leading, data.clone())
        data = data.expand(networks, *data.shape)
        self.arriving, self.derivatives = [], []
        for stage, (weight, bias), buffer in zip(
            self.links.stages, self.parameters, outgoing, strict=True
        ):
            self.arriving.append(data)
            if bias is None:
                torch.bmm(data, weight.mT, out=buffer)
            else:
                torch.baddbmm(bias, data, weight.mT, out=buffer)
            data, own = applied(stage.functions, buffer)
            self.derivatives.append(own)
        return data.flatten(0, 1)

    def add_squares(self, gradient: Tensor, again: bool, sums: Sums) -> None:
        """Add the squares of the gradients of all layers to the sums, last to first."""
        networks, samples, _ = gradient.shape
        _, passing = self._buffers(*self._shape)
        passing = [_leading(buffer, networks, samples) for buffer in passing]
        gradient = passing[-1].copy_(gradient)
        for number in range(len(self.arriving) - 1, self.lowest - 1, -1):
            for pulled_back in reversed(self.derivatives[number]):
                gradient = pulled_back(gradient, again)
            self._square(number, gradient, self.arriving[number][:networks, :samples], sums)
            if number > self.lowest:
                weight = self.parameters[number][0][:networks]
                gradient = torch.bmm(gradient, weight, out=passing[number - 1])

    def end(self) -> None:
        """Let go of data and parameters."""
        self.arriving, self.derivatives, self.parameters = [], [], []

    @property
    def kept_bytes(self) -> int:
        """Size of the buffers."""
        return sum(buffer.nbytes for buffer in self._memory)

    def _square(self, number: int, gradient: Tensor, data: Tensor, sums: Sums) -> None:
        """Add the squares of a layer's gradients, given that of its outputs and its inputs."""
        weight, bias = self.links.stages[number].names
        first = slice(self.some.start, self.some.start + len(gradient))
        few = max(gradient.numel(), data.numel()) <= FEW_ENTRIES
        if few and sums.dtype == torch.float64 and torch.device(sums.device) == CPU:
            left, right = gradient.double().square(), data.double().square()
            if weight in self.names:
                _own(sums.totals[weight], 2)[first].baddbmm_(left.mT, right)
            if bias in self.names:
                _own(sums.totals[bias], 1)[first].add_(left.sum(1))
            return
        scaler = Scaler()
        left, right = gradient.transpose(0, 1), data.transpose(0, 1)
        if weight in self.names:
            total = _own(sums.totals[weight], 2)[first].flatten(0, 1)
            for rows, squares, exponent in squares_by_rows(left, right, scaler):
                sums.add(weight, total[rows], squares, exponent)
        if bias in self.names:
            squares, exponent = scaler.summed(left)
            sums.add(bias, _own(sums.totals[bias], 1)[first], squares, exponent)

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


def _own(totals: Tensor, axes: int) -> Tensor:
    """Return the sums of a parameter with so many axes, network by network."""
    return totals.view(-1, *totals.shape[totals.ndim - axes :])


def _leading(buffer: Tensor, networks: int, samples: int) -> Tensor:
    """Return the beginning of a buffer as one for fewer networks and samples."""
    if buffer.shape[:2] == (networks, samples):
        return buffer
    width = buffer.shape[2]
    return buffer.view(-1)[: networks * samples * width].view(networks, samples, width)


def _stacked(layers: Sequence[nn.Linear]) -> Parameters:
    """Return weights (network, output, input) and biases (network, 1, output)."""
    weights: list[Tensor] = [layer.weight.detach() for layer in layers]
    biases: list[Tensor] = [layer.bias for layer in layers]
    stacked = torch.stack(weights) if len(weights) > 1 else weights[0].unsqueeze(0)
    return stacked, None if biases[0] is None else torch.stack(biases).detach().unsqueeze(1)
