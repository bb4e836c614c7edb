"""Chains of linear layers and ReLUs run by compiled code, which fuses layers and keeps little."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fimtiers.fisher.kernel import PAIR_LENGTH
from fimtiers.fisher.links import Links
from fimtiers.fisher.squares import PEAK_EXPONENT
from fimtiers.fisher.sums import Sums

MINIMUM_PRODUCTS = 1 << 21
"""Below this many products, samples times weights, the code is not worth loading."""

PADDING = 208
"""Floats between blocks of scratch, lest they lie a whole number of pages apart, where writing to
one delays reading from another."""


class Compiled:
    """A `Runner` in machine code, for chains that `suits` accepts."""

    def __init__(self, links: Links, names: frozenset[str]) -> None:
        from fimtiers.fisher import chain_kernel

        self.kernel = chain_kernel
        self.links, self.lowest = links, links.lowest(names)
        self.entries = sum(links.widths[1:])
        self.widths = np.array(links.widths)
        self.rectified = np.array([bool(stage.functions) for stage in links.stages])
        sizes = [
            size
            for before, width in zip(links.widths, links.widths[1:], strict=False)
            for size in (before * width, width)
        ]
        self.totals = torch.empty(sum(sizes), dtype=torch.float64)
        parts = zip(
            [n for s in links.stages for n in s.names], self.totals.split(sizes), strict=True
        )
        self.names, self.parts = zip(*((n, p) for n, p in parts if n in names), strict=True)
        self._targets: tuple[Sums, dict[int, list[Tensor]]] = Sums({}), {}
        self.kept, self.scratch = torch.empty(0), torch.empty(sum(sizes))
        self.memory = torch.empty(4, chain_kernel.BLOCK * max(links.widths) + PADDING)

    def begin(self, some: slice) -> None:
        """Take the parameters of some networks."""
        self.some = some
        members = range(some.start, some.stop)
        flat = [p for m in members for stage in self.links.stages for p in _flat(stage.layers[m])]
        self.parameters = torch.cat(flat).view(len(members), -1)

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs for some samples, shape (network · sample, width)."""
        networks, samples = len(self.parameters), len(inputs)
        self.inputs = inputs.contiguous()
        if self.kept.shape != (networks, samples * self.entries):
            self.kept = torch.empty(networks, samples * self.entries)
        for parameters, kept in zip(self.parameters, self.kept, strict=True):
            self.kernel.forward(
                self.inputs.numpy(), parameters.numpy(), self.widths, self.rectified,
                kept.numpy(), self.scratch.numpy(),
            )  # fmt: skip
        width = self.links.widths[-1]
        return self.kept[:, -samples * width :].reshape(-1, width)

    def add_squares(self, gradient: Tensor, again: bool, sums: Sums) -> None:
        """Add the squares of the gradients of all layers to the sums."""
        for number, own in enumerate(gradient.contiguous()):
            self.totals.zero_()
            self.kernel.add_squares(
                own.numpy(), self.inputs.numpy(), self.parameters[number].numpy(), self.widths,
                self.rectified, self.kept[number].numpy(), self.lowest, PEAK_EXPONENT,
                self.totals.numpy(), self.scratch.numpy(), self.memory.numpy(),
            )  # fmt: skip
            torch._foreach_add_(self._own(sums, self.some.start + number), self.parts)

    def end(self) -> None:
        """Let go of data, parameters and sums."""
        self.inputs = self.parameters = torch.empty(0)
        self._targets = Sums({}), {}

    @property
    def kept_bytes(self) -> int:
        """Size of the buffer."""
        return self.kept.nbytes

    def _own(self, sums: Sums, member: int) -> list[Tensor]:
        """Return the sums of one network as vectors, kept for its next batch."""
        if self._targets[0] is not sums:
            self._targets = sums, {}
        known = self._targets[1]
        if member not in known:
            parts = zip(self.names, self.parts, strict=True)
            known[member] = [sums.totals[name].view(-1, len(p))[member] for name, p in parts]
        return known[member]


def suits(links: Links, sums: Sums, samples: int) -> bool:
    """Return whether compiled code is made for a chain, and worth loading for so many samples."""
    products = sum(stage.layers[0].weight.numel() for stage in links.stages)
    return (
        links.stages[0].layers[0].weight.dtype == torch.float32
        and sums.dtype == torch.float64
        and torch.device(sums.device).type == "cpu"
        and not links.leading
        and all(tuple(map(type, stage.functions)) in RECTIFIED for stage in links.stages)
        and max(links.widths) <= PAIR_LENGTH
        and samples * products >= MINIMUM_PRODUCTS
        and torch.get_num_threads() == 1
    )


RECTIFIED: frozenset[tuple[Any, ...]] = frozenset({(), (nn.ReLU,)})


def _flat(layer: nn.Linear) -> Sequence[Tensor]:
    """Return weight and bias as vectors, an absent bias as zeros."""
    weight, bias = layer.weight.detach(), layer.bias
    return weight.flatten(), weight.new_zeros(len(weight)) if bias is None else bias.detach()
