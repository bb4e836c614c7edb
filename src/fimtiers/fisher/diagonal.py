"""The Fisher diagonal of any torch model in one call."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from fimtiers.fisher.batches import Data, first_samples, micro_batches
from fimtiers.fisher.calibration import SAMPLES, Routes, add_without_rules, calibrate
from fimtiers.fisher.engine import Engine, RoutesChangedError
from fimtiers.fisher.interception import count_operations
from fimtiers.fisher.likelihoods import Likelihood
from fimtiers.fisher.objective import Objective, PerSampleLoss
from fimtiers.fisher.refusals import refuse_coupled_modules
from fimtiers.fisher.result import Diagonal
from fimtiers.fisher.sums import Sums

MEMORY = 512 << 20
"""Default bound on activations and gradients kept for a micro-batch, bytes."""

KEPT_PER_OUTPUT = 4
"""Rough number of tensors kept or made per watched output: input, gradient, activation, product."""


def diagonal(
    model: nn.Module,
    per_sample_loss: PerSampleLoss | Likelihood,
    data: Data,
    *,
    kind: str = "empirical",
    unit: str = "sequence",
    draws: int = 1,
    seed: int = 0,
    parameters: Sequence[str] | None = None,
    micro_batch: int | None = None,
    memory: int = MEMORY,
    accumulate: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
    directory: str | Path | None = None,
    check: bool = True,
) -> Diagonal:
    """Return the diagonal of the Fisher information of a model.

    F_i = (1/n) Σ_n (∂ℓ_n/∂θ_i)², the gradient of each sample's own loss, squared and averaged;
    never the square of a batch gradient. Per-sample gradients are not formed where their squares
    can be summed without, and the model is left as it is.

    Parameters
    ----------
    model
        Any module, without batch statistics or dropout in effect.
    per_sample_loss
        Maps (outputs, targets) to losses of shape (sample,), or (sample, token) if `unit` is
        ``token``; or a likelihood such as `Categorical` or `Gaussian`.
    data
        One tuple (inputs, targets), or an iterable of such pairs. Inputs are a tensor, a tuple
        (positional) or a dictionary (by keyword) of tensors whose first axis is the sample.
    kind
        ``empirical`` takes labels from the data, ``mc`` draws them from the model, ``exact``
        takes the expectation over labels. The last two need a likelihood.
    unit
        ``sequence``: a sample is what one entry of the data holds, its loss the mean over its
        tokens. ``token``: the loss of each token is a sample, at one backward pass per token.
    draws
        Sets of labels drawn per sample if `kind` is ``mc``.
    seed
        Of the generator that draws them.
    parameters
        Names of the parameters to compute; all that require gradients by default.
    micro_batch
        Largest number of samples at a time; chosen by `memory` by default.
    memory
        Bound on what is kept for a micro-batch, bytes, roughly.
    accumulate
        dtype of the sums: float64, or float32 for large models, scaled by a power of two per
        tensor so that no square underflows.
    device
        Where the sums live; that of the parameters by default.
    directory
        If given, the sums are files there, mapped into memory.
    check
        Compare with a single-sample loop on two samples first.

    Returns
    -------
    Diagonal
        Sums of squares, their number, and the route of every parameter.

    Raises
    ------
    SampleCouplingError
        If samples share statistics or the forward pass is random: batch norm or dropout in train
        mode, random operations, or losses that change with their batch mates.
    WrongRouteError
        If no route to a parameter agrees with the single-sample loop.
    ValueError, TypeError
        If an argument is not one of those allowed.
    """
    refuse_coupled_modules(model)
    objective = Objective(per_sample_loss, kind, unit, draws, seed)
    named = dict(model.named_parameters())
    names = chosen(named, parameters)
    sums = Sums(
        {name: named[name].shape for name in names},
        accumulate,
        device if device is not None else named[names[0]].device,
        None if directory is None else Path(directory),
    )
    routes, engine = calibrate(model, objective, names, first_samples(data, SAMPLES), sums, check)
    while True:
        size = micro_batch or affordable(engine, memory)
        try:
            n = _add_all(engine, routes, data, size)
            break
        except RoutesChangedError:
            # Samples met a parameter in a way that the first two did not show.
            sums.clear()
            objective.restart()
            engine = Engine(model, objective, names, routes.plan, sums)
    masks = engine.symmetry.masks() if engine.symmetry is not None else {}
    return Diagonal(
        sums.totals,
        n,
        {name: _route(engine, routes, name) for name in names},
        sums.exponents,
        masks,
        kind,
        unit,
    )


def chosen(named: dict[str, nn.Parameter], parameters: Sequence[str] | None) -> list[str]:
    """Return the names of the parameters to compute, or raise if one cannot be."""
    if parameters is None:
        names = [name for name, p in named.items() if p.requires_grad]
    else:
        names = list(parameters)
        unknown = sorted(set(names) - set(named))
        if unknown:
            raise ValueError(f"no parameters called {unknown}; the model has {sorted(named)}")
        frozen = [name for name in names if not named[name].requires_grad]
        if frozen:
            raise ValueError(f"{frozen} do not require gradients")
    if not names:
        raise ValueError("the model has no parameters that require gradients")
    return names


def affordable(engine: Engine, memory: int) -> int:
    """Return a number of samples whose outputs fit in `memory` bytes."""
    entries = sum(site.shape.numel() for site in engine.sites) / max(1, engine.samples)
    size = torch.finfo(engine.dtype(engine.names[0])).bits // 8
    return max(1, int(memory / (KEPT_PER_OUTPUT * size * max(1.0, entries))))


def _add_all(engine: Engine, routes: Routes, data: Data, size: int) -> int:
    n = 0
    engine_symmetry, engine.symmetry = engine.symmetry, None
    for inputs, targets in micro_batches(data, size):
        labels, losses, weight = engine.add((inputs, targets))
        add_without_rules(engine.model, engine.objective, (inputs, labels), routes, engine.sums)
        n += losses.shape[0] * weight
    engine.symmetry = engine_symmetry
    return n


def _route(engine: Engine, routes: Routes, name: str) -> str:
    if name in routes.looped:
        return f"loop ({routes.looped[name]})"
    if name in routes.plan.without_rule:
        return f"vmap ({routes.plan.without_rule[name]})"
    return count_operations(engine.sites, name) or "unused"
