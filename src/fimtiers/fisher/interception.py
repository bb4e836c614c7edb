"""Watches a model compute, operation by operation, and marks where parameters meet data.

Nothing about the model is changed: parameters are swapped for detached values in the arguments
of each torch function while the forward pass runs. Calls of modules, functional calls, shared
modules, tied and raw parameters look the same at this level.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fimtiers.fisher.gathers import WATCHED, Gathers
from fimtiers.fisher.layout import Layout
from fimtiers.fisher.packings import Packings
from fimtiers.fisher.provenance import Derivation
from fimtiers.fisher.refusals import SUSPECT, refuse_coupled_call
from fimtiers.fisher.rules import DECOMPOSITIONS, RULES
from fimtiers.fisher.sums import Sums
from fimtiers.fisher.tape import FormBuilder, Receiver, Site, Watch
from fimtiers.fisher.tracked import NESTED, Tracked, leaves, mapped, selected_sums, value

UNTRACKED = frozenset({
    "detach", "data", "detach_", "shape", "dtype", "device", "size", "dim", "ndim", "numel",
    "stride", "is_floating_point", "requires_grad", "grad", "grad_fn", "is_leaf", "layout", "item",
    "data_ptr", "is_cuda", "is_contiguous", "element_size", "__len__", "names", "is_sparse",
    "is_quantized", "is_meta", "is_nested", "is_cpu", "itemsize", "nbytes", "register_hook",
    "requires_grad_", "__repr__", "__format__", "zeros_like", "ones_like", "empty_like",
    "new_zeros", "new_ones", "new_empty", "new_full", "full_like", "_version", "__hash__",
    "untyped_storage", "is_complex", "nelement", "get_device", "storage_offset", "is_mkldnn",
})  # fmt: skip
"""Attributes and functions whose result carries no gradient to a parameter."""


SEQUENCES = (tuple, list)
"""Arguments that parameters are looked for in."""

LOOKUPS = frozenset({"embedding", "__getitem__"})
"""Functions whose index often has one row that serves all samples."""


class RoutesChangedError(Exception):
    """The plan changed in mid-run; sums begun under the old one are void."""


MOVES = frozenset({
    "transpose", "permute", "movedim", "moveaxis", "swapaxes", "swapdims", "t", "adjoint", "stack",
    "unbind", "select", "squeeze", "unsqueeze", "einsum", "T", "mT", "H", "mH", "transpose_",
    "swapaxes_", "swapdims_", "t_",
})  # fmt: skip
"""Functions that change which axis is which. Where samples were found holds after equal moves."""


@dataclass
class Plan:
    """What calibration learned about a model.

    Attributes
    ----------
    derive
        Keys of operations that make a tensor of parameters alone, though a rule is at hand.
    on_samples
        Keys of operations that samples go into, though none of their arguments needs a gradient.
    misleading
        Keys of operations on whose results a first axis as long as there are samples is another.
    packed
        Keys of operations on packed sequences that hold samples where packing put them.
    without_rule
        Parameters left to the fallback, each with the reason.
    by_hand
        Whether a model that is a chain may be run by hand.
    draws_unused
        Whether the model draws random numbers that its losses were seen not to depend on.
    own_loss
        Whether the loss is the one that the model computes itself, for one sample at a time.
    """

    derive: set[tuple[str, ...]] = field(default_factory=set)
    on_samples: set[tuple[str, ...]] = field(default_factory=set)
    misleading: set[tuple[str, ...]] = field(default_factory=set)
    packed: set[tuple[str, ...]] = field(default_factory=set)
    without_rule: dict[str, str] = field(default_factory=dict)
    by_hand: bool = True
    draws_unused: bool = False
    own_loss: bool = False


class Interception(TorchFunctionMode):
    """Records the sites of a forward pass.

    Parameters
    ----------
    parameters
        Parameters to watch, by name.
    plan
        Decisions so far; reasons to give up on a parameter are added to it.
    sums
        Sums of squares, whose views follow slices and transposes of parameters.
    """

    stacked = False
    """Whether the model is run by `torch.func.vmap` over networks."""

    def __init__(self, parameters: Mapping[str, Tensor], plan: Plan, sums: Sums) -> None:
        super().__init__()
        self.plan, self.sums = plan, sums
        first = next(iter(parameters.values()))
        self.root = torch.zeros((), device=first.device, requires_grad=True)
        self.gathered_root = torch.zeros((), device=first.device, requires_grad=True)
        self.stand_ins = {n: p.detach().requires_grad_() for n, p in parameters.items()}
        self.named = dict(parameters)
        self.parameters = {
            id(p): Tracked(p, p.detach(), self.stand_ins[n], (n,), n, sums.totals[n])
            for n, p in parameters.items()
        }
        self.known = dict(self.parameters)
        self.gathers, self.packings = Gathers(), Packings(0)
        self.samples = 0
        self.expected: dict[Site, Layout] = {}
        self.computed_in: set[torch.dtype] = set()
        self.sites: list[Site] = []
        self.derivations: list[Derivation] | None = None
        self.blamed_derived = False
        self.receiver: Receiver | None = None
        self.key: tuple[str, ...] = ()
        self.moves = 0
        self.active = False
        self.recomputing = False
        self.guessing = False

    def bind(self, sums: Sums) -> None:
        """Let squares go to other sums, and forget what was recorded."""
        self.sums = sums
        self.parameters = {
            key: Tracked(t.tensor, t.value, t.graph, t.roots, t.label, sums.totals.get(t.label))
            for key, t in self.parameters.items()
        }
        self.known, self.sites, self.receiver = dict(self.parameters), [], None

    @contextmanager
    def recording(self, samples: int, guessing: bool = False) -> Iterator[None]:
        """Record a forward pass, and stay for backward passes that recompute parts of it."""
        self.guessing = guessing
        self.known = dict(self.parameters)
        self.samples, self.sites, self.receiver = samples, [], None
        self.gathers, self.packings, self.expected = Gathers(), Packings(samples), {}
        self.moves, self.blamed_derived = 0, False
        device = self.root.device.type
        if torch.is_autocast_enabled(device):
            self.computed_in.add(torch.get_autocast_dtype(device))
        self.active, self.recomputing = True, False
        try:
            with self:
                yield
        finally:
            self.active = False
            self.known = dict(self.parameters)

    def backward(
        self, loss: Tensor, receiver: Receiver, retain: bool = True, gathered_only: bool = False
    ) -> None:
        """Run a backward pass through what was recorded; `receiver` gets what arrives at sites.

        The only gradients asked for are those of the roots, so none of a parameter is ever
        formed, and none beyond the sites of gathered rows if these are all that matters. Those of
        parameters are asked for too, but no path leads there unless code that cannot be seen,
        such as compiled or custom functions, used one as it is.

        Raises
        ------
        RoutesChangedError
            If there is such a path; `plan` leaves the parameter to the fallback.
        """
        self.receiver, self.recomputing = receiver, True
        roots = (self.gathered_root,) if gathered_only else (self.root, self.gathered_root)
        if not loss.requires_grad:
            return
        names = [name for name in self.named if name not in self.plan.without_rule]
        watched = [tensor for name in names for tensor in (self.named[name], self.stand_ins[name])]
        # torch.autograd.grad and backward would suspend this mode, and with it the
        # interception of what activation checkpointing recomputes.
        found = torch.autograd.Variable._execution_engine.run_backward(
            (loss,), (torch.ones_like(loss),), retain, False, (*roots, *watched),
            allow_unreachable=True, accumulate_grad=False,
        )  # fmt: skip
        leaked = {
            names[k // 2] for k, gradient in enumerate(found[len(roots) :]) if gradient is not None
        }
        if leaked:
            reason = "used where operations cannot be seen"
            self.plan.without_rule.update(dict.fromkeys(leaked, reason))
            raise RoutesChangedError

    def look_for_leaks(self, losses: Sequence[Tensor]) -> None:
        """Raise `RoutesChangedError` if a parameter is used where it cannot be seen."""
        for number, loss in enumerate(losses):
            self.backward(loss.sum(), lambda *_: None, retain=number + 1 < len(losses))

    def give_up_all(self, reason: str) -> None:
        """Leave all parameters to the fallback."""
        for name in self.named:
            self.plan.without_rule.setdefault(name, reason)

    def _deliver(self, site: Site, gradient: Tensor, saved: tuple[Tensor, ...]) -> None:
        if self.receiver is None:
            self.give_up_all("the model takes derivatives itself")
            raise RoutesChangedError
        # What is done with a gradient is no business of the interception.
        with torch._C.DisableTorchFunction():
            self.receiver(site, gradient, saved)

    def tracked(self, item: Any) -> Tracked | None:
        """Return the record of a tensor if it is a parameter or made of parameters."""
        return self.known.get(id(item))

    def watch(
        self,
        output: Tensor,
        uses: Sequence[tuple[Tracked, FormBuilder]],
        saved: tuple[Tensor, ...] = (),
    ) -> Tensor:
        """Return `output`, and have its gradient delivered to a new site.

        Parameters
        ----------
        output
            Result of an operation on data and values of tracked tensors.
        uses
            The tracked tensors, each with what makes a form of the gradient.
        saved
            Tensors that the forms need besides the gradient.
        """
        shape = output.shape
        self.computed_in.add(output.dtype)
        gathered = self.gathers.may_hide(shape, self.samples)
        layout = self.packings.layout(shape) if gathered else None
        known = layout is not None and self.key in self.plan.packed
        gathered &= not known
        evident = not gathered and self.key not in self.plan.misleading
        evident = evident and _shows_samples(shape, saved, self.samples)
        site = Site(
            self.key, shape, uses, self.samples, self._deliver, gathered, evident, self.moves
        )
        if known:
            site.layout = layout
        elif layout is not None:
            self.expected[site] = layout
        if not self.recomputing:
            self.sites.append(site)
        root = self.gathered_root if gathered else self.root
        return Watch.apply(output, root, site, *(x.detach() for x in saved))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run one torch function, by a rule if it meets a parameter."""
        kwargs = kwargs or {}
        if not self.active:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in SUSPECT:
            refuse_coupled_call(name, args, kwargs, self.plan.draws_unused)
        elif name == "__get__":
            name = func.__self__.__name__  # type: ignore[attr-defined]
        if name in MOVES:
            self.moves = hash((self.moves, name, *_axes(args), *_axes(kwargs.values())))
        if not self._meets_parameter(args, kwargs) or not torch.is_grad_enabled():
            result = func(*args, **kwargs)
            if name in WATCHED:
                self.gathers.note(name, args, kwargs, result)
                self.packings.note(name, args, result)
            return result
        if name in UNTRACKED:
            return func(*args, **kwargs)
        if name in DECOMPOSITIONS:
            with self:
                result = DECOMPOSITIONS[name](*args, **kwargs)
            if result is not NotImplemented:
                return result
        found: list[Tracked] = []
        args = [self._recognised(x, found) for x in args]
        if kwargs:
            kwargs = {key: self._recognised(x, found) for key, x in kwargs.items()}
        if not found:
            return func(*args, **kwargs)
        if torch._C._functorch.maybe_current_level() is not None and not self.stacked:
            self.give_up(found, "used inside torch.func")
            return func(*mapped(value, args), **mapped(value, kwargs))
        return self._run(name, func, args, kwargs, found)

    def _meets_parameter(self, args: Any, kwargs: dict[str, Any]) -> bool:
        """Return whether an argument is tracked; called for every operation, so kept short."""
        known = self.known
        for x in args:
            if id(x) in known or (isinstance(x, SEQUENCES) and self._meets_parameter(x, {})):
                return True
        return bool(kwargs) and self._meets_parameter(kwargs.values(), {})

    def _recognised(self, item: Any, found: list[Tracked]) -> Any:
        """Return the record of a tracked tensor, the value of one left to the fallback."""
        tracked = self.known.get(id(item))
        if tracked is None:
            if isinstance(item, NESTED):
                return mapped(lambda x: self._recognised(x, found), item)
            return item
        without_rule = self.plan.without_rule
        if without_rule and not without_rule.keys().isdisjoint(tracked.roots):
            return tracked.value
        found.append(tracked)
        return tracked

    def _run(
        self, name: str, func: Callable[..., Any], args: Any, kwargs: Any, found: list[Tracked]
    ) -> Any:
        self.key = (name, *[tracked.label for tracked in found])
        plan = self.plan
        meets_data = self.key in plan.on_samples
        if self.guessing and not meets_data and _one_row_for_all(name, args, self.samples):
            plan.derive.add(self.key)
        if name in RULES and self.key not in plan.derive:
            result = RULES[name](self, func, *args, **kwargs)
            if result is not NotImplemented:
                return result
        changes_parameter = name.startswith("__i") or (name[-1:] == "_" != name[-2:-1])
        meets_data |= any(isinstance(x, Tensor) and x.requires_grad for x in leaves((args, kwargs)))
        if (changes_parameter and isinstance(args[0], Tracked)) or meets_data:
            self.give_up(found, f"no rule for {name}")
            return func(*mapped(value, args), **mapped(value, kwargs))
        return self._derive(name, func, args, kwargs, found)

    def give_up(self, found: Sequence[Tracked], reason: str) -> None:
        """Leave the parameters behind some tracked tensors to the fallback."""
        self.blamed_derived |= any(tracked.graph.grad_fn is not None for tracked in found)
        for root in {root for tracked in found for root in tracked.roots}:
            self.plan.without_rule.setdefault(root, reason)

    def _derive(
        self, name: str, func: Callable[..., Any], args: Any, kwargs: Any, found: list[Tracked]
    ) -> Any:
        """Make a tensor of parameters alone and keep track of it."""

        def graph(item: Any) -> Any:
            return item.graph if isinstance(item, Tracked) else item

        result = func(*mapped(graph, args), **mapped(graph, kwargs))
        views = selected_sums(name, func, args, kwargs, list({id(t): t for t in found}.values()))
        roots = tuple(dict.fromkeys(root for tracked in found for root in tracked.roots))
        tensors = list(leaves(result))
        many = views is not None and not isinstance(views, Tensor)
        label = f"{name}({', '.join(tracked.label for tracked in found)})"
        made: list[Tracked] = []
        for i, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor) or not tensor.requires_grad:
                continue
            sums = list(leaves(views))[i] if many else views
            own = f"{label}[{i}]" if len(tensors) > 1 else label
            known = Tracked(tensor, tensor.detach(), tensor, roots, own, sums)
            self.known[id(tensor)] = known
            made.append(known)
        if self.derivations is not None:
            alone = not any(isinstance(x, Tensor) for x in leaves((args, kwargs)))
            self.derivations.append(Derivation(self.key, found, made, alone))
        return result


