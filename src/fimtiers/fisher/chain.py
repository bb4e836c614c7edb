"""Chains of linear layers and elementwise functions, several networks of one shape at once.

A layer of all networks is one batched matrix product, and so is the sum of the squares of its
gradients, (g²)ᵀ a² per network; nothing is traced. A few networks are handled at a time, so that
what is kept for their backward pass stays in the cache.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Data, Inputs, length, pairs, split
from fimtiers.fisher.calibration import TOLERANCE
from fimtiers.fisher.fallback import add_by_loop
from fimtiers.fisher.forms import Dense, Form, Outer
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.squares import Scaler
from fimtiers.fisher.sums import Sums

CHUNK_BYTES = 4 << 20
"""What is kept for the backward pass of some networks; a few times a level-2 cache."""

ELEMENTWISE = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU,
    nn.Mish, nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Tanhshrink,
    nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Hardshrink, nn.Softshrink,
)  # fmt: skip
"""Modules that map every entry by itself; subclasses may do otherwise and are left out."""

ROUTE = "linear (stacked chain)"

Receiver = Callable[[Tensor, Tensor], None]
"""Takes the gradient of a layer's outputs and its inputs, (network, sample, …) both."""


class Chain:
    """Networks that are one chain of modules, `nn.Sequential` of the kinds above.

    Parameters
    ----------
    models
        Networks of one architecture.
    objective
        Whose gradients are squared.
    names
        Parameters to compute.
    sums
        Sums of squares to add to; the first axis counts networks.
    memory
        Bound on what is kept for some networks, bytes.
    """

    def __init__(
        self, models: Sequence[nn.Module], objective: Objective, names: Sequence[str],
        sums: Sums, memory: int = CHUNK_BYTES,
    ) -> None:  # fmt: skip
        self.models, self.objective, self.names = models, objective, set(names)
        self.sums, self.memory = sums, min(memory, CHUNK_BYTES)
        self.modules = _links(models[0])
        self.parameters = [_parameters(_links(model)) for model in models]

    def add(self, batch: tuple[Inputs, Any], micro_batch: int | None = None) -> int:
        """Add the squared per-sample gradients of a batch; return the number of samples."""
        kept = sum(
            2 * m.out_features * m.weight.element_size()
            for _, m in self.modules
            if isinstance(m, nn.Linear)
        )
        size = micro_batch or max(1, self.memory // kept)
        samples = min(size, length(batch[0]))
        networks = max(1, self.memory // (kept * samples))
        total = 0
        for start in range(0, len(self.models), networks):
            some = slice(start, start + networks)
            weights = {
                name: torch.stack([p[name].detach() for p in self.parameters[some]])
                for name in self.parameters[0]
            }
            total = sum(self._add(some, weights, *part)[0] for part in split(batch, size))
        return total

    def agrees_with_loop(self, batch: tuple[Inputs, Any]) -> bool:
        """Return whether the loop over samples gives the same for the first network.

        Its sums are zero afterwards.
        """
        alone = Chain(
            self.models[:1], self.objective, list(self.names),
            Sums({n: torch.Size((1, *self.parameters[0][n].shape)) for n in self.names}),
        )  # fmt: skip
        weights = {name: p.detach().unsqueeze(0) for name, p in self.parameters[0].items()}
        _, losses = alone._add(slice(0, 1), weights, *batch)
        reference = alone.sums.of_member(0)
        found = {name: t.norm() for name, t in reference.totals.items()}
        expected = add_by_loop(
            self.models[0], self.objective, batch, list(self.names), reference, sign=-1.0
        )
        tolerance = TOLERANCE[losses.dtype]
        return torch.allclose(
            losses, expected, tolerance, tolerance * float(expected.abs().max())
        ) and all(t.norm() <= tolerance * found[name] for name, t in reference.totals.items())

    def _add(
        self, some: slice, weights: dict[str, Tensor], inputs: Tensor, targets: Any
    ) -> tuple[int, Tensor]:
        """Add what some networks contribute; return the number of samples and their losses."""
        networks = len(next(iter(weights.values())))
        root = torch.zeros((), requires_grad=True)
        data = inputs.expand(networks, *inputs.shape)
        for name, module in self.modules:
            if isinstance(module, nn.Linear):
                weight, bias = weights[f"{name}weight"], weights.get(f"{name}bias")
                data = _Layer.apply(data, root, weight, bias, self._receiver(name, some))
            else:
                data = module(data)
        outputs = data.detach().requires_grad_()
        losses = [self.objective.losses(own, targets) for own in outputs]
        passes = list(zip(*(own for own, _ in losses), strict=True))
        for number, own in enumerate(passes):
            retain = number + 1 < len(passes)
            (gradient,) = torch.autograd.grad(torch.stack(own).sum(), outputs, retain_graph=retain)
            torch.autograd.grad(data, root, gradient, retain_graph=retain, allow_unused=True)
        values = torch.stack([loss.detach() for loss in losses[0][0]], 1)
        return len(inputs) * losses[0][1], values

    def _receiver(self, name: str, some: slice) -> Receiver:
        """Return what squares the gradients of a layer of some networks."""

        def receive(gradient: Tensor, data: Tensor) -> None:
            scaler = Scaler()
            left, right = gradient.transpose(0, 1), data.transpose(0, 1)
            sizes = len(gradient), left.shape[2], right.shape[2]
            forms: dict[str, Form] = {
                f"{name}weight": Outer(left.unsqueeze(1), right.unsqueeze(1), sizes, (0, 1, 2)),
                f"{name}bias": Dense(left),
            }
            for label in forms.keys() & self.names:
                view = self.sums.totals[label][some]
                self.sums.add(label, view, *forms[label].squares(scaler))

        return receive


class _Layer(torch.autograd.Function):
    """A linear layer of several networks; its gradient goes to a receiver."""

    @staticmethod
    def forward(
        ctx: Any, data: Tensor, root: Tensor, weight: Tensor, bias: Tensor | None, receive: Receiver
    ) -> Tensor:
        """Return ``x Wᵀ + b`` per network, connected to `root` so that backward passes come by."""
        ctx.save_for_backward(data, weight)
        ctx.receive = receive
        if bias is None:
            return torch.bmm(data, weight.mT)
        return torch.baddbmm(bias.unsqueeze(1), data, weight.mT)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Give the gradient away and pass it on to the layer before."""
        (gradient,) = gradients
        data, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        ctx.receive(gradient, data)
        before = torch.bmm(gradient, weight) if ctx.needs_input_grad[0] else None
        return before, None, None, None, None


def is_chain(models: Sequence[nn.Module], data: Data) -> bool:
    """Return whether all models are chains, fed with one vector per sample, on the processor."""
    chains = [_links(model) for model in models]
    kinds = {tuple((name, type(m)) for name, m in links) for links in chains}
    if len(kinds) > 1 or not any(type(m) is nn.Linear for _, m in chains[0]):
        return False
    if not all(type(m) in (nn.Linear, *ELEMENTWISE) for _, m in chains[0]):
        return False
    if any(_is_hooked(m) for model in models for m in model.modules()):
        return False
    parameters = [list(_parameters(links).values()) for links in chains]
    dtypes = {p.dtype for own in parameters for p in own}
    return (
        dtypes in ({torch.float32}, {torch.float64})
        and all(len({id(p) for p in own}) == len(own) for own in parameters)
        and all(p.is_cpu for own in parameters for p in own)
        and all(isinstance(x, Tensor) and x.ndim == 2 and x.is_cpu and x.dtype in dtypes
                for x, _ in pairs(data))
    )  # fmt: skip


def _links(model: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """Return the modules of nested `nn.Sequential` in order, with their parameters' prefix."""
    if type(model) is not nn.Sequential:
        return [(prefix, model)]
    return [
        link for name, child in model._modules.items() if child is not None
        for link in _links(child, f"{prefix}{name}.")
    ]  # fmt: skip


def _parameters(links: list[tuple[str, nn.Module]]) -> dict[str, Tensor]:
    """Return the parameters of a chain by name, tied ones at each of their places."""
    return {
        f"{prefix}{name}": p
        for prefix, module in links
        for name, p in module._parameters.items()
        if p is not None
    }


def _is_hooked(module: nn.Module) -> bool:
    """Return whether something would see the module run."""
    hooks = (
        module._forward_hooks, module._forward_pre_hooks,
        module._backward_hooks, module._backward_pre_hooks,
    )  # fmt: skip
    return any(hooks)
