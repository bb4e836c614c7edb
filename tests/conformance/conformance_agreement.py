"""Runs the engine by all its routes and compares it with the definition.

A tensor agrees if it is no further from the loop in float64 than

    relative · ‖F‖ + 3 · ‖F_loop − F‖ + floor,

where F is the definition in float64 and F_loop the same loop in the arithmetic of the engine. The
first term is `RELATIVE`. The second allows what the plain loop itself loses to rounding: samples in
a batch are rounded otherwise than alone, and as badly where a problem is badly conditioned, as a
normalisation of two almost equal numbers is. It vanishes for float64. The third is for gradients
that are zero but for rounding, as that in front of a normalisation of one number: the square of
`noise` roundings of the largest gradient, or of an `ORDINARY` one where all of them are such.
In bfloat16, and under autocast, which computes in it, the loop in that arithmetic stands for F: the
engine's own check allows 0.2 there.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from conformance_draws import Draws
from conformance_limit import time_limit
from conformance_problem import Problem, by_definition, largest, norm
from torch import Tensor

from fimtiers.fisher import Diagonal, Extractor, diagonal

ORDINARY = 1.0
"""Square of an ordinary gradient: numbers in the problems are about one, and so are these."""

CPU_SECONDS = 20.0
"""Most CPU time of all calls of one case; the slowest that end take a second or two."""

MARGIN = 3.0
"""How many times as far off as the loop in the same arithmetic the engine may be."""


@dataclass(frozen=True)
class Precision:
    """An arithmetic.

    Attributes
    ----------
    dtype
        Of parameters and data.
    relative
        Largest relative difference to the loop, per tensor. In float64 a sum over a few hundred
        terms rounds by 1e-14 or so; squares of float32 numbers by 1e-6, and what is subtracted in
        normalisations and attention costs up to two digits more.
    noise
        Roundings of the largest gradient that count as zero.
    autocast
        Whether to compute in bfloat16 under autocast.
    """

    dtype: torch.dtype
    relative: float
    noise: float
    autocast: bool = False

    @property
    def half(self) -> bool:
        """Whether it computes in bfloat16."""
        return self.autocast or self.dtype == torch.bfloat16

    def context(self, device: str) -> AbstractContextManager[Any]:
        """Return what the calls of the model run in."""
        return torch.autocast(device, torch.bfloat16) if self.autocast else nullcontext()

    def floor(self, peak: float, tensor: Tensor) -> float:
        """Return the norm of a tensor of squares of rounding errors, `peak` the largest square."""
        unit = torch.finfo(torch.bfloat16 if self.half else self.dtype).eps
        return (self.noise * unit) ** 2 * peak * tensor.numel() ** 0.5


PRECISIONS = {
    "float64": Precision(torch.float64, 1e-10, 1e3),
    "float32": Precision(torch.float32, 1e-4, 1e3),
    "bfloat16": Precision(torch.bfloat16, 0.2, 1.0),
    "autocast": Precision(torch.float32, 0.2, 1.0, autocast=True),
}


def check(exact: Problem, precision: Precision, draws: Draws, device: str) -> None:
    """Compare all routes to the diagonal of a problem with its definition.

    Parameters
    ----------
    exact
        In float64, on the processor.
    precision
        The arithmetic of the engine.
    draws
        For the sizes of batches.
    device
        Where the engine computes.

    Raises
    ------
    AssertionError
        If a route disagrees, changes the model, or does not end.
    """
    reference = by_definition(exact)
    problem = exact.to(precision.dtype).to(device)
    try:
        looped = on_processor(by_definition(problem, precision.context(device)))
    except (RuntimeError, NotImplementedError) as error:
        if precision.half and ("not implemented" in str(error) or "BFloat16" in str(error)):
            refused = pytest.raises((RuntimeError, NotImplementedError))  # as torch itself does
            with precision.context(device), refused:
                routes(problem, draws)["one call"]()
            return
        raise
    before = {name: t.clone() for name, t in problem.model.state_dict().items()}
    for route, run in routes(problem, draws).items():
        with precision.context(device), time_limit(CPU_SECONDS):
            found = run()
        assert found.n == len(problem.weights), f"{route}: n = {found.n}"
        compare(route, found, reference, looped, precision)
    for name, tensor in problem.model.state_dict().items():
        assert torch.equal(tensor, before[name]), f"{name} of the model was changed"
    assert all(p.grad is None for p in problem.model.parameters()), "the model has gradients"


def routes(problem: Problem, draws: Draws) -> dict[str, Callable[[], Diagonal]]:
    """Return the ways to the diagonal: at once, in micro-batches, in batches, and prepared."""
    model, size, sizes = problem.model, draws.micro_batch(), draws.batch_sizes()
    extract = Extractor(model, problem.loss)
    batches = problem.batches(sizes)
    return {
        "one call": lambda: diagonal(model, problem.loss, problem.pair),
        f"micro-batches of {size}": lambda: diagonal(
            model, problem.loss, problem.pair, micro_batch=size
        ),
        f"batches of {sizes}": lambda: extract(batches),
        "prepared, one call": lambda: extract(problem.pair),
    }


def compare(
    route: str,
    found: Diagonal,
    exact: Mapping[str, Tensor],
    looped: Mapping[str, Tensor],
    precision: Precision,
) -> None:
    """Compare one result with the definition."""
    assert set(found) == set(exact), f"{route}: tensors {sorted(set(found) ^ set(exact))}"
    peak = max(largest(exact), ORDINARY)
    for name, truth in exact.items():
        flagged = found.symmetric.get(name)
        target = looped[name] if precision.half else truth
        values = found[name].double().cpu()
        lost = norm(looped[name] - truth)
        floor = precision.floor(peak, truth)
        if flagged is not None:
            flagged = flagged.cpu()
            rounding = floor + norm(looped[name][flagged] - truth[flagged])
            assert norm(truth[flagged]) <= rounding, f"{route}: {name} is not zero by symmetry"
            values, target = values.masked_fill(flagged, 0), target.masked_fill(flagged, 0)
        error = norm(values - target)
        allowed = precision.relative * norm(target) + MARGIN * lost + floor
        assert error <= allowed, (
            f"{route}: {name} is off by {error:.2e} of {norm(target):.2e}, allowed {allowed:.2e}; "
            f"route {found.routes[name]!r}"
        )


def on_processor(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.cpu() for name, t in values.items()}
