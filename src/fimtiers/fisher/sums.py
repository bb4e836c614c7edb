"""Running sums of squared gradients, in memory or mapped to disk, in float64 or float32."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor

TILE = 1 << 16
"""Entries added at a time where dtypes differ: torch copies them to the wider one first."""


NUMPY_DTYPES = {torch.float64: np.float64, torch.float32: np.float32}


class Sums:
    """Sums over samples of squared gradients, one tensor per parameter.

    Parameters
    ----------
    shapes
        Shape of each parameter.
    dtype
        float64, or float32 for models too large for doubles; then each tensor has a power of
        two of its own, so that small squares do not underflow.
    device
        Where the sums live: the host can hold those of a model on an accelerator.
    directory
        If given, the sums are memory-mapped files there, one per parameter, and need not fit in
        memory. What may not stand in the name of a file is written as in addresses, ``%2F``.

    Attributes
    ----------
    totals
        The sums of squares times 4^−k.
    exponents
        k of each tensor; 0 for float64.
    fused
        Names of the parameters that a kernel of `fimtiers.fisher.fused` added to.
    """

    def __init__(
        self,
        shapes: Mapping[str, torch.Size],
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
        directory: Path | None = None,
    ) -> None:
        if dtype not in NUMPY_DTYPES:
            raise ValueError(f"sums of dtype {dtype}; allowed: torch.float64, torch.float32")
        self.dtype, self.device = dtype, device
        self.totals = {
            name: _zeros(name, shape, dtype, device, directory) for name, shape in shapes.items()
        }
        self.exponents = dict.fromkeys(shapes, 0)
        self.fused: set[str] = set()
        self._unset = set(shapes) if dtype == torch.float32 else set()

    def of_member(self, number: int) -> "Sums":
        """Return the sums of one member, if the first axis of all tensors counts members."""
        member = Sums({}, self.dtype, self.device)
        member.totals = {name: total[number] for name, total in self.totals.items()}
        member.exponents = dict.fromkeys(member.totals, 0)
        member.fused = self.fused
        return member

    def clear(self, names: Iterable[str] | None = None) -> None:
        """Set the sums of some parameters, or of all, to zero."""
        names = list(self.totals if names is None else names)
        if names:
            torch._foreach_zero_([self.totals[name] for name in names])
        for name in names:
            self.exponents[name] = 0
            if self.dtype == torch.float32:
                self._unset.add(name)

    def marked(self, name: str, route: str) -> str:
        """Return the route of a parameter, with a mark if a fused kernel added to it."""
        return f"{route} (Triton)" if name in self.fused else route

    def unscaled(self, name: str) -> Tensor:
        """Return the sum of squares of one parameter, float64."""
        return self.totals[name].double() * 4.0 ** self.exponents[name]

    def factor(self, name: str, exponent: int) -> float:
        """Return what squares times 4^−exponent are multiplied with before they are added.

        The first ones decide on the scale of float32 sums: it should be that of the largest.
        """
        if name in self._unset:
            self.exponents[name] = exponent
            self._unset.discard(name)
        return 4.0 ** (exponent - self.exponents[name])

    def add(self, name: str, view: Tensor, squares: Tensor, exponent: int) -> None:
        """Add squares · 4^exponent to a view of the sums of the parameter called `name`."""
        factor = self.factor(name, exponent)
        # A copy to the host that does not block would be read before it is there.
        squares = squares.to(view.device)
        if view.numel() <= TILE or squares.dtype == view.dtype:
            view.add_(squares, alpha=factor)
            return
        if suits_kernel(view, squares):
            from fimtiers.fisher.sums_kernel import add_scaled

            add_scaled(view.view(-1).numpy(), squares.view(-1).numpy(), factor)
            return
        rows = max(1, TILE * len(view) // view.numel())
        for start in range(0, len(view), rows):
            view[start : start + rows].add_(squares[start : start + rows], alpha=factor)


@dataclass(slots=True)
class Part:
    """The sums of squares of some elements of a parameter.

    Attributes
    ----------
    sums
        Those of all parameters.
    name
        Of the parameter.
    view
        View of its sums.
    """

    sums: Sums
    name: str
    view: Tensor

    def of(self, view: Tensor) -> "Part":
        """Return some of the elements, or all in another shape."""
        return Part(self.sums, self.name, view)

    @property
    def direct(self) -> bool:
        """Whether compiled code may add to the view as it is."""
        return self.view.is_cpu and self.view.is_contiguous()

    def factor(self, exponent: int) -> float:
        """Return what squares times 4^−exponent are multiplied with before they are added."""
        return self.sums.factor(self.name, exponent)

    def add(self, squares: Tensor, exponent: int) -> None:
        """Add squares · 4^exponent."""
        self.sums.add(self.name, self.view, squares, exponent)

    def add_rows(self, rows: Tensor, squares: Tensor, exponent: int) -> None:
        """Add squares · 4^exponent to some rows, any of them several times."""
        squares = squares.to(self.view.device, self.view.dtype)
        rows, factor = rows.to(self.view.device), self.factor(exponent)
        self.view.index_add_(0, rows, squares, alpha=factor)


def suits_kernel(total: Tensor, values: Tensor) -> bool:
    """Return whether compiled code, which saves passes over memory, is worth loading."""
    return (
        total.numel() > TILE
        and total.is_cpu
        and values.is_cpu
        and total.dtype == torch.float64
        and values.dtype == torch.float32
        and total.shape == values.shape
        and total.is_contiguous()
        and values.is_contiguous()
    )


def _zeros(
    name: str,
    shape: torch.Size,
    dtype: torch.dtype,
    device: torch.device | str,
    directory: Path | None,
) -> Tensor:
    if directory is None and torch.device(device).type == "cpu":
        # numpy asks for huge pages, which spares large tensors most page faults.
        return torch.from_numpy(np.zeros(shape, NUMPY_DTYPES[dtype]))
    if directory is None:
        return torch.zeros(shape, dtype=dtype, device=device)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{quote(name, safe='')}.bin"
    mapped = torch.from_file(str(path), shared=True, size=shape.numel(), dtype=dtype)
    return mapped.zero_().view(shape)
