"""Convolutions over one to three axes, plain, transposed and lazy."""

from functools import partial

import torch
from conformance_draws import Draws
from conformance_layouts import BATCHED, Placed, leading
from torch import Tensor, nn


def convolution(d: Draws, kind: str, axes: int) -> tuple[nn.Module, list[Tensor]]:
    """Return a convolution whose geometry leaves at least one position, and images."""
    lazy, transposed = kind.startswith("Lazy"), "Transpose" in kind
    groups = d.choice(1, 1, 2)
    inputs, outputs = groups * d.length(), groups * d.choice(1, 2)
    kernel = tuple(d.choice(1, 2, 3) for _ in range(axes))
    stride, dilation, padding = d.choice(1, 2), d.choice(1, 2), d.choice(0, 1)
    reach = [dilation * (k - 1) + 1 for k in kernel]
    space = [max(d.length(), 1 if transposed else r - 2 * padding) for r in reach]
    options = {"stride": stride, "dilation": dilation, "padding": padding, "groups": groups}
    if transposed:
        options["output_padding"] = d.choice(0, 1) if max(stride, dilation) > 1 else 0
        least = [2 * padding + 1 - r - options["output_padding"] for r in reach]
        space = [max(s, 1 + -(-m // stride)) for s, m in zip(space, least, strict=True)]
    elif d.choice(False, False, True):
        options |= {"padding": "same", "stride": 1}
    elif padding and all(s > padding for s in space):
        options["padding_mode"] = d.choice("zeros", "circular", "reflect", "replicate")
        if axes == 3 and options["padding_mode"] == "reflect":
            options["padding_mode"] = "zeros"
    options["bias"] = d.yes()
    layer = getattr(nn, kind)(*(() if lazy else (inputs,)), outputs, kernel, **options)
    if lazy:
        layer(torch.zeros(1, inputs, *space))
    layout = d.choice(*BATCHED)
    shape = leading(layout, d.samples, d.tokens(), (inputs, *space))
    scale = 1 + 0.3 * d.normal(space[-1]) if d.yes() else None
    return Placed(layer, layout, scale), [d.normal(*shape)]


CONVOLUTIONS = {
    kind: partial(convolution, kind=kind, axes=axes)
    for axes in (1, 2, 3)
    for name in (f"Conv{axes}d", f"ConvTranspose{axes}d")
    for kind in (name, f"Lazy{name}")
}
