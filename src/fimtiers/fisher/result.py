"""The result: sums of squared per-sample gradients, their number, and how they were obtained."""

from collections.abc import Iterator, KeysView, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import torch
from torch import Tensor


@dataclass(frozen=True)
class Diagonal:
    """Diagonal of the Fisher information, F_i = (1/n) Σ_n (∂ℓ_n/∂θ_i)², as sums that add up.

    Reads as a mapping from names of parameters to F: ``F["layer.weight"]``, ``len``, ``keys``,
    ``items``, ``dict(F)``. ``F + G`` is the diagonal over the samples of both.

    Attributes
    ----------
    sums
        Σ_n (∂ℓ_n/∂θ_i)² · 4^−k for each parameter tensor, float64 or float32.
    n
        Number of samples; tokens if each token is one, draws if labels were drawn.
    routes
        How each parameter's gradients were obtained: the operations it was seen in, or
        ``vmap (…)``, ``loop (…)`` with the reason.
    exponents
        k for each parameter tensor, 0 for float64.
    symmetric
        Where the gradient is zero by symmetry, so that the entry is rounding noise (a bias of
        attention keys); only tensors with such entries.
    kind, unit
        As given to `fimtiers.fisher.diagonal`.
    """

    sums: Mapping[str, Tensor]
    n: int
    routes: Mapping[str, str]
    exponents: Mapping[str, int] = field(default_factory=dict)
    symmetric: Mapping[str, Tensor] = field(default_factory=dict)
    kind: str = "empirical"
    unit: str = "sequence"

    @property
    def values(self) -> dict[str, Tensor]:
        """F of each parameter tensor, float64."""
        return {name: self[name] for name in self.sums}

    @property
    def zeros(self) -> dict[str, int]:
        """Number of entries of each tensor that are exactly zero."""
        return {name: int((total == 0).sum()) for name, total in self.sums.items()}

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the parameter tensors."""
        return iter(self.sums)

    def __len__(self) -> int:
        """Return the number of parameter tensors."""
        return len(self.sums)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a parameter tensor of this name."""
        return name in self.sums

    def __getitem__(self, name: str) -> Tensor:
        """Return F of one parameter tensor, float64: squares of float32 may be too small for it."""
        if name not in self.sums:
            near = get_close_matches(str(name), self.sums, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise KeyError(f"no parameter called {name!r} among {len(self)}{hint}")
        return self.sums[name].double() * (4.0 ** self.exponents.get(name, 0) / self.n)

    def __add__(self, other: "Diagonal") -> "Diagonal":
        """Return the diagonal over the samples of both, as `merge`."""
        return self.merge(other) if isinstance(other, Diagonal) else NotImplemented

    def keys(self) -> KeysView[str]:
        """Return the names of the parameter tensors."""
        return self.sums.keys()

    def items(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each name with F of its tensor."""
        return ((name, self[name]) for name in self.sums)

    def flat(self) -> Tensor:
        """Return F of all parameters, one tensor after the other, in C order, float64."""
        return torch.cat([self[name].flatten() for name in self.sums])

    @property
    def traces(self) -> dict[str, float]:
        """Σ_i F_i of each parameter tensor."""
        return {name: float(f.sum()) for name, f in self.items()}

    @property
    def trace(self) -> float:
        """Trace of the Fisher information, Σ_i F_i over all parameters."""
        return sum(self.traces.values())

    def to(self, device: torch.device | str) -> "Diagonal":
        """Return the same on another device."""
        return replace(
            self,
            sums={name: total.to(device) for name, total in self.sums.items()},
            symmetric={name: mask.to(device) for name, mask in self.symmetric.items()},
        )

    def merge(self, other: "Diagonal") -> "Diagonal":
        """Return the diagonal over the samples of both.

        Raises
        ------
        ValueError
            If the two are not of the same parameters, kind and unit.
        """
        shapes = [{name: tuple(t.shape) for name, t in d.sums.items()} for d in (self, other)]
        if shapes[0] != shapes[1]:
            differing = sorted(
                name for name in shapes[0].keys() | shapes[1].keys()
                if shapes[0].get(name) != shapes[1].get(name)
            )  # fmt: skip
            raise ValueError(f"diagonals differ in the tensors {differing}")
        if (self.kind, self.unit) != (other.kind, other.unit):
            raise ValueError(
                f"diagonals of kind and unit {self.kind, self.unit} and {other.kind, other.unit} "
                "do not add up"
            )
        exponents = {
            name: max(self.exponents.get(name, 0), other.exponents.get(name, 0))
            for name in self.sums
        }
        return Diagonal(
            sums={
                name: self._scaled(name, exponents[name]) + other._scaled(name, exponents[name])
                for name in self.sums
            },
            n=self.n + other.n,
            routes={name: _joined(self.routes[name], other.routes[name]) for name in self.sums},
            exponents=exponents,
            symmetric={
                name: self.symmetric[name] & other.symmetric[name]
                for name in self.sums
                if name in self.symmetric and name in other.symmetric
            },
            kind=self.kind,
            unit=self.unit,
        )

    def _scaled(self, name: str, exponent: int) -> Tensor:
        return self.sums[name] * 4.0 ** (self.exponents.get(name, 0) - exponent)


def _joined(first: str, second: str) -> str:
    return first if first == second else f"{first}; {second}"
