"""Batch normalisation of one batch at a time, so that a batch can be the sample of a gradient."""

import torch
from torch import Tensor, nn

EPSILON = 1e-5
"""Added to the variance, as torch does by default."""


class BatchNorm(nn.Module):
    """(x − μ) / √(σ² + ε) ∘ scale + shift for x of shape (..., batch, unit).

    In train mode μ and σ² are mean and variance of the batch, in evaluation mode the running
    statistics. ``torch.nn.BatchNorm1d`` does the same, but also writes to its running statistics
    whenever it is called in train mode; here only `record` does.

    Parameters
    ----------
    units
        Number of units.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(units))
        self.shift = nn.Parameter(torch.zeros(units))
        self.register_buffer("mean", torch.zeros(units))
        self.register_buffer("variance", torch.ones(units))
        self.recording = False

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (..., batch, unit)."""
        if self.recording:
            self.mean, self.variance = x.mean(-2), x.var(-2)
        mean, variance = self.mean, self.variance
        if self.training:
            mean = x.mean(-2, keepdim=True)
            variance = x.var(-2, correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + EPSILON) * self.scale + self.shift


@torch.no_grad()
def calibrate(module: nn.Module, x: Tensor) -> None:
    """Set the running statistics of every `BatchNorm` in `module` to those of one large batch.

    The batch passes through the module in train mode, so each layer sees inputs that the layers
    before it have normalised; variances are unbiased.

    Parameters
    ----------
    module
        Left in the mode it was in.
    x
        Inputs, shape (batch, ...).
    """
    layers = [layer for layer in module.modules() if isinstance(layer, BatchNorm)]
    was_training = module.training
    module.train()
    for layer in layers:
        layer.recording = True
    module(x)
    for layer in layers:
        layer.recording = False
    module.train(was_training)
