"""Tells random numbers that decide nothing from those that change a loss."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fimtiers.fisher.batches import Inputs, call, length, part
from fimtiers.fisher.objective import Objective

UNIFORM = frozenset({"rand", "rand_like", "uniform_", "bernoulli", "bernoulli_"})
"""Functions whose numbers are compared with thresholds; both ends decide any comparison."""

LARGEST = 1 - 2.0**-24
"""The largest number that torch draws from [0, 1) in float32."""

FREE_DRAWS = 3
"""Passes with numbers as they come."""


class Draws(TorchFunctionMode):
    """Replaces uniform random numbers by one value.

    Parameters
    ----------
    value
        What they are replaced by; None leaves them.
    """

    def __init__(self, value: float | None) -> None:
        super().__init__()
        self.value = value

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run one torch function."""
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if self.value is not None and name in UNIFORM and isinstance(result, Tensor):
            with torch.no_grad():
                result.fill_(round(self.value) if name.startswith("bernoulli") else self.value)
        return result


def draws_are_unused(model: nn.Module, objective: Objective, batch: tuple[Inputs, Any]) -> bool:
    """Return whether the losses are the same whatever random numbers the model draws.

    The state of torch's generator is put back.

    Parameters
    ----------
    model, objective
        As of `fimtiers.fisher.engine.Engine`.
    batch
        Some samples.
    """
    inputs, targets = part(batch, 0, 1) if length(batch[0]) else batch
    if objective.kind == "mc":
        objective.restart()
        targets = objective.labels(call(model, inputs), targets)
        objective.restart()
    found = []
    with torch.random.fork_rng():
        for value in (0.0, LARGEST, *(None,) * FREE_DRAWS):
            with Draws(value):
                losses = objective.losses(call(model, inputs), targets, 1)
            found.append(torch.cat([loss.detach() for loss in losses]))
    return all(torch.equal(found[0], other) for other in found[1:])
