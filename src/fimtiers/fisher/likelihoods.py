"""Likelihoods whose labels the engine can draw or sum over."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the usual name

IMAGE = 4
"""Outputs with this many axes or more are images, whose classes lie along axis 1."""


@runtime_checkable
class Likelihood(Protocol):
    """Probability of labels given outputs of shape (sample, token …, component).

    Tokens are independent given the inputs. Outputs of shape (sample, component) have one token.
    A likelihood may also have ``counts(outputs, targets)``, which returns a boolean tensor of shape
    (sample, token), False for tokens without a label, or None if all have one.
    """

    def token_losses(self, outputs: Any, targets: Any) -> Tensor:
        """Return −log p of each token up to a constant, shape (sample, token)."""

    def draw(self, outputs: Any, draws: int, generator: np.random.Generator) -> Tensor:
        """Draw sets of targets from the model, shape (sample, draw, …), without gradient.

        Random numbers are taken sample by sample, so that batching does not change them.
        """

    def token_scores(self, outputs: Any) -> Tensor:
        """Return s, shape (sample, token, component), with Σ_c (∂s_c)² the token's Fisher."""


def tensor_of(outputs: Any) -> Tensor:
    """Return outputs that are a tensor, or the logits of those of Hugging Face models.

    Raises
    ------
    TypeError
        If they are neither.
    """
    if isinstance(outputs, Tensor):
        return outputs
    logits = getattr(outputs, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    raise TypeError(
        f"the model returns a {type(outputs).__name__}; a likelihood needs a tensor or an object "
        "with logits: wrap the model so that it returns one"
    )


def _values(outputs: Any) -> Tensor:
    """Return outputs as (sample, token, component); those of shape (sample,) have one of each."""
    values = tensor_of(outputs)
    if values.ndim == 1:
        return values.reshape(-1, 1, 1)
    return values.flatten(1, -2) if values.ndim > 2 else values.unsqueeze(1)


@dataclass(frozen=True)
class Categorical:
    """Classes with probabilities softmax(outputs); targets are class numbers.

    A single logit f stands for two classes, with logits 0 and f, as in logistic regression.

    Attributes
    ----------
    axis
        Axis of the classes in the outputs. By default the last of (sample, class) and
        (sample, token, class), and axis 1 of images and volumes, (sample, class, height, width),
        as `torch.nn.functional.cross_entropy` has it.
    ignore_index
        Label of tokens without a label: they count neither in the mean over tokens nor in the
        number of samples, and none are drawn there.
    shift
        Whether token t predicts the label of token t + 1, as in causal language models. The last
        token predicts none and the first label is not predicted.
    """

    axis: int | None = None
    ignore_index: int = -100
    shift: bool = False

    def token_losses(self, outputs: Any, targets: Any) -> Tensor:
        """Return the cross entropy of each token, zero without a label; shape (sample, token)."""
        logits = self._logits(outputs, targets)
        return F.cross_entropy(
            logits.transpose(1, 2),
            self._labels(logits, targets),
            reduction="none",
            ignore_index=self.ignore_index,
        )

    def counts(self, outputs: Any, targets: Any) -> Tensor | None:
        """Return which tokens have a label, shape (sample, token); None without targets."""
        if not isinstance(targets, Tensor):
            return None
        return self._labels(self._logits(outputs, targets), targets) != self.ignore_index

    def draw(self, outputs: Any, draws: int, generator: np.random.Generator) -> Tensor:
        """Draw classes by inversion, one uniform number each; shape (sample, draw, token)."""
        logits = self._logits(outputs).detach()
        samples, tokens, classes = logits.shape
        uniform = torch.from_numpy(generator.random((samples, draws, tokens))).to(logits.device)
        cumulative = logits.double().softmax(-1).cumsum(-1)
        drawn = torch.searchsorted(cumulative, uniform.transpose(1, 2).contiguous())
        drawn = drawn.clamp(max=classes - 1).transpose(1, 2)
        return F.pad(drawn, (1, 0), value=self.ignore_index) if self.shift else drawn

    def token_scores(self, outputs: Any) -> Tensor:
        """Return √p_c log p_c with √p_c held fixed."""
        log_p = self._logits(outputs).log_softmax(-1)
        return log_p.detach().mul(0.5).exp() * log_p

    def _logits(self, outputs: Any, targets: Any = None) -> Tensor:
        """Return logits as (sample, token, class), without the last token of a causal model.

        Raises
        ------
        ValueError
            If there is no axis of classes, or it cannot be told.
        """
        values = tensor_of(outputs)
        if values.ndim < 2:
            raise ValueError(
                f"outputs of shape {tuple(values.shape)} have no axis of classes; for labels 0 and "
                "1 given one logit use Bernoulli()"
            )
        if self.axis is None and isinstance(outputs, Tensor) and isinstance(targets, Tensor):
            self._refuse_ambiguous(values, targets)
        axis = self.axis
        if axis is None:
            axis = 1 if values.ndim >= IMAGE else -1
        logits = _values(values.movedim(axis, -1))
        if logits.shape[-1] == 1:
            logits = F.pad(logits, (1, 0))
        return logits[:, :-1] if self.shift else logits

    @staticmethod
    def _refuse_ambiguous(values: Tensor, targets: Tensor) -> None:
        if values.ndim == 3 and values.shape[1] == values.shape[2] == targets.shape[-1] > 1:
            raise ValueError(
                f"outputs of shape {tuple(values.shape)} and targets of shape "
                f"{tuple(targets.shape)} do not show which axis is the class; say "
                "Categorical(axis=-1) or Categorical(axis=1)"
            )

    def _labels(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return targets as (sample, token), those that the logits predict."""
        samples, tokens = logits.shape[:2]
        labels = targets.flatten(1) if targets.ndim > 1 else targets.unsqueeze(1)
        labels = labels[:, 1:] if self.shift else labels
        if labels.shape != (samples, tokens):
            raise ValueError(
                f"targets of shape {tuple(targets.shape)} do not fit logits of {samples} samples, "
                f"{tokens} tokens and {logits.shape[2]} classes; Categorical(axis=…) says which "
                "axis of the outputs is the class"
            )
        return labels


@dataclass(frozen=True)
class Bernoulli:
    """Independent labels 0 and 1 with probability sigmoid(outputs) of 1, one per output.

    Targets have the shape of the outputs. The components of a token are labelled together.
    """

    def token_losses(self, outputs: Any, targets: Any) -> Tensor:
        """Return Σ_c −log p(y_c), shape (sample, token)."""
        logits = _values(outputs)
        labels = _shaped(targets, logits).to(logits.dtype)
        losses = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return losses.sum(-1)

    def draw(self, outputs: Any, draws: int, generator: np.random.Generator) -> Tensor:
        """Draw labels by one uniform number each; shape (sample, draw, token, component)."""
        p = _values(outputs).detach().sigmoid().unsqueeze(1)
        samples, _, *rest = p.shape
        uniform = torch.from_numpy(generator.random((samples, draws, *rest)))
        return (uniform.to(p.device) < p.double()).to(p.dtype)

    def token_scores(self, outputs: Any) -> Tensor:
        """Return √(p_c (1 − p_c)) f_c with the factor held fixed."""
        logits = _values(outputs)
        p = logits.detach().sigmoid()
        return (p * (1 - p)).sqrt() * logits


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
        return ((_shaped(targets, mean) - mean) / self.scale).square().sum(-1) / 2

    def draw(self, outputs: Any, draws: int, generator: np.random.Generator) -> Tensor:
        """Draw f + scale · z, shape (sample, draw, token, component)."""
        mean = _values(outputs).detach().unsqueeze(1)
        samples, _, *rest = mean.shape
        noise = torch.from_numpy(generator.standard_normal((samples, draws, *rest)))
        return mean + self.scale * noise.to(mean)

    def token_scores(self, outputs: Any) -> Tensor:
        """Return f_c / scale."""
        return _values(outputs) / self.scale


def _shaped(targets: Tensor, values: Tensor) -> Tensor:
    """Return targets with the shape of outputs, (sample, token, component)."""
    if targets.shape[:1] != values.shape[:1] or targets.numel() != values.numel():
        raise ValueError(
            f"targets of shape {tuple(targets.shape)} do not fit outputs of "
            f"{values.shape[0]} samples, {values.shape[1]} tokens and {values.shape[2]} components"
        )
    return targets.reshape(values.shape)
