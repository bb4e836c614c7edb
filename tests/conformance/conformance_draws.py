"""What Hypothesis draws: numbers of samples, lengths of axes, batches, and the first samples."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from conformance_problem import LOSSES
from hypothesis import strategies as st
from torch import Tensor

Choice = TypeVar("Choice")

SAMPLES = (1, 2, 3, 4, 5)
"""Numbers of samples."""

FRONTS = ("distinct", "twins", "alike", "zeros", "masked", "first masked")
"""What the first two samples are: ordinary, equal, equal in all tokens, of nothing, without loss,
one of them without."""


class Draws:
    """Draws the parts of a problem; an axis is as likely as not as long as another one.

    Parameters
    ----------
    draw
        Of Hypothesis.

    Attributes
    ----------
    samples
        Number of samples.
    """

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw
        self.samples: int = draw(st.sampled_from(SAMPLES))
        self._generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))

    def choice(self, *options: Choice) -> Choice:
        return self._draw(st.sampled_from(options))

    def yes(self) -> bool:
        return self._draw(st.booleans())

    def length(self, least: int = 1) -> int:
        """Draw the length of an axis: 1, 2, 3, the number of samples, one more, or the least."""
        lengths = {max(least, n) for n in (1, 2, 3, self.samples, self.samples + 1)}
        return self.choice(*sorted(lengths))

    def tokens(self) -> int:
        """Draw a number of tokens, often two: samples are told apart by two of them."""
        return self.choice(2, 2, self.length())

    def normal(self, *shape: int) -> Tensor:
        """Return normal numbers in float64."""
        return torch.randn(shape, generator=self._generator, dtype=torch.float64)

    def below(self, most: int, *shape: int) -> Tensor:
        """Return whole numbers less than `most`."""
        return torch.randint(most, shape, generator=self._generator)

    def front(self, tensors: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return tensors whose first two samples may be special, and the weights of all."""
        weights = 1 + torch.rand(self.samples, generator=self._generator, dtype=torch.float64)
        front = self.choice(*FRONTS)
        if front in ("twins", "alike", "zeros"):
            tensors = [torch.cat([_special(x, front), x[2:]]) for x in tensors]
            weights[:2] = weights[0]
        weights[: {"masked": 2, "first masked": 1}.get(front, 0)] = 0
        return tuple(tensors), weights

    def loss(self) -> Callable[[Any, Tensor], Tensor]:
        return LOSSES[self.choice("uneven", "uneven", "even")]

    def batch_sizes(self) -> list[int]:
        """Draw sizes of batches, even or not."""
        sizes: list[int] = []
        while (left := self.samples - sum(sizes)) > 0:
            sizes.append(self.choice(1, min(2, left), left))
        return sizes

    def micro_batch(self) -> int:
        return self.choice(1, 2, 2, 3, self.samples)


def _special(tensor: Tensor, front: str) -> Tensor:
    """Return what the first two samples are instead."""
    two = tensor[:2]
    if front == "zeros":
        return torch.zeros_like(two)
    token = two[:1, :1] if front == "alike" and two.ndim > 1 else two[:1]
    return token.expand_as(two)
