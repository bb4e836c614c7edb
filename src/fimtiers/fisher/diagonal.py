"""The Fisher diagonal of any torch model in one call."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from fimtiers.fisher.batches import Data
from fimtiers.fisher.extractor import Extractor
from fimtiers.fisher.likelihoods import Likelihood
from fimtiers.fisher.objective import PerSampleLoss
from fimtiers.fisher.result import Diagonal


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
    memory: int | None = None,
    accumulate: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
    directory: str | Path | None = None,
    check: bool = True,
    flattened: bool = False,
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
        ``token``; or a likelihood such as `Categorical`, `Bernoulli` or `Gaussian`. The average
        that a model computes itself, ``outputs.loss``, is taken sample by sample.
    data
        One tuple (inputs, targets), or an iterable of such pairs. Inputs are a tensor, a tuple
        (positional) or a mapping (by keyword) of tensors whose first axis is the sample. A batch
        that is one mapping with ``labels`` inside, as from a Hugging Face loader, is a pair too.
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
        Bound on what is kept for a micro-batch, bytes, roughly; by default what the sums take,
        but at least 512 MiB and at most 2 GiB.
    accumulate
        dtype of the sums: float64, or float32 for large models, scaled by a power of two per
        tensor so that no square underflows.
    device
        Where the sums live; that of the parameters by default.
    directory
        If given, the sums are files there, mapped into memory.
    check
        Compare the squares of the first and the last sample of the first batch with a
        single-sample loop, and losses in each batch larger than those before.
    flattened
        Whether the loss returns (sample · token,), all tokens of a sample one after the other.

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
    extract = Extractor(
        model, per_sample_loss, kind=kind, unit=unit, draws=draws, seed=seed,
        parameters=parameters, micro_batch=micro_batch, memory=memory, accumulate=accumulate,
        device=device, check=check, flattened=flattened,
    )  # fmt: skip
    return extract(data, directory=directory)
