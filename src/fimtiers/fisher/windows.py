"""Geometry of convolutions: which input entries an output position sees."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the usual name


@dataclass(frozen=True)
class Window:
    """A sliding window over one to three axes of space, one entry per axis.

    Attributes
    ----------
    kernel, stride, dilation
        As of `torch.nn.Conv2d`.
    before, after
        Zeros put at either end of the axis; negative values cut.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def taps(self) -> int:
        """Number of entries that the window shows at a position."""
        return math.prod(self.kernel)

    def symmetric(self, source: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Return `source` and the zeros still to be put at both ends of its axes.

        They are put there now if the ends differ or are cut.
        """
        if self.before == self.after and min(self.before) >= 0:
            return source, self.before
        return self.pad(source), (0,) * len(self.kernel)

    def pad(self, source: Tensor) -> Tensor:
        """Return `source` with the zeros at the ends of its last axes."""
        amounts = [x for pair in zip(self.before, self.after, strict=True) for x in pair[::-1]]
        return F.pad(source, amounts[::-1]) if any(amounts) else source

    def rows(self, space: tuple[int, ...]) -> Tensor:
        """Return which entry of a flattened space each tap reads at each position.

        Returns
        -------
        Tensor
            int64, shape (tap, position); entries count from one, zero stands for padding. On the
            processor, where the compiled kernel runs.
        """
        entries = torch.arange(1, math.prod(space) + 1, device="cpu").view(1, 1, 1, *space)
        return unfold(entries, self)[0, 0, 0]


def unfold(source: Tensor, window: Window) -> Tensor:
    """Return what each output position sees.

    Parameters
    ----------
    source
        Shape (image, group, channel, *space), not padded.
    window
        Geometry.

    Returns
    -------
    Tensor
        Shape (image, group, channel, tap, position).
    """
    space = len(window.kernel)
    view = window.pad(source)
    for axis, (k, s, d) in enumerate(
        zip(window.kernel, window.stride, window.dilation, strict=True), start=3
    ):
        view = view.unfold(axis, (k - 1) * d + 1, s)[..., ::d]
    axes = range(3, 3 + space)
    view = view.permute(0, 1, 2, *(axis + space for axis in axes), *axes)
    return view.flatten(3 + space).flatten(3, 2 + space)
