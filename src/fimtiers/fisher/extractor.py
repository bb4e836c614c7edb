"""A Fisher diagonal prepared once and extracted again and again, as during training."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fimtiers.fisher.batches import Data, Inputs, pairs, part, split
from fimtiers.fisher.calibration import Routes, add_without_rules, calibrate
from fimtiers.fisher.chain_engine import ChainEngine
from fimtiers.fisher.engine import Engine, RoutesChangedError
from fimtiers.fisher.likelihoods import Likelihood
from fimtiers.fisher.loop_check import SAMPLES
from fimtiers.fisher.objective import Objective, PerSampleLoss
from fimtiers.fisher.operations import Operations
from fimtiers.fisher.refusals import refuse_coupled_modules
from fimtiers.fisher.result import Diagonal
from fimtiers.fisher.structure import structure_of
from fimtiers.fisher.sums import Sums

MEMORY = 512 << 20
"""Default bound on activations and gradients kept for a micro-batch, bytes."""

KEPT_PER_OUTPUT = 4
"""Rough number of tensors kept or made per watched output: input, gradient, activation, product."""


class Extractor:
    """Computes Fisher diagonals of one model; calls after the first cost no preparation.

    The first call finds a route for every parameter and checks it against a single-sample loop.
    Later calls use what it found as long as the structure is the same: modules and their modes,
    the shapes, dtypes and places of parameters, and the shapes and dtypes of the data. Weights may
    change in place in between, as an optimiser changes them. Anything else is prepared for anew.

    Parameters
    ----------
    model, per_sample_loss, kind, unit, draws, seed, parameters, micro_batch, memory, accumulate, \
device, check
        As of `fimtiers.fisher.diagonal`.
    """

    def __init__(
        self,
        model: nn.Module,
        per_sample_loss: PerSampleLoss | Likelihood,
        *,
        kind: str = "empirical",
        unit: str = "sequence",
        draws: int = 1,
        seed: int = 0,
        parameters: Sequence[str] | None = None,
        micro_batch: int | None = None,
        memory: int = MEMORY,
        accumulate: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
        check: bool = True,
    ) -> None:
        self.model = model
        self.objective = Objective(per_sample_loss, kind, unit, draws, seed)
        self.parameters, self.accumulate, self.device = parameters, accumulate, device
        self.micro_batch, self.memory, self.check = micro_batch, memory, check
        self._structure: tuple[Any, ...] | None = None
        self._engine: Engine | ChainEngine

    def __call__(self, data: Data, *, directory: str | Path | None = None) -> Diagonal:
        """Return the diagonal over the samples of `data`.

        Parameters
        ----------
        data
            As of `fimtiers.fisher.diagonal`.
        directory
            If given, the sums are files there, mapped into memory. A diagonal extracted there
            before is overwritten.

        Raises
        ------
        SampleCouplingError, WrongRouteError, ValueError, TypeError
            As `fimtiers.fisher.diagonal`.
        """
        refuse_coupled_modules(self.model)
        with torch.inference_mode(False), torch.enable_grad():
            while True:
                try:
                    return self._extract(data, None if directory is None else Path(directory))
                except RoutesChangedError:
                    continue  # samples met a parameter in a way that the first ones did not show

    def _extract(self, data: Data, directory: Path | None) -> Diagonal:
        begun, n, operations = False, 0, Operations()
        for pair in pairs(data):
            if not begun:
                self._begin(pair, directory)
                begun = True
            for batch in split(pair, self._size):
                n += self._add(batch)
                self._engine.note(operations)
        if not begun:
            raise ValueError("data holds no batch; expected at least one (inputs, targets) pair")
        sums = self._engine.end()
        return Diagonal(
            sums.totals,
            n,
            {
                name: sums.marked(name, self._routes.describe(name, operations.of(name)))
                for name in sums.totals
            },
            sums.exponents,
            self._engine.masks(),
            self.objective.kind,
            self.objective.unit,
        )

    def _begin(self, batch: tuple[Inputs, Any], directory: Path | None) -> None:
        """Let the engine add to new sums; make one first, unless it was for this structure."""
        structure = structure_of(self.model, batch)
        known = structure == self._structure
        if not known:
            self._structure, self._routes = None, Routes()
            named = dict(self.model.named_parameters())
            names = chosen(named, self.parameters)
            self._shapes = {name: named[name].shape for name in names}
            self._home = named[names[0]].device if self.device is None else self.device
        make_sums = partial(Sums, self._shapes, self.accumulate, self._home, directory)
        if not (known and self._engine.confirmed):
            self._engine = calibrate(
                self.model, self.objective, list(self._shapes), part(batch, 0, SAMPLES), make_sums,
                self.check, self._routes,
            )  # fmt: skip
            self._size = self.micro_batch or affordable(self._engine, self.memory)
            self._structure = structure
            self._engine.end()
        self._engine.begin(make_sums())
        self.objective.restart()

    def _add(self, batch: tuple[Inputs, Any]) -> int:
        """Add the samples of a batch by all routes; return how many they count for."""
        labels, losses, weight = self._engine.add(batch)
        labelled = batch[0], labels
        sums = self._engine.sums
        add_without_rules(self.model, self.objective, labelled, self._routes, sums)
        return losses.shape[0] * weight


def chosen(named: dict[str, nn.Parameter], parameters: Sequence[str] | None) -> list[str]:
    """Return the names of the parameters to compute, or raise if one cannot be."""
    if parameters is None:
        names = [name for name, p in named.items() if p.requires_grad]
    else:
        names = list(parameters)
        unknown = sorted(set(names) - set(named))
        if unknown:
            raise ValueError(f"no parameters called {unknown}; the model has {sorted(named)}")
        frozen = [name for name in names if not named[name].requires_grad]
        if frozen:
            raise ValueError(f"{frozen} do not require gradients")
    if not names:
        raise ValueError("the model has no parameters that require gradients")
    return names


def affordable(engine: Engine | ChainEngine, memory: int) -> int:
    """Return a number of samples whose outputs fit in `memory` bytes."""
    return max(1, int(memory / (KEPT_PER_OUTPUT * engine.itemsize * max(1.0, engine.entries))))
