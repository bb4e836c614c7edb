"""For how many inputs each hidden unit is flat, and for how many it is linear.

A unit with activation φ is flat at an input if |φ'(z)| < 0.01, and linear if φ'(z) is within 0.01
of one (see `fimtiers.networks.activations`); a ReLU is always one of the two. The fractions of
units that follow are in `fimtiers.statistics.unit_activity`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fimtiers.networks.activations import ACTIVATIONS, TANH_FLAT, TANH_LINEAR
from fimtiers.records import Variable

INPUTS = 1000
"""Modules are watched at about this many positions, the first of their probes."""

KINDS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
}
"""Modules that are watched."""


class UnitCounts:
    """Counts of flat and linear inputs of every unit of one network, or of several alike.

    Attributes
    ----------
    inputs
        Number of inputs counted.
    """

    def __init__(self) -> None:
        self.inputs = 0
        self._kinds: list[str] = []
        self._counts: dict[Any, Tensor] = {}

    def add(self, layer: Any, kind: str, flat: Tensor, linear: Tensor) -> None:
        """Count for one layer, from booleans of shape (..., input, unit)."""
        if layer not in self._counts:
            self._kinds += [kind] * flat.shape[-1]
            self._counts[layer] = torch.zeros(2, *flat.shape[:-2], flat.shape[-1], dtype=torch.long)
        self._counts[layer] += torch.stack([flat.sum(-2), linear.sum(-2)])

    def variables(self) -> dict[str, Variable]:
        """Return diagnostics: ``unit_kind``, shape (unit,); ``unit_inputs``; and the counts.

        ``unit_flat`` and ``unit_linear`` have the shape (seed, unit) if the counts had a first
        axis for seeds. Nothing if no layer was counted.
        """
        if not self._counts:
            return {}
        counts = torch.cat(list(self._counts.values()), dim=-1).to(torch.int32).numpy()
        dims = ("seed", "unit")[-(counts.ndim - 1) :]
        return {
            "unit_kind": (("unit",), np.array(self._kinds)),
            "unit_inputs": ((), np.array(self.inputs)),
            "unit_flat": (dims, counts[0]),
            "unit_linear": (dims, counts[1]),
        }


@torch.no_grad()
def count_units(modules: Sequence[nn.Module], probes: Sequence[Tensor]) -> dict[str, Variable]:
    """Run modules on the first of their probes and count for every activation module in them.

    Parameters
    ----------
    modules
        One per seed, of one shape. Activations are modules of the types in `KINDS`; their last
        axis is the unit, all others count as inputs.
    probes
        One tensor per seed, shape (probe, ...).
    """
    rows = [_count(module, x) for module, x in zip(modules, probes, strict=True)]
    if not rows[0]:
        return {}
    joined = {
        name: (("seed", "unit"), np.stack([row[name][1] for row in rows]))
        for name in ("unit_flat", "unit_linear")
    }
    return {**rows[0], **joined}


def _count(module: nn.Module, x: Tensor) -> dict[str, Variable]:
    counts = UnitCounts()
    calls: dict[nn.Module, int] = {}

    def watch(layer: nn.Module, arguments: tuple[Tensor]) -> None:
        kind = KINDS[type(layer)]
        z = arguments[0].flatten(0, -2)
        counts.add(layer, kind, *_flat_and_linear(kind, z))
        calls[layer] = calls.get(layer, 0) + len(z)

    watched = [layer for layer in module.modules() if type(layer) in KINDS]
    handles = [layer.register_forward_pre_hook(watch) for layer in watched]
    per_probe = x[0].numel() // x.shape[-1] if x.ndim > 2 else 1
    module(x[: max(1, INPUTS // per_probe)])
    for handle in handles:
        handle.remove()
    counts.inputs = max(calls.values(), default=0)
    return counts.variables()


def _flat_and_linear(kind: str, z: Tensor) -> tuple[Tensor, Tensor]:
    if kind in ("tanh", "sigmoid"):
        # A sigmoid is a tanh of half the argument; its slope counts relative to its largest.
        a = torch.tanh(z if kind == "tanh" else z / 2).abs()
        return a > TANH_FLAT, a < TANH_LINEAR
    return ACTIVATIONS[kind].flat(z), ACTIVATIONS[kind].linear(z)
