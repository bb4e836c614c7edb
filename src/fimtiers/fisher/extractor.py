"""A Fisher diagonal prepared once and extracted again and again, as during training."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import NO_SAMPLES, Data, Inputs, ends, length, pairs, part, split
from fimtiers.fisher.calibration import Routes, add_without_rules, calibrate, leave_to_loop
from fimtiers.fisher.chain_engine import ChainEngine
from fimtiers.fisher.engine import Engine
from fimtiers.fisher.flatness import still_flat
from fimtiers.fisher.interception import RoutesChangedError
from fimtiers.fisher.isolation import isolated
from fimtiers.fisher.likelihoods import Likelihood
from fimtiers.fisher.loop_check import (
    SAMPLES,
    losses_alone,
    refuse_coupled,
    refuse_not_finite_sums,
)
from fimtiers.fisher.objective import Objective, PerSampleLoss
from fimtiers.fisher.operations import Operations
from fimtiers.fisher.randomness import draws_are_unused
from fimtiers.fisher.refusals import (
    LossError,
    RandomCallError,
    SampleCouplingError,
    refuse_coupled_modules,
)
from fimtiers.fisher.result import Diagonal
from fimtiers.fisher.structure import structure_of
from fimtiers.fisher.sums import Sums

LEAST_MEMORY, MOST_MEMORY = 512 << 20, 2 << 30
"""Between these lies the default bound on activations and gradients of a micro-batch, bytes. It is
what the sums of squares take: to go through them once per micro-batch, that must be worth it."""

BETWEEN = 2
"""Samples between the first and the last whose losses are compared, at most."""

SPARSE = 32
"""One is compared for this many samples."""

FEW = 32
"""In a batch of at most this many samples those that were compared are not run again."""

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
device, check, flattened
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
        memory: int | None = None,
        accumulate: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
        check: bool = True,
        flattened: bool = False,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"the model is a {type(model).__name__}; expected a torch.nn.Module, which holds "
                "the parameters"
            )
        if micro_batch is not None and micro_batch < 1:
            raise ValueError(f"micro_batch is {micro_batch}; expected at least 1")
        self.model = model
        self.objective = Objective(per_sample_loss, kind, unit, draws, seed, flattened)
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
        where = None if directory is None else Path(directory)
        with isolated(self.model), torch.inference_mode(False), torch.enable_grad():
            while True:
                try:
                    return self._extract(data, where)
                except RoutesChangedError:
                    continue  # samples met a parameter in a way that the first ones did not show

    def _extract(self, data: Data, directory: Path | None) -> Diagonal:
        begun, n, operations = False, 0, Operations()
        for pair in pairs(data, self.model):
            samples = length(pair[0])
            if samples == 0:
                continue
            if not begun:
                counted = self._begin(pair, directory)
                begun = True
                if counted:
                    n += counted
                    self._engine.note(operations)
                    pair = part(pair, 1, samples + 1 - self._calibrated_on)
            elif samples > 1 and self._calibrated_on == 1 and self.check:
                self._begin_again(pair)
            for batch in split(pair, self._size):
                n += self._add(batch)
                self._engine.note(operations)
        if not begun:
            raise ValueError(NO_SAMPLES)
        if n == 0:
            raise ValueError("no token of the data has a label; the mean is over those that have")
        sums = self._engine.end()
        refuse_not_finite_sums(sums)
        return Diagonal(
            sums.totals,
            n,
            {
                name: sums.marked(name, self._routes.describe(name, operations.of(name)))
                for name in sums.totals
            },
            sums.exponents,
            self._engine.masks() | still_flat(self._routes.flat, sums, n, self.model),
            self.objective.kind,
            self.objective.unit,
        )

    def _begin(self, batch: tuple[Inputs, Any], directory: Path | None) -> int:
        """Let the engine add to new sums; make one first, unless it was for this structure.

        Returns
        -------
        int
            What the samples at the ends of the batch count for, if they were added already.
        """
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
            self._calibrate(batch, make_sums)
            self._structure = structure
            if self._engine.counted and length(batch[0]) <= FEW:
                return self._engine.counted
            self._engine.end()
        self._engine.begin(make_sums())
        self.objective.restart()
        return 0

    def _begin_again(self, batch: tuple[Inputs, Any]) -> None:
        """Find routes anew with a batch of several samples, after batches of one."""
        sums = self._engine.end()
        self._calibrate(batch, partial(Sums, self._shapes, self.accumulate, self._home))
        self._engine.end()
        self._engine.begin(sums)

    def _calibrate(self, batch: tuple[Inputs, Any], make_sums: Callable[[], Sums]) -> None:
        few = ends(batch, min(SAMPLES, self.micro_batch or SAMPLES))
        self._engine = calibrate(
            self.model, self.objective, list(self._shapes), few, make_sums, self.check, self._routes
        )
        self._calibrated_on, self._compared = length(few[0]), 1
        entries = sum(shape.numel() for shape in self._shapes.values())
        usual = min(max(LEAST_MEMORY, entries * self.accumulate.itemsize), MOST_MEMORY)
        self._size = self.micro_batch or affordable(self._engine, self.memory or usual)

    def _add(self, batch: tuple[Inputs, Any]) -> int:
        """Add the samples of a batch by all routes; return how many they count for."""
        samples = length(batch[0])
        try:
            labels, losses, count = self._engine.add(batch)
            labelled = batch[0], labels
            sums, routes = self._engine.sums, self._routes
            add_without_rules(self.model, self.objective, labelled, routes, sums)
        except RandomCallError as error:
            if not draws_are_unused(self.model, self.objective, batch):
                raise
            self._routes.plan.draws_unused = True
            raise RoutesChangedError from error
        except (RoutesChangedError, SampleCouplingError, LossError):
            raise
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            leave_to_loop(error, self.model, self.objective, batch, self._routes)
            raise RoutesChangedError from error
        if self.check and samples > self._compared and losses is not None:
            self._compare(labelled, losses)
            self._compared = samples
        return count

    def _compare(self, batch: tuple[Inputs, Any], losses: Tensor) -> None:
        """Compare losses of a batch larger than any before with those of samples alone.

        The first and the last sample, and a few between in large batches, where a coupling may
        begin beyond those that the routes were found with.
        """
        samples = len(losses)
        between = min(BETWEEN, samples // SPARSE)
        chosen = [0, *(k * samples // (between + 1) for k in range(1, between + 1)), samples - 1]
        alone = [losses_alone(self.model, self.objective, batch, sample) for sample in chosen]
        refuse_coupled(losses[chosen], torch.stack(alone), self._engine.computed_in)


def chosen(named: dict[str, nn.Parameter], parameters: Sequence[str] | None) -> list[str]:
    """Return the names of the parameters to compute, or raise if one cannot be."""
    if parameters is None:
        names = [name for name, p in named.items() if p.requires_grad]
    else:
        names = list(parameters)
        if not all(isinstance(name, str) for name in names):
            raise TypeError(
                f"parameters hold a {type(names[0]).__name__}; expected names, as "
                "model.named_parameters() gives them"
            )
        unknown = sorted(set(names) - set(named))
        if unknown:
            raise ValueError(f"no parameters called {unknown}; the model has {sorted(named)}")
        frozen = [name for name in names if not named[name].requires_grad]
        if frozen:
            raise ValueError(f"{frozen} do not require gradients")
    if not any(named[name].numel() for name in names):
        raise ValueError("the model has no parameters that require gradients")
    return names


def affordable(engine: Engine | ChainEngine, memory: int) -> int:
    """Return a number of samples whose outputs fit in `memory` bytes."""
    return max(1, int(memory / (KEPT_PER_OUTPUT * engine.itemsize * max(1.0, engine.entries))))
