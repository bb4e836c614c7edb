"""A recipe for every layer of torch.nn with parameters: a model around it, and inputs.

Convolutions, pooled tables and recurrent layers are in files of their own.
"""

from collections.abc import Callable
from functools import partial

import torch
from conformance_convolutions import CONVOLUTIONS
from conformance_draws import Draws
from conformance_layouts import BATCHED, LEADING, Placed, leading
from conformance_sequences import SEQUENCES
from conformance_tables import TABLES
from torch import Tensor, nn

Made = tuple[nn.Module, list[Tensor]]
"""A model and its inputs, samples in front."""

Recipe = Callable[[Draws], Made]


def placed(d: Draws, layer: nn.Module, layouts: tuple[str, ...], *items: tuple[int, ...]) -> Made:
    """Return a layer in a drawn layout, and its inputs; an item is an input without its front."""
    layout, tokens = d.choice(*layouts), d.tokens()
    inputs = [d.normal(*leading(layout, d.samples, tokens, item)) for item in items]
    scale = 1 + 0.3 * d.normal(items[0][-1]) if d.yes() else None
    return Placed(layer, layout, scale), inputs


def linear(d: Draws, lazy: bool = False) -> Made:
    width, outputs, bias = d.length(), d.length(), d.yes()
    layer = nn.LazyLinear(outputs, bias) if lazy else nn.Linear(width, outputs, bias)
    if lazy:
        layer(torch.zeros(1, width))
    return placed(d, layer, LEADING, (width,))


def bilinear(d: Draws) -> Made:
    first, second = d.length(), d.length()
    layer = nn.Bilinear(first, second, d.length(), bias=d.yes())
    return placed(d, layer, LEADING, (first,), (second,))


def layer_norm(d: Draws) -> Made:
    shape = tuple(d.length() for _ in range(d.choice(1, 2)))
    return placed(d, nn.LayerNorm(shape, bias=d.yes()), LEADING, shape)


def rms_norm(d: Draws) -> Made:
    shape = tuple(d.length() for _ in range(d.choice(1, 2)))
    return placed(d, nn.RMSNorm(shape), LEADING, shape)


def group_norm(d: Draws) -> Made:
    groups = d.choice(1, 2, 3)
    channels = groups * d.choice(1, 2)
    space = tuple(d.length(2) for _ in range(d.choice(0, 1, 2)))
    if channels == groups and not space:
        space = (2,)  # torch refuses to normalise one number
    return placed(d, nn.GroupNorm(groups, channels), BATCHED, (channels, *space))


def instance_norm(d: Draws, axes: int, lazy: bool = False) -> Made:
    channels, space = d.length(), tuple(d.length(2) for _ in range(axes))
    make = getattr(nn, f"{'Lazy' if lazy else ''}InstanceNorm{axes}d")
    tracked = d.yes()
    known = () if lazy else (channels,)
    layer = make(*known, affine=True, track_running_stats=tracked)
    if lazy:
        layer(torch.randn(1, channels, *space))
    if tracked:
        layer.eval()  # in train mode it writes down what it saw
    model, inputs = placed(d, layer, BATCHED, (channels, *space))
    return model.train(layer.training), inputs


def batch_norm(d: Draws, kind: str, axes: int) -> Made:
    channels = d.length()
    space = tuple(d.length() for _ in range(axes))
    lazy = kind.startswith("Lazy")
    layer = getattr(nn, kind)() if lazy else getattr(nn, kind)(channels)
    if lazy:
        layer(torch.randn(2, channels, *(2,) * axes))
    layer.running_mean = d.normal(channels).float()
    layer.running_var = d.normal(channels).float().square() + 0.5
    model, inputs = placed(d, layer, BATCHED, (channels, *space))
    return model.eval(), inputs


def prelu(d: Draws) -> Made:
    channels = d.length()
    space = tuple(d.length() for _ in range(d.choice(0, 1, 2)))
    return placed(d, nn.PReLU(d.choice(1, channels)), BATCHED, (channels, *space))


class Losses(nn.Module):
    """A layer that ends in a loss per sample; what is returned has one number per sample."""

    def __init__(self, layer: nn.Module, take: Callable[..., Tensor]) -> None:
        super().__init__()
        self.layer, self.take = layer, take

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return losses, shape (sample, 1)."""
        return self.take(self.layer(x, labels)).unsqueeze(1)


def adaptive_softmax(d: Draws) -> Made:
    width, classes = d.length(4), d.choice(5, 7)
    layer = nn.AdaptiveLogSoftmaxWithLoss(
        width, classes, [2, 4][: d.choice(1, 2)], div_value=2.0, head_bias=d.yes()
    )
    inputs = [d.normal(d.samples, width), d.below(classes, d.samples)]
    return Losses(layer, lambda out: out.output), inputs


def linear_cross_entropy(d: Draws) -> Made:
    width, classes = d.length(), d.length(2)
    layer = nn.LinearCrossEntropyLoss(
        width, classes, bias=d.yes(), reduction="none", label_smoothing=d.choice(0.0, 0.1)
    )
    inputs = [d.normal(d.samples, width), d.below(classes, d.samples)]
    return Losses(layer, lambda out: out), inputs


class Listed(nn.Module):
    """Parameters in a list or a dictionary."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Return the product with one and the sum with another."""
        keys = ("0", "1") if isinstance(self.layer, nn.ParameterDict) else (0, 1)
        scale, shift = (self.layer[key] for key in keys)
        return torch.tanh(x * scale) + shift


def parameters(d: Draws, kind: type) -> Made:
    width = d.length()
    pair = [nn.Parameter(d.normal(width)), nn.Parameter(d.normal(1))]
    held = kind(pair) if kind is nn.ParameterList else kind({"0": pair[0], "1": pair[1]})
    return placed(d, Listed(held), LEADING, (width,))


LAYERS: dict[str, Recipe] = {
    "Linear": linear,
    "LazyLinear": partial(linear, lazy=True),
    "Bilinear": bilinear,
    "LayerNorm": layer_norm,
    "RMSNorm": rms_norm,
    "GroupNorm": group_norm,
    **{f"InstanceNorm{k}d": partial(instance_norm, axes=k) for k in (1, 2, 3)},
    **{f"LazyInstanceNorm{k}d": partial(instance_norm, axes=k, lazy=True) for k in (1, 2, 3)},
    **{
        f"{lazy}BatchNorm{k}d": partial(batch_norm, kind=f"{lazy}BatchNorm{k}d", axes=k)
        for lazy in ("", "Lazy")
        for k in (1, 2, 3)
    },
    "SyncBatchNorm": partial(batch_norm, kind="SyncBatchNorm", axes=2),
    "PReLU": prelu,
    "AdaptiveLogSoftmaxWithLoss": adaptive_softmax,
    "LinearCrossEntropyLoss": linear_cross_entropy,
    "ParameterList": partial(parameters, kind=nn.ParameterList),
    "ParameterDict": partial(parameters, kind=nn.ParameterDict),
    **CONVOLUTIONS,
    **TABLES,
    **SEQUENCES,
}
"""By name of the class."""
