"""Runs batches through a model that is a chain by hand, and through an engine what is none."""

from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs
from fimtiers.fisher.chain import ROUTE, Chain
from fimtiers.fisher.engine import Engine
from fimtiers.fisher.interception import Plan, RoutesChangedError
from fimtiers.fisher.links import Links, links_of
from fimtiers.fisher.loop_check import differing
from fimtiers.fisher.loss_watch import LossOfParametersError
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.operations import Operations
from fimtiers.fisher.sums import Sums


class ChainEngine:
    """What `Engine` is, for a model that is a chain.

    The first batch is compared with the loop before anything is added.

    Parameters
    ----------
    model, objective, names, plan
        As of `Engine`.
    links
        The chain that the model is.

    Attributes
    ----------
    confirmed
        Whether what it computes agreed with the loop.
    alone
        Losses of the first samples, each alone, shape (sample, backward pass).
    counted
        As of `Engine`: none, as samples are compared within the first batch.
    """

    counted = 0

    def __init__(
        self, model: nn.Module, objective: Objective, names: Sequence[str], plan: Plan, links: Links
    ) -> None:
        self.model, self.objective, self.plan = model, objective, plan
        self.names = list(names)
        self.confirmed = False
        self.alone: Tensor | None = None
        self.chain = Chain(links, objective, names)
        self.sums = Sums({})
        self._general: Engine | None = None
        self._by_hand = True

    @property
    def computed_in(self) -> frozenset[torch.dtype]:
        """What operations on parameters gave besides their own dtype, as of `Engine`."""
        return frozenset() if self._general is None else self._general.computed_in

    @property
    def entries(self) -> float:
        """Entries of the outputs that are kept for a sample."""
        return sum(self.chain.links.widths[1:])

    @property
    def itemsize(self) -> int:
        """Bytes of an entry."""
        return self.chain.size

    def begin(self, sums: Sums) -> None:
        """Start anew with other sums."""
        self.sums = sums
        if self._general is not None:
            self._general.begin(sums)

    def end(self) -> Sums:
        """Return the sums and let go of them."""
        sums, self.sums = self.sums, Sums({})
        self.chain.release()
        if self._general is not None:
            self._general.end()
        return sums

    def add(self, batch: tuple[Inputs, Any]) -> tuple[Any, Tensor | None, int]:
        """Add the squared per-sample gradients of a batch, as `Engine.add` does."""
        # Nothing runs between the making and the first batch that could change the model.
        self._by_hand = not self.confirmed or self._is_chain(batch[0])
        if not self._by_hand:
            return self._engine().add(batch)
        try:
            return self.chain.add(batch, self.sums, None if self.confirmed else self._confirm)
        except LossOfParametersError as error:
            self._leave(error)

    def note(self, operations: Operations) -> None:
        """Note the operations of the last batch."""
        if self._by_hand:
            operations.note([((ROUTE, name), [name]) for name in self.names])
        else:
            self._engine().note(operations)

    def masks(self) -> dict[str, Tensor]:
        """Return where gradients are zero by symmetry."""
        return {} if self._general is None else self._general.masks()

    def _is_chain(self, inputs: Inputs) -> bool:
        """Return whether the model is the chain that it was."""
        links = links_of([self.model])
        return links is not None and links.takes(inputs) and links == self.chain.links

    def _engine(self) -> Engine:
        """Return what serves when something sees or changes the model, or it gets no vectors."""
        if self._general is None:
            self._general = Engine(self.model, self.objective, self.names, self.plan, self.sums)
        return self._general

    def _confirm(self, batch: tuple[Inputs, Any], losses: Tensor, sums: Sums) -> None:
        """Compare what the chain found for a few samples with the loop."""
        wrong, self.alone = differing(self.model, self.objective, batch, losses, sums, {})
        if wrong:
            self._leave(None)
        self.confirmed = True

    def _leave(self, error: Exception | None) -> NoReturn:
        """Start again, without a chain."""
        self.plan.by_hand, self.confirmed = False, False
        raise RoutesChangedError from error