def _axes(items: Iterable[Any]) -> Iterator[Any]:
    """Yield the numbers and texts among arguments, those that name axes."""
    for item in items:
        if isinstance(item, (int, str)):
            yield item
        elif isinstance(item, (tuple, list)) and item and isinstance(item[0], int):
            yield from item


def _one_row_for_all(name: str, args: Sequence[Any], samples: int) -> bool:
    """Return whether an index has a single row for several samples, as positions often have."""
    if name not in LOOKUPS or len(args) < 2:
        return False
    index = args[1] if isinstance(args[0], Tracked) else args[0]
    return (
        isinstance(index, Tensor)
        and index.ndim > 1
        and len(index) == 1 < samples
        and samples not in index.shape
    )


def _shows_samples(shape: torch.Size, saved: tuple[Tensor, ...], samples: int) -> bool:
    """Return whether the first axis counts samples, by its length or by what it is a view of.

    Another axis of the same length might count them as well. The check need not tell them apart,
    where one token or sample outweighs all others, so such a shape shows nothing.
    """
    if len(shape) > 0 and shape[0] == samples:
        return samples not in shape[1:]
    base = saved[0]._base if saved else None
    return (
        base is not None
        and len(shape) > 0
        and shape[0] % samples == 0
        and base.ndim > 1
        and base.shape[0] == samples
        and samples not in base.shape[1:]
        and saved[0].shape[0] == shape[0]
        and saved[0].numel() == base.numel()
        and saved[0].is_contiguous()
        and base.stride(0) * samples == base.numel()
    )
