"""The Fisher diagonal of a torch module together with the norm of each probe's gradient.

The norms say how many probes the mean rests on, and `fimtiers.networks.module_fisher`, which sums
squares without forming gradients, does not know them. Here the gradients of a few probes at a time
are formed, in the precision of the module, then squared and added in double precision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fimtiers import torch_generators
from fimtiers.networks.gradient_factors import gradient_factors
from fimtiers.networks.modules import Draw, Loss
from fimtiers.networks.unit_counts import count_units
from fimtiers.partial_probes import partial_counts, stretches
from fimtiers.progress import track
from fimtiers.records import FisherDiagonal, State

PROBES_PER_PASS = 50
"""So many probes go through the module at once; their activations stay in memory."""

ELEMENTS_PER_CHUNK = 2**18
"""Gradients are formed so many numbers at a time: with their squares 3 MiB, which caches hold."""


def fisher_with_gradient_norms(
    state: State, modules: Sequence[nn.Module], loss: Loss, draw: Draw, probes: int
) -> FisherDiagonal:
    """Do as `fisher_of_modules`, with more diagnostics.

    Parameters
    ----------
    state, modules, loss, draw, probes
        As in `fimtiers.networks.module_fisher.fisher_of_modules`; here the parameters belong to
        linear layers and to `fimtiers.networks.batch_norm.BatchNorm`.

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
    module, loss, probes
        As in `fimtiers.networks.gradient_factors.gradient_factors`.
    """
    squares = {
        name: value.new_zeros(value.numel(), dtype=torch.float64)
        for name, value in module.named_parameters()
    }
    squared_norms = torch.zeros(len(probes), dtype=torch.float64)
    total_loss = 0.0
    partial = {}
    starts = [n for a, b in stretches(len(probes)) for n in range(a, b, PROBES_PER_PASS)]
    stops = [*starts[1:], len(probes)]
    passes = list(zip(starts, stops, strict=True))
    for start, stop in track(passes, len(passes), f"groups of {PROBES_PER_PASS} probes"):
        factors, losses = gradient_factors(module, loss, probes[start:stop])
        total_loss += losses.double().sum().item()
        norms = squared_norms[start:stop]
        for name, factor in factors.items():
            for chosen, gradients in factor.split(ELEMENTS_PER_CHUNK):
                squared = gradients.double().square_()
                squares[name] += squared.sum(0)
                norms[chosen] += squared.sum(1)
        if stop in partial_counts(len(probes)) or stop == len(probes):
            partial[stop] = torch.cat(list(squares.values())).numpy()
    flat = partial.pop(len(probes))
    return SquaredGradients(flat, squared_norms.numpy(), total_loss, partial)


def per_probe_gradients(module: nn.Module, loss: Loss, probes: Tensor) -> Tensor:
    """Return ∂ℓ_n/∂θ_i, shape (probe, parameter), in the precision of the module.

    Arguments as `sum_squared_gradients`; all gradients are kept, so this is for few probes.
    """
    factors, _ = gradient_factors(module, loss, probes)
    blocks = [
        torch.cat([gradients for _, gradients in factor.split(ELEMENTS_PER_CHUNK)])
        for factor in factors.values()
    ]
    return torch.cat(blocks, dim=1)
