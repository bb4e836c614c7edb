"""The definition of the Fisher diagonal, as slowly and plainly as it can be written."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher import diagonal

Loss = Callable[[Any, Any], Tensor]


def by_definition(model: nn.Module, loss: Loss, inputs: Tensor, targets: Any) -> dict[str, Tensor]:
    """Mean of squared gradients, one sample after the other, in float64."""
    model = copy.deepcopy(model).double()
    exact = inputs.double() if inputs.is_floating_point() else inputs
    parameters = dict(model.named_parameters())
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for n in range(len(exact)):
        target = targets[n : n + 1] if isinstance(targets, Tensor) else None
        if target is not None and target.is_floating_point():
            target = target.double()
        model.zero_grad(set_to_none=True)
        loss(model(exact[n : n + 1]), target).sum().backward()
        for name, p in parameters.items():
            if p.grad is not None:
                total[name] += p.grad.square()
    return {name: t / len(exact) for name, t in total.items()}


def wavy(outputs: Any, targets: Any) -> Tensor:
    """A loss without symmetry, mean over all outputs of a sample."""
    flat = outputs.flatten(1)
    weight = torch.linspace(0.5, 1.5, flat.shape[1], dtype=flat.dtype)
    return (weight * flat.square() + torch.sin(flat)).mean(1)


def assert_agrees(
    model: nn.Module,
    inputs: Tensor,
    targets: Any = None,
    loss: Loss = wavy,
    tolerance: float = 1e-6,
    **options: Any,
) -> Any:
    """Check float64 and float32 against the definition, relative norm per tensor."""
    expected = by_definition(model, loss, inputs, targets)
    result = None
    for dtype, allowed in ((torch.float64, 1e-11), (torch.float32, tolerance)):
        cast = copy.deepcopy(model).to(dtype)
        x = inputs.to(dtype) if inputs.is_floating_point() else inputs
        y = (
            targets.to(dtype)
            if isinstance(targets, Tensor) and targets.is_floating_point()
            else targets
        )
        result = diagonal(cast, loss, (x, y), **options)
        for name, reference in expected.items():
            noise = result.symmetric.get(name, torch.zeros_like(reference, dtype=torch.bool))
            found = result[name].masked_fill(noise, 0)
            exact = reference.masked_fill(noise, 0)
            error = torch.linalg.vector_norm(found - exact)
            assert error <= allowed * torch.linalg.vector_norm(exact), (name, dtype, float(error))
    return result
