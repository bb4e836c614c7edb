"""The Fisher diagonals of torch modules, one per seed, from the engine of `fimtiers.fisher`."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from fimtiers import fisher, torch_generators
from fimtiers.networks.modules import Draw, Loss
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
        The diagnostic ``probe_loss`` is the mean loss of the probes.
    """
    streams = torch_generators.unpack(state.fixed["generator"])
    rows, losses = [], []
    pairs = zip(modules, streams, strict=True)
    for module, stream in track(pairs, len(streams), "seeds"):
        x = draw(stream, probes)
        rows.append(fisher.diagonal(module, loss, (x, x)).flat().numpy())
        with torch.no_grad():
            losses.append(loss(module(x), x).double().mean().item())
    return FisherDiagonal(
        fim=np.stack(rows),
        tensors=state.tensors,
        probes=probes,
        estimator="exact backpropagation, squares summed per probe",
        definition="loss",
        diagnostics={"probe_loss": (("seed",), np.array(losses))},
    )
