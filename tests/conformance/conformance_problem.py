"""A small problem with a Fisher diagonal, and the diagonal by its definition."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Problem:
    """A model and its data.

    Attributes
    ----------
    model
        In float64.
    inputs
        Positional arguments of the model, the first axis of each the sample.
    weights
        Weight of each sample's loss, shape (sample,); 0 for one that is masked.
    loss
        Maps (outputs, weights) to losses of shape (sample,).
    """

    model: nn.Module
    inputs: tuple[Tensor, ...]
    weights: Tensor
    loss: Callable[[Any, Tensor], Tensor]

    def to(self, place: torch.dtype | str) -> "Problem":
        """Return a copy in another dtype or on another device."""
        return Problem(
            copy.deepcopy(self.model).to(place),
            tuple(_moved(x, place) for x in self.inputs),
            _moved(self.weights, place),
            self.loss,
        )

    def batches(self, sizes: Sequence[int]) -> list[tuple[tuple[Tensor, ...], Tensor]]:
        """Return pairs of inputs and targets, cut into batches of the given sizes."""
        parts = [x.split(list(sizes)) for x in (*self.inputs, self.weights)]
        return [(inputs, weights) for *inputs, weights in map(list, zip(*parts, strict=True))]

    @property
    def pair(self) -> tuple[tuple[Tensor, ...], Tensor]:
        """Inputs and targets of all samples."""
        return self.inputs, self.weights


def uneven(outputs: Any, weights: Tensor) -> Tensor:
    """Return a loss of each sample without symmetry, a mean over its outputs, times its weight."""
    flat = _flat(outputs)
    slope = torch.linspace(0.5, 1.5, flat.shape[1], dtype=flat.dtype, device=flat.device)
    return weights * (slope * flat.square() + torch.sin(flat)).mean(1)


def even(outputs: Any, weights: Tensor) -> Tensor:
    """Return the mean square of each sample's outputs times its weight: all outputs alike."""
    return weights * _flat(outputs).square().mean(1)


LOSSES = {"uneven": uneven, "even": even}


def by_definition(
    problem: Problem, arithmetic: AbstractContextManager[Any] | None = None
) -> dict[str, Tensor]:
    """Return the mean of squared gradients, one sample after the other, summed in float64."""
    model = copy.deepcopy(problem.model)  # an embedding with max_norm changes its weights
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    total = {n: torch.zeros_like(p, dtype=torch.float64) for n, p in parameters.items()}
    with arithmetic or nullcontext():
        for inputs, weight in problem.batches([1] * len(problem.weights)):
            model.zero_grad(set_to_none=True)
            problem.loss(model(*inputs), weight).sum().backward()
            for name, p in parameters.items():
                if p.grad is not None:
                    total[name] += p.grad.to_dense().double().square()
    return {name: t / len(problem.weights) for name, t in total.items()}


def norm(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values))


def largest(values: Mapping[str, Tensor]) -> float:
    """Return the largest entry of all tensors."""
    return max((float(v.max()) for v in values.values() if v.numel()), default=0.0)


def _flat(outputs: Any) -> Tensor:
    return torch.cat([x.flatten(1) for x in _tensors(outputs)], 1)


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    return [tensor for part in outputs for tensor in _tensors(part)]


def _moved(tensor: Tensor, place: torch.dtype | str) -> Tensor:
    if isinstance(place, torch.dtype) and not tensor.is_floating_point():
        return tensor
    return tensor.to(place)
