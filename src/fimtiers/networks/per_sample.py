"""The Fisher diagonal of a torch module together with the norm of each probe's gradient.

The norms say how many probes the mean rests on, and `fimtiers.networks.module_fisher`, which sums
squares without forming gradients, does not know them. Here the gradients of a chunk of probes are
formed, in the precision of the module, then squared and added in double precision.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from fimtiers import torch_generators
from fimtiers.networks.modules import Draw, Loss
from fimtiers.networks.unit_counts import count_units
from fimtiers.partial_probes import partial_counts, stretches
from fimtiers.progress import track
from fimtiers.records import FisherDiagonal, State

ELEMENTS_PER_CHUNK = 2**24
"""Probes are taken in chunks whose gradients hold this many numbers: 64 MiB in float32."""


def fisher_with_gradient_norms(
    state: State, modules: Sequence[nn.Module], loss: Loss, draw: Draw, probes: int
) -> FisherDiagonal:
    """Do as `fisher_of_modules`, with more diagnostics.

    Parameters
    ----------
    state, modules, loss, draw, probes
        As in `fimtiers.networks.module_fisher.fisher_of_modules`; here the module and the loss
        get one probe at a time, without the first axis.

    Returns
    -------
    FisherDiagonal
        With diagnostics per seed: ``probe_loss``, the mean loss; ``squared_gradient_norm``, the
        squared norm m_n of each probe's gradient; and from it ``largest_probe_share``,
        max m / Σ m, and ``effective_probes``, (Σ m)² / Σ m². A mean that rests on a few effective
        probes has not converged.
    """
    streams = torch_generators.unpack(state.fixed["generator"])
    drawn = [draw(stream, probes) for stream in streams]
    sums = [
        sum_squared_gradients(module, loss, x) for module, x in zip(modules, drawn, strict=True)
    ]
    mass = np.stack([s.squared_norms for s in sums])
    total = mass.sum(axis=1)
    return FisherDiagonal(
        fim=np.stack([s.squares for s in sums]) / probes,
        partial={
            count: np.stack([s.partial[count] for s in sums]) / count
            for count in partial_counts(probes)
        },
        tensors=state.tensors,
        probes=probes,
        estimator="exact backpropagation, one gradient per probe",
        definition="loss",
        diagnostics={
            "probe_loss": (("seed",), np.array([s.loss for s in sums]) / probes),
            "squared_gradient_norm": (("seed", "probe"), mass),
            "largest_probe_share": (("seed",), mass.max(axis=1) / total),
            "effective_probes": (("seed",), total**2 / (mass**2).sum(axis=1)),
            **count_units(modules, drawn),
        },
    )


@dataclass(frozen=True)
class SquaredGradients:
    """Sums over probes of squared gradients.

    Attributes
    ----------
    squares
        Σ_n (∂ℓ_n/∂θ_i)², float64, shape (parameter,).
    squared_norms
        Σ_i (∂ℓ_n/∂θ_i)², float64, shape (probe,).
    loss
        Σ_n ℓ_n.
    partial
        The squares summed over the first probes alone, by their number.
    """

    squares: NDArray[np.float64]
    squared_norms: NDArray[np.float64]
    loss: float
    partial: Mapping[int, NDArray[np.float64]]


def sum_squared_gradients(module: nn.Module, loss: Loss, probes: Tensor) -> SquaredGradients:
    """Sum the squared gradients of ℓ_n = loss(module(probe_n), probe_n).

    Parameters
    ----------
    module
        Without state that changes when it is called.
    loss
        Loss of one probe.
    probes
        Shape (probe, ...).
    """
    parameters = _parameters(module)
    squares = {
        name: value.new_zeros(value.shape, dtype=torch.float64)
        for name, value in parameters.items()
    }
    squared_norms = torch.zeros(len(probes), dtype=torch.float64)
    total_loss = 0.0
    per_probe = _per_probe(module, loss)
    size = max(1, ELEMENTS_PER_CHUNK // sum(value.numel() for value in parameters.values()))
    partial = {}
    starts = [n for first, last in stretches(len(probes)) for n in range(first, last, size)]
    stops = [*starts[1:], len(probes)]
    chunks = list(zip(starts, stops, strict=True))
    for start, stop in track(chunks, len(chunks), f"groups of {size} probes"):
        chunk, norms = probes[start:stop], squared_norms[start:stop]
        gradients, losses = per_probe(parameters, chunk)
        total_loss += losses.double().sum().item()
        for name, gradient in gradients.items():
            squared = gradient.double().square()
            squares[name] += squared.sum(0)
            norms += squared.flatten(1).sum(1)
        if stop in partial_counts(len(probes)) or stop == len(probes):
            partial[stop] = torch.cat([value.flatten() for value in squares.values()]).numpy()
    flat = partial.pop(len(probes))
    return SquaredGradients(flat, squared_norms.numpy(), total_loss, partial)


def per_probe_gradients(module: nn.Module, loss: Loss, probes: Tensor) -> Tensor:
    """Return ∂ℓ_n/∂θ_i, shape (probe, parameter), in the precision of the module.

    Arguments as `sum_squared_gradients`; all gradients are kept, so this is for few probes.
    """
    gradients, _ = _per_probe(module, loss)(_parameters(module), probes)
    return torch.cat([gradient.flatten(1) for gradient in gradients.values()], dim=1)


def _parameters(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in module.named_parameters()}


def _per_probe(
    module: nn.Module, loss: Loss
) -> Callable[[dict[str, Tensor], Tensor], tuple[dict[str, Tensor], Tensor]]:
    """Return a function of parameters and probes that gives all gradients and losses."""

    def probe_loss(values: dict[str, Tensor], probe: Tensor) -> Tensor:
        return loss(functional_call(module, values, (probe,)), probe)

    return vmap(grad_and_value(probe_loss), in_dims=(None, 0))
