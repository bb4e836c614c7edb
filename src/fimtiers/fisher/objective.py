"""Whose gradients are squared: losses at given labels, at drawn labels, or expected ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fimtiers.fisher.likelihoods import Likelihood

KINDS = ("empirical", "mc", "exact")
UNITS = ("sequence", "token")

PerSampleLoss = Callable[[Any, Any], Tensor]
"""Maps (outputs, targets) to losses of shape (sample,), or (sample, token)."""


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
    """

    loss: PerSampleLoss | Likelihood
    kind: str = "empirical"
    unit: str = "sequence"
    draws: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r}; allowed: {', '.join(KINDS)}")
        if self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r}; allowed: {', '.join(UNITS)}")
        self._likelihood = self.loss if isinstance(self.loss, Likelihood) else None
        if self.kind != "empirical" and self._likelihood is None:
            raise TypeError(
                f"kind {self.kind!r} needs a likelihood, such as Categorical() or Gaussian(); "
                f"got {self.loss!r}, which says nothing about labels other than those given"
            )
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
        return self._likelihood.draw(outputs, self.draws, self.generator)

    def losses(self, outputs: Any, labels: Any) -> tuple[Sequence[Tensor], int]:
        """Return the quantities whose gradients are squared.

        Returns
        -------
        sequence of Tensor
            One per backward pass, shape (sample,).
        int
            How many samples each sample counts for in the mean.
        """
        if self.kind == "exact":
            assert self._likelihood is not None
            scores = self._likelihood.token_scores(outputs)
            tokens = scores.shape[1]
            if self.unit == "token":
                return scores.flatten(1).unbind(1), tokens
            return (scores.flatten(1) / tokens).unbind(1), 1
        if self.kind == "mc":
            # Kept apart, so that the backward pass of one draw does not visit the others.
            losses = [
                x for n in range(self.draws) for x in self._at(outputs, labels[:, n]).unbind(1)
            ]
        else:
            losses = list(self._at(outputs, labels).unbind(1))
        return losses, len(losses)

    def _at(self, outputs: Any, targets: Any) -> Tensor:
        if self._likelihood is not None:
            losses = self._likelihood.token_losses(outputs, targets)
            return losses if self.unit == "token" else losses.mean(1, keepdim=True)
        losses = self.loss(outputs, targets)  # type: ignore[operator]
        expected = 2 if self.unit == "token" else 1
        if losses.ndim != expected:
            shape = "(sample, token)" if self.unit == "token" else "(sample,)"
            raise ValueError(
                f"the loss has shape {tuple(losses.shape)}; unit {self.unit!r} needs {shape}: "
                "do not reduce over samples"
            )
        return losses if self.unit == "token" else losses.unsqueeze(1)
