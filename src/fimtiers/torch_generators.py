"""Generators of torch as data, see `fimtiers.generators`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fimtiers.records import Variable


def seed(seeds: NDArray[np.integer[Any]]) -> list[torch.Generator]:
    """Return one fresh CPU generator per seed, equal to ``torch.manual_seed(seed)``."""
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]


def pack(generators: Sequence[torch.Generator]) -> Variable:
    """Store the state of one CPU generator per seed, as uint8 (seed, generator_byte)."""
    return ("seed", "generator_byte"), np.stack([g.get_state().numpy() for g in generators])


def unpack(stored: Variable) -> list[torch.Generator]:
    """Return one CPU generator per seed, each where `pack` found it."""
    generators = []
    for row in stored[1]:
        generator = torch.Generator()
        generator.set_state(torch.from_numpy(np.array(row, dtype=np.uint8)))
        generators.append(generator)
    return generators
