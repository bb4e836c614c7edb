"""What runs the layers of a chain."""

from typing import Protocol

from torch import Tensor

from fimtiers.fisher.links import Links
from fimtiers.fisher.sums import Sums


class Runner(Protocol):
    """Forward and backward passes of some networks of a chain at a time.

    What is kept for the backward pass lies in buffers that are used again and again.

    Parameters
    ----------
    links
        The chain.
    names
        Parameters to compute.

    Attributes
    ----------
    entries
        What is kept for a sample, numbers.
    """

    entries: int

    def __init__(self, links: Links, names: frozenset[str]) -> None: ...

    @property
    def kept_bytes(self) -> int:
        """Size of the buffers."""
        ...

    def begin(self, some: slice) -> None:
        """Take the parameters of some networks."""
        ...

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs for some samples, shape (network · sample, width)."""
        ...

    def add_squares(self, gradient: Tensor, again: bool, sums: Sums) -> None:
        """Add the squares of the gradients of all layers to the sums.

        Parameters
        ----------
        gradient
            Of the outputs, shape (network, sample, width), for all or for the first of each.
        again
            Whether another backward pass follows.
        sums
            Of all networks.
        """
        ...

    def end(self) -> None:
        """Let go of data and parameters."""
        ...
