"""The Fisher diagonals of torch modules, one per seed, from the engine of `fimtiers.fisher`."""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fimtiers import fisher, torch_generators
from fimtiers.networks.modules import Draw, Loss
from fimtiers.networks.unit_counts import count_units
from fimtiers.partial_probes import stretches
from fimtiers.progress import track
from fimtiers.records import FisherDiagonal, State


def fisher_of_modules(
    state: State, modules: Sequence[nn.Module], loss: Loss, draw: Draw, probes: int
) -> FisherDiagonal:
    """Average the squared gradients over the probes that follow in each seed's stream.

    Parameters
    ----------
    state
        With the streams.
    modules
        One per seed, with the parameters of `state` in its order.
    loss
        Losses of probes.
    draw
        Draws the probes of one seed.
    probes
        Number of probes.

    Returns
    -------
    FisherDiagonal
        The diagnostic ``probe_loss`` is the mean loss of the probes; those that begin with
        ``unit_`` are counts of hidden units, see `fimtiers.networks.unit_counts`.
    """
    streams = torch_generators.unpack(state.fixed["generator"])
    rows: dict[int, list[NDArray[np.float64]]] = {}
    losses, drawn = [], []
    # One copy takes the parameters of each module in turn, so that it is prepared for once.
    running = copy.deepcopy(modules[0])
    extract = fisher.Extractor(running, loss)
    pairs = zip(modules, streams, strict=True)
    for module, stream in track(pairs, len(streams), "seeds"):
        x = draw(stream, probes)
        drawn.append(x)
        _copy_parameters(module, running)
        for count, diagonal in _running_means(extract, x):
            rows.setdefault(count, []).append(diagonal.flat().numpy())
        with torch.no_grad():
            losses.append(loss(module(x), x).double().mean().item())
    partial = {count: np.stack(diagonals) for count, diagonals in rows.items()}
    return FisherDiagonal(
        fim=partial.pop(probes),
        tensors=state.tensors,
        probes=probes,
        estimator="exact backpropagation, squares summed per probe",
        definition="loss",
        diagnostics={
            "probe_loss": (("seed",), np.array(losses)),
            **count_units(modules, drawn),
        },
        partial=partial,
    )


@torch.no_grad()
def _copy_parameters(source: nn.Module, target: nn.Module) -> None:
    for theirs, own in zip(source.parameters(), target.parameters(), strict=True):
        own.copy_(theirs)


def _running_means(extract: fisher.Extractor, x: Tensor) -> Iterator[tuple[int, fisher.Diagonal]]:
    """Yield numbers of first probes and the diagonal of these, all of them at last."""
    total = None
    for first, last in stretches(len(x)):
        part = x[first:last]
        diagonal = extract((part, part))
        total = diagonal if total is None else total.merge(diagonal)
        yield last, total
