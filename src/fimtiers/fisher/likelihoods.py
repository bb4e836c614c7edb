"""Likelihoods whose labels the engine can draw or sum over."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the usual name


@runtime_checkable
class Likelihood(Protocol):
    """Probability of labels given outputs of shape (sample, token …, component).

    Tokens are independent given the inputs. Outputs of shape (sample, component) have one token.
    """

    def token_losses(self, outputs: Any, targets: Any) -> Tensor:
        """Return −log p of each token up to a constant, shape (sample, token)."""

    def draw(self, outputs: Any, draws: int, generator: np.random.Generator) -> Tensor:
        """Draw sets of targets from the model, shape (sample, draw, …), without gradient.

        Random numbers are taken sample by sample, so that batching does not change them.
        """

    def token_scores(self, outputs: Any) -> Tensor:
        """Return s, shape (sample, token, component), with Σ_c (∂s_c)² the token's Fisher."""


def _values(outputs: Any) -> Tensor:
    """Return outputs as (sample, token, component); Hugging Face outputs give their logits."""
    values = outputs if isinstance(outputs, Tensor) else outputs.logits
    return values.reshape(values.shape[0], -1, values.shape[-1])


@dataclass(frozen=True)
class Categorical:
    """Classes with probabilities softmax(outputs); targets are class numbers."""

    def token_losses(self, outputs: Any, targets: Any) -> Tensor:
        """Return the cross entropy of each token, shape (sample, token)."""
        logits = _values(outputs)
        return F.cross_entropy(
            logits.transpose(1, 2), targets.reshape(logits.shape[:2]), reduction="none"
        )

    def draw(self, outputs: Any, draws: int, generator: np.random.Generator) -> Tensor:
        """Draw classes by inversion, one uniform number each; shape (sample, draw, token)."""
        logits = _values(outputs).detach()
        samples, tokens, classes = logits.shape
        uniform = torch.from_numpy(generator.random((samples, draws, tokens))).to(logits.device)
        cumulative = logits.double().softmax(-1).cumsum(-1)
        drawn = torch.searchsorted(cumulative, uniform.transpose(1, 2).contiguous())
        return drawn.clamp(max=classes - 1).transpose(1, 2)

    def token_scores(self, outputs: Any) -> Tensor:
        """Return √p_c log p_c with √p_c held fixed."""
        log_p = _values(outputs).log_softmax(-1)
        return log_p.detach().mul(0.5).exp() * log_p


@dataclass(frozen=True)
class Gaussian:
    """Normal distribution around the outputs.

    Attributes
    ----------
    scale
        Standard deviation, in the units of the outputs.
    """

    scale: float = 1.0

    def token_losses(self, outputs: Any, targets: Any) -> Tensor:
        """Return ½ Σ_c (y_c − f_c)² / scale², shape (sample, token)."""
        mean = _values(outputs)
        return ((targets.reshape(mean.shape) - mean) / self.scale).square().sum(-1) / 2

    def draw(self, outputs: Any, draws: int, generator: np.random.Generator) -> Tensor:
        """Draw f + scale · z, shape (sample, draw, token, component)."""
        mean = _values(outputs).detach().unsqueeze(1)
        samples, _, *rest = mean.shape
        noise = torch.from_numpy(generator.standard_normal((samples, draws, *rest)))
        return mean + self.scale * noise.to(mean)

    def token_scores(self, outputs: Any) -> Tensor:
        """Return f_c / scale."""
        return _values(outputs) / self.scale
