"""Which models are chains: linear layers and elementwise functions, one after the other.

What runs a chain itself runs none of its modules, so all that could see or change a module's call
(hooks, other `forward`s, subclasses, parametrisations, modes) makes a model something else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

ELEMENTWISE = frozenset({
    nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU,
    nn.Mish, nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Tanhshrink,
    nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Hardshrink, nn.Softshrink,
})  # fmt: skip
"""Modules that map every entry by itself; subclasses may do otherwise and are left out."""

LINKS = ELEMENTWISE | {nn.Linear}

DTYPES = frozenset({torch.float32, torch.float64})


@dataclass(frozen=True)
class Stage:
    """A linear layer of each network, and the functions that follow it.

    Attributes
    ----------
    prefix
        What the names of the layer's parameters begin with.
    layers
        One per network.
    functions
        Elementwise; networks share them, since their settings are equal.
    """

    prefix: str
    layers: tuple[nn.Linear, ...]
    functions: tuple[nn.Module, ...]

    @property
    def names(self) -> tuple[str, str]:
        """Names of weight and bias."""
        return f"{self.prefix}weight", f"{self.prefix}bias"


@dataclass(frozen=True)
class Links:
    """A chain: functions of the inputs, then stages. Equal if made of the same modules."""

    leading: tuple[nn.Module, ...]
    stages: tuple[Stage, ...]

    @property
    def widths(self) -> list[int]:
        """Number of inputs, and of outputs of each layer."""
        layers = [stage.layers[0] for stage in self.stages]
        return [layers[0].in_features, *(layer.out_features for layer in layers)]

    def lowest(self, names: frozenset[str]) -> int:
        """Return the number of the first stage with one of the parameters."""
        return next(k for k, s in enumerate(self.stages) if not names.isdisjoint(s.names))

    def takes(self, inputs: object) -> bool:
        """Return whether `inputs` is one vector per sample that the first layer takes as it is."""
        layer = self.stages[0].layers[0]
        return (
            type(inputs) is Tensor
            and inputs.ndim == 2
            and inputs.shape[1] == layer.in_features
            and inputs.dtype == layer.weight.dtype
            and inputs.is_cpu
            and inputs.layout == torch.strided
        )


def links_of(models: Sequence[nn.Module]) -> Links | None:
    """Return the chain that all models are, on the processor; None if they are not one."""
    chains = [list(_walk(model, "")) for model in models]
    named = chains[0]
    if (
        _is_seen_by_others()
        or not all(_is_link(module) for chain in chains for _, module in chain)
        or any(_settings(chain) != _settings(named) for chain in chains[1:])
    ):
        return None
    places = [k for k, (_, module) in enumerate(named) if type(module) is nn.Linear]
    layers = [[chain[k][1] for k in places] for chain in chains]
    if not places or not all(_is_sound(own) for own in layers):
        return None
    functions = [
        tuple(m for _, m in named[start + 1 : end] if type(m) is not nn.Identity)
        for start, end in pairwise([-1, *places, len(named)])
    ]
    stages = [
        Stage(named[k][0], own, following)
        for k, own, following in zip(places, zip(*layers, strict=True), functions[1:], strict=True)
    ]
    return Links(functions[0], tuple(stages))


def _walk(model: nn.Module, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the modules of nested `nn.Sequential` in order, with their parameters' prefix.

    A container whose call is seen or changed is a link itself, of no known kind.
    """
    if type(model) is not nn.Sequential or not _is_plain(model):
        yield prefix, model
        return
    for name, child in model._modules.items():
        if child is not None:
            yield from _walk(child, f"{prefix}{name}.")


def _is_link(module: nn.Module) -> bool:
    return type(module) in LINKS and _is_plain(module)


def _is_plain(module: nn.Module) -> bool:
    """Return whether calling the module runs the `forward` of its class, unseen."""
    return not (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in module.__dict__
        or "_compiled_call_impl" in module.__dict__
    )


def _is_seen_by_others() -> bool:
    """Return whether hooks of all modules, modes, or autocast are in effect."""
    return bool(
        nn.modules.module._has_any_global_hook()
        or torch._C._len_torch_function_stack()
        or torch._C._len_torch_dispatch_stack()
        or torch.is_autocast_enabled("cpu")
    )


def _is_sound(layers: Sequence[nn.Linear]) -> bool:
    """Return whether the parameters of one network are ordinary, of one dtype, each used once."""
    own = [p for layer in layers for p in layer._parameters.values() if p is not None]
    return (
        all(layer._parameters.get("weight") is not None for layer in layers)
        and all(len(layer._parameters) == 2 and "bias" in layer._parameters for layer in layers)
        and all(type(p) is nn.Parameter and p.is_cpu and p.layout == torch.strided for p in own)
        and len({id(p) for p in own}) == len(own)
        and len({p.dtype for p in own}) == 1
        and own[0].dtype in DTYPES
    )


def _settings(chain: Sequence[tuple[str, Any]]) -> list[tuple[object, ...]]:
    """Return what networks of one architecture have in common: names, sizes, slopes and so on."""
    return [(name, type(module), *_own(module.__dict__)) for name, module in chain]


def _own(attributes: dict[str, Any]) -> Iterator[tuple[str, object]]:
    return ((key, x) for key, x in attributes.items() if key[0] != "_")
