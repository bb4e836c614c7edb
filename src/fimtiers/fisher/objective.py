"""Whose gradients are squared: losses at given labels, at drawn labels, or expected ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from fimtiers.fisher.likelihoods import Likelihood
from fimtiers.fisher.refusals import LossError

KINDS = ("empirical", "mc", "exact")
UNITS = ("sequence", "token")

PerSampleLoss = Callable[[Any, Any], Tensor]
"""Maps (outputs, targets) to losses of shape (sample,), or (sample, token)."""


class Masked(NamedTuple):
    """Targets of which some tokens have no label.

    Attributes
    ----------
    targets
        As the likelihood takes them, or None.
    mask
        Boolean, shape (sample, token): whether the token counts.
    """

    targets: Any
    mask: Tensor


class OwnLossError(Exception):
    """The loss is what the model itself computed, an average over the batch it was given."""


@dataclass
class Objective:
    """Makes of outputs and targets the quantities whose squared gradients are summed.

    Attributes
    ----------
    loss
        A loss per sample or per token, or a likelihood.
    kind
        ``empirical``: labels from the data. ``mc``: labels drawn from the model. ``exact``: the
        expectation over labels.
    unit
        ``sequence``: a sample's loss is the mean over its tokens. ``token``: every token's loss
        counts as a sample.
    draws
        Sets of labels drawn per sample, for ``mc``.
    seed
        Of the generator that draws them.
    flattened
        Whether `loss` returns the losses of all tokens in one axis, (sample · token,), those of a
        sample one after the other.
    """

    loss: PerSampleLoss | Likelihood
    kind: str = "empirical"
    unit: str = "sequence"
    draws: int = 1
    seed: int = 0
    flattened: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r}; allowed: {', '.join(KINDS)}")
        if self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r}; allowed: {', '.join(UNITS)}")
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}; expected at least 1")
        self._likelihood = self.loss if isinstance(self.loss, Likelihood) else None
        if self.kind != "empirical" and self._likelihood is None:
            raise TypeError(
                f"kind {self.kind!r} needs a likelihood, such as Categorical() or Gaussian(); "
                f"got {self.loss!r}, which says nothing about labels other than those given"
            )
        if self._likelihood is None and not callable(self.loss):
            raise TypeError(f"the loss is a {type(self.loss).__name__}; expected a function")
        if self.flattened and self._likelihood is not None:
            raise ValueError("flattened=True is for losses; a likelihood knows its tokens")
        self.restart()

    def restart(self) -> None:
        """Begin the stream of random labels again."""
        if self.kind == "mc":
            self.generator = np.random.default_rng(self.seed)

    def labels(self, outputs: Any, targets: Any) -> Any:
        """Return the labels to take losses at, drawn if the kind asks for it."""
        if self.kind != "mc":
            return targets
        assert self._likelihood is not None
        drawn = self._likelihood.draw(outputs, self.draws, self.generator)
        mask = self._mask(outputs, targets)
        return drawn if mask is None else Masked(drawn, mask)

    def losses(self, outputs: Any, labels: Any, samples: int) -> Sequence[Tensor]:
        """Return the quantities whose gradients are squared.

        Parameters
        ----------
        outputs
            Of the model.
        labels
            From `labels`.
        samples
            Number of samples in the batch.

        Returns
        -------
        sequence of Tensor
            One per backward pass, shape (sample,).

        Raises
        ------
        LossError
            If the loss is not one number per sample, or per token.
        OwnLossError
            If the loss is that of the outputs, which averages over several samples.
        """
        if self.kind == "exact":
            assert self._likelihood is not None
            scores = self._likelihood.token_scores(outputs)
            mask = self._mask(outputs, labels)
            if mask is not None:
                scores = scores.where(mask.unsqueeze(2), 0.0)
            if self.unit == "token":
                return scores.flatten(1).unbind(1)
            tokens = scores.shape[1] if mask is None else _labelled(mask)[:, None, None]
            return (scores / tokens).flatten(1).unbind(1)
        if self.kind == "mc":
            drawn, mask = labels if isinstance(labels, Masked) else (labels, None)
            # Kept apart, so that the backward pass of one draw does not visit the others.
            return [
                x
                for n in range(self.draws)
                for x in self._likely(outputs, drawn[:, n], mask).unbind(1)
            ]
        if self._likelihood is not None:
            targets = labels.targets if isinstance(labels, Masked) else labels
            return self._likely(outputs, targets, self._mask(outputs, labels)).unbind(1)
        return self._own(outputs, labels, samples).unbind(1)

    def count(self, outputs: Any, labels: Any, losses: Sequence[Tensor], samples: int) -> int:
        """Return how many samples, tokens or draws a batch counts for in the mean.

        Tokens without a label do not count, nor do samples none of whose tokens has one.
        """
        if self._likelihood is None:
            return samples * len(losses)
        passes = self.draws if self.kind == "mc" else 1
        drawn = self.kind == "mc" and isinstance(labels, Masked)
        mask = labels.mask if drawn else None if self.kind == "mc" else self._mask(outputs, labels)
        if mask is not None:
            mask = mask[:samples]
            return passes * int(mask.sum() if self.unit == "token" else mask.any(1).sum())
        if self.unit == "sequence":
            return samples * passes
        if self.kind == "exact":
            return samples * self._likelihood.token_scores(outputs).shape[1]
        return samples * len(losses)

    def _mask(self, outputs: Any, targets: Any) -> Tensor | None:
        """Return which tokens have a label, shape (sample, token); None if all have."""
        assert self._likelihood is not None
        given, mask = targets if isinstance(targets, Masked) else (targets, None)
        counts = getattr(self._likelihood, "counts", None)
        labelled = None if counts is None else counts(outputs, given)
        if mask is None or labelled is None:
            return labelled if mask is None else mask.bool()
        return mask.bool() & labelled

    def _likely(self, outputs: Any, targets: Any, mask: Tensor | None) -> Tensor:
        """Return −log p, shape (sample, token) or (sample, 1) by the unit."""
        assert self._likelihood is not None
        losses = self._likelihood.token_losses(outputs, targets)
        if self.unit == "token":
            return losses if mask is None else losses.where(mask, 0.0)
        if mask is None:
            return losses.mean(1, keepdim=True)
        return (losses.where(mask, 0.0).sum(1) / _labelled(mask)).unsqueeze(1)

    def _own(self, outputs: Any, targets: Any, samples: int) -> Tensor:
        """Return what the loss gives, shape (sample, token) or (sample, 1) by the unit."""
        losses: Tensor = self.loss(outputs, targets)  # type: ignore[operator]
        if not isinstance(losses, Tensor):
            raise TypeError(f"the loss returns a {type(losses).__name__}; expected a tensor")
        own = getattr(outputs, "loss", None)
        if losses.ndim == 0 and losses is own and self.unit != "token":
            if samples > 1:
                raise OwnLossError
            losses = losses.unsqueeze(0)
        if self.flattened:
            if losses.ndim != 1 or len(losses) % samples:
                raise LossError(
                    f"the loss has shape {tuple(losses.shape)} for {samples} samples; "
                    "flattened=True needs (sample · token,)"
                )
            losses = losses.unflatten(0, (samples, -1))
            return losses if self.unit == "token" else losses.mean(1, keepdim=True)
        expected = 2 if self.unit == "token" else 1
        if losses.ndim != expected or len(losses) != samples:
            shape = "(sample, token)" if self.unit == "token" else "(sample,)"
            raise LossError(
                f"the loss has shape {tuple(losses.shape)} for {samples} samples; unit "
                f"{self.unit!r} needs {shape}: do not reduce over samples; losses of all tokens "
                "in one axis need flattened=True"
            )
        return losses if self.unit == "token" else losses.unsqueeze(1)


def _labelled(mask: Tensor) -> Tensor:
    """Return the number of tokens with a label of each sample, at least 1, shape (sample,)."""
    return mask.sum(1).clamp(min=1)
