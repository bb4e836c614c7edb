"""The gradients of many probes from one forward and one backward pass, kept as factors.

The gradient of one probe's loss with respect to the weight of a linear layer is a product of two
small matrices: the derivatives of the loss with respect to the outputs of the layer, and its
inputs. With the probes as an axis of their own, one pass gives both for all probes; the gradients,
a thousand times larger, can then be formed for a few probes at a time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fimtiers.networks.batch_norm import BatchNorm
from fimtiers.networks.modules import Loss


@dataclass(frozen=True)
class Factors:
    """Gradients of probes with respect to one tensor, flattened: Gᵀ X, or G itself.

    Attributes
    ----------
    outer
        G, shape (probe, row, output), or (probe, element) if it stands alone.
    inner
        X, shape (probe, row, input), or none.
    """

    outer: Tensor
    inner: Tensor | None = None

    def split(self, elements: int) -> Iterator[tuple[slice, Tensor]]:
        """Form the gradients of a few probes at a time: at most `elements` numbers, or one probe.

        Yields
        ------
        chosen
            The probes.
        gradients
            Shape (probe, element).
        """
        widths = [factor.shape[-1] for factor in (self.outer, self.inner) if factor is not None]
        size = max(1, elements // torch.Size(widths).numel())
        for start in range(0, len(self.outer), size):
            chosen = slice(start, start + size)
            if self.inner is None:
                yield chosen, self.outer[chosen]
            else:
                yield chosen, (self.outer[chosen].mT @ self.inner[chosen]).flatten(1)


def gradient_factors(
    module: nn.Module, loss: Loss, probes: Tensor
) -> tuple[dict[str, Factors], Tensor]:
    """Return the gradients of ℓ_n = loss(module(probe_n), probe_n), by parameter, and ℓ.

    Parameters
    ----------
    module
        Parameters belong to linear layers and to `BatchNorm`, each called once.
    loss
        Losses of probes.
    probes
        Shape (probe, unit) or (probe, row, unit).

    Raises
    ------
    TypeError
        If another kind of layer has parameters.
    """
    kept: dict[str, tuple[Tensor, Tensor]] = {}
    copies: dict[str, Tensor] = {}
    handles = []
    for name, layer in module.named_modules():
        own = dict(layer.named_parameters(recurse=False))
        if isinstance(layer, nn.Linear):
            handles.append(layer.register_forward_hook(_keeper(kept, name)))
        elif isinstance(layer, BatchNorm):
            # One copy per probe, so that the backward pass keeps the probes apart.
            for key, value in own.items():
                copy = value.detach().expand(len(probes), 1, -1).clone()
                copies[f"{name}.{key}"] = copy.requires_grad_()
        elif own:
            kind = type(layer).__name__
            raise TypeError(f"layer {name!r} is a {kind}; expected Linear or BatchNorm")
    values = {name: value.detach() for name, value in module.named_parameters()} | copies
    try:
        losses = loss(functional_call(module, values, (probes,)), probes)
    finally:
        for handle in handles:
            handle.remove()
    ends = [*(output for _, output in kept.values()), *copies.values()]
    gradients = dict(zip([*kept, *copies], torch.autograd.grad(losses.sum(), ends), strict=True))
    found = {name: Factors(gradients[name].flatten(1)) for name in copies}
    for name, (x, _) in kept.items():
        found |= _linear_factors(name, x, gradients[name])
    return {name: found[name] for name in values}, losses.detach()


def _keeper(kept: dict[str, tuple[Tensor, Tensor]], name: str) -> Callable[..., Tensor]:
    """Return a hook that keeps the input and the output of a layer, ready to be differentiated."""

    def keep(layer: nn.Module, arguments: tuple[Tensor], output: Tensor) -> Tensor:
        if not output.requires_grad:
            output.requires_grad_()
        kept[name] = arguments[0].detach(), output
        return output

    return keep


def _linear_factors(name: str, x: Tensor, gradient: Tensor) -> dict[str, Factors]:
    """Return the factors of a layer with inputs x from the derivative by its outputs."""
    rows = gradient.reshape(len(x), -1, gradient.shape[-1])
    return {
        f"{name}.weight": Factors(rows, x.reshape(*rows.shape[:2], -1)),
        f"{name}.bias": Factors(rows.sum(1)),
    }
