"""The record of one forward pass: where parameters meet data, and what comes back there."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fimtiers.fisher.forms import Dense, Form
from fimtiers.fisher.joint import merged, same_elements
from fimtiers.fisher.layout import Layout
from fimtiers.fisher.squares import Scaler
from fimtiers.fisher.sums import Part, Sums
from fimtiers.fisher.symmetry import SymmetryDetector
from fimtiers.fisher.tracked import Tracked

FormBuilder = Callable[[Tensor, tuple[Tensor, ...], Layout, int], Form]
"""Makes a form of (gradient, saved tensors, layout, number of samples)."""

MATERIALISED_BYTES = 64 << 20
"""Per-sample gradients of parameters with several uses are held in chunks of this size."""


class MixedSamplesError(Exception):
    """A gradient holds several samples where the rule needs them apart."""


Receiver = Callable[["Site", Tensor, tuple[Tensor, ...]], None]
"""Takes (site, gradient, saved tensors) when a gradient arrives."""


@dataclass(eq=False, slots=True)
class Site:
    """One operation in which parameters meet data.

    Attributes
    ----------
    key
        Name of the operation and labels of the tracked tensors.
    shape
        Of the watched tensor.
    uses
        The tracked tensors, each with what makes a form of the gradient that comes back.
    samples
        Number of samples in the batch.
    receiver
        Takes the gradient.
    gathered
        Whether rows were picked by index before, so that samples may be anywhere.
    evident
        Whether the first axis shows that it counts samples, slowest.
    moves
        Hash of the moves of axes before it; see `fimtiers.fisher.interception.MOVES`.
    layout
        Where the samples are in the watched tensor; None before it is known.
    ambiguous
        Whether the gradients that showed the layout fit another one as well.
    """

    key: tuple[str, ...]
    shape: torch.Size
    uses: Sequence[tuple[Tracked, FormBuilder]]
    samples: int
    receiver: Receiver
    gathered: bool = False
    evident: bool = False
    moves: int = 0
    layout: Layout | None = None
    ambiguous: bool = False


class Watch(torch.autograd.Function):
    """The identity; hands the gradient of its input to a site.

    Saved tensors go through autograd, so that in-place changes to them are noticed and
    activation checkpointing can drop and recompute them.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, root: Tensor, site: Site, *saved: Tensor) -> Tensor:
        """Return `output`, connected to `root` so that backward passes come by."""
        ctx.site = site
        ctx.save_for_backward(*saved)
        if output._is_view():
            if any(tracked.shares_memory(output) for tracked, _ in site.uses):
                return output.view_as(output)
            # A view from a custom function may not be changed in place, so this is none; nothing
            # else holds the result of the operation.
            return output.data
        # Declared as changed in place, the output may be changed in place again (ReLU).
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Give the gradient to the site and pass it on."""
        (gradient,) = gradients
        site, saved = ctx.site, ctx.saved_tensors  # checkpointing allows one look
        site.receiver(site, gradient, saved)
        return gradient, None, None, *(None for _ in saved)


class SquareCollector:
    """Turns gradients that arrive at sites into sums of squares.

    A tensor with one use is squared as soon as its gradient arrives. The uses of a tensor with
    several are kept until all have come and are added per sample before they are squared.

    Parameters
    ----------
    sums
        Sums of squares to add to.
    sites
        All sites of the forward pass.
    stand_ins
        What gradients of tensors made of parameters are pulled back to, by name.
    symmetry
        Looks at all gradients, if given.
    """

    def __init__(
        self,
        sums: Sums,
        sites: Sequence[Site],
        stand_ins: dict[str, Tensor],
        symmetry: SymmetryDetector | None = None,
    ) -> None:
        self.sums, self.stand_ins, self.symmetry = sums, stand_ins, symmetry
        self.awaited: dict[str, int] = _uses_of_joint_parameters(sites, sums)
        self.arrived: dict[str, list[tuple[Tracked, Form]]] = defaultdict(list)

    def receive(self, site: Site, gradient: Tensor, saved: tuple[Tensor, ...]) -> None:
        """Take the gradient that arrived at a site."""
        if site.layout is None:
            raise AssertionError(f"site {site.key} has no layout")
        scaler = Scaler()
        for tracked, build in site.uses:
            form = build(gradient, saved, site.layout, site.samples)
            if self.symmetry is not None:
                self.symmetry.look(tracked, form)
            if tracked.sums is not None and tracked.roots[0] not in self.awaited:
                self._add(tracked.roots[0], tracked.sums, form, scaler)
                continue
            for root in tracked.roots:
                self.arrived[root].append((tracked, form))
                if len(self.arrived[root]) == self.awaited[root]:
                    self._square_together(root)

    def finish(self) -> None:
        """Square what waits for uses that no gradient reached."""
        for root in list(self.arrived):
            self._square_together(root)

    def _add(self, root: str, view: Tensor, form: Form, scaler: Scaler) -> None:
        scaler.fused, scaler.wide = False, view.dtype == torch.float64
        form.add_squares(Part(self.sums, root, view), scaler)
        if scaler.fused:
            self.sums.fused.add(root)

    def _square_together(self, root: str) -> None:
        uses = self.arrived.pop(root)
        if together := merged(uses):
            tracked, form = together
            assert tracked.sums is not None
            self._add(root, tracked.sums, form, Scaler())
            return
        stand_in = self.stand_ins[root]
        chunk = max(1, MATERIALISED_BYTES // (stand_in.numel() * stand_in.element_size()))
        samples = uses[0][1].samples
        for start in range(0, samples, chunk):
            stop = min(start + chunk, samples)
            total = sum(
                _pulled_back(tracked, form.gradients(start, stop), stand_in)
                for tracked, form in uses
            )
            self.sums.add(root, self.sums.totals[root], *Dense(total).squares(Scaler()))  # type: ignore[arg-type]


def _pulled_back(tracked: Tracked, gradients: Tensor, stand_in: Tensor) -> Tensor:
    if tracked.graph is stand_in:
        return gradients
    (pulled,) = torch.autograd.grad(
        tracked.graph, stand_in, gradients.to(tracked.graph.dtype).contiguous(),
        is_grads_batched=True, retain_graph=True,
    )  # fmt: skip
    return pulled


def _uses_of_joint_parameters(sites: Sequence[Site], sums: Sums) -> dict[str, int]:
    """Return the number of uses of each parameter some element of which is used twice."""
    uses: dict[str, list[Tensor | None]] = {}
    for site in sites:
        for tracked, _ in site.uses:
            for root in tracked.roots:
                uses.setdefault(root, []).append(tracked.sums)
    return {
        root: len(views)
        for root, views in uses.items()
        if len(views) > 1 or views[0] is None
        if _overlap(views, sums.totals[root])
    }


def _overlap(parts: Sequence[Tensor | None], whole: Tensor) -> bool:
    """Return whether parts of a tensor share an element, or one is not a part but made of it."""
    views = [part for part in parts if part is not None]
    if len(views) < len(parts):
        return True
    if sum(view.numel() for view in views) > whole.numel():
        return True
    if any(same_elements(views[0], view) for view in views[1:]):
        return True
    count = torch.zeros(whole.shape, dtype=torch.int8, device=whole.device)
    for view in views:
        offset = view.storage_offset() - whole.storage_offset()
        torch.as_strided(count, view.shape, view.stride(), offset).add_(1)
    return bool((count > 1).any())
