"""Where the samples of a layer's input are: first, second, or folded with tokens."""

from collections.abc import Sequence

from torch import Tensor, nn

LEADING = ("vectors", "tokens", "time first", "folded", "folded time first")
"""Layouts of layers that take any number of axes in front."""

BATCHED = ("vectors", "folded", "folded time first")
"""Layouts of layers that take one axis in front."""


class Placed(nn.Module):
    """A layer whose inputs (sample, …) or (sample, token, …) are laid out for it, and back.

    Attributes
    ----------
    layout
        ``vectors``: as given, without tokens. ``tokens``: as given. ``time first``: tokens in
        front. ``folded``, ``folded time first``: both in one axis, samples or tokens slower.
    scale
        A parameter in front of the layer, so that gradients pass through it; or None.
    """

    def __init__(self, layer: nn.Module, layout: str, scale: Tensor | None = None) -> None:
        super().__init__()
        self.layer, self.layout = layer, layout
        self.scale = None if scale is None else nn.Parameter(scale)

    def forward(self, *inputs: Tensor):
        """Return what the layer gives, samples in front."""
        if self.scale is not None:
            inputs = (inputs[0] * self.scale, *inputs[1:])
        if "time first" in self.layout:
            inputs = tuple(x.transpose(0, 1) for x in inputs)
        front = inputs[0].shape[:2]
        if "folded" in self.layout:
            inputs = tuple(x.flatten(0, 1) for x in inputs)
        output = self.layer(*inputs)
        if "folded" in self.layout:
            output = output.unflatten(0, front)
        return output.transpose(0, 1) if "time first" in self.layout else output


class Sequences(nn.Module):
    """A layer that takes (time, sample, channel), or (sample, time, channel) if `batch_first`."""

    def __init__(self, layer: nn.Module, batch_first: bool, scale: Tensor | None = None) -> None:
        super().__init__()
        self.layer, self.batch_first = layer, batch_first
        self.scale = None if scale is None else nn.Parameter(scale)

    def forward(self, *inputs: Tensor):
        """Return the first output, samples in front."""
        if self.scale is not None:
            inputs = (inputs[0] * self.scale, *inputs[1:])
        if not self.batch_first:
            inputs = tuple(x.transpose(0, 1) for x in inputs)
        output = self.layer(*inputs)
        output = output[0] if isinstance(output, tuple) else output
        return output if self.batch_first else output.transpose(0, 1)


def leading(layout: str, samples: int, tokens: int, item: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of data of a layout."""
    return (samples, *item) if layout == "vectors" else (samples, tokens, *item)
