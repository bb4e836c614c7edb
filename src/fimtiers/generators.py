"""Random generators as data: their state is stored with a system's state, so a stream goes on.

The published protocols draw initialisation, training batches and probes from one stream per seed.
Stages are separate jobs here, so the state of the generator travels between them in the file.
Generators of torch are in `fimtiers.torch_generators`: systems without torch do not load it.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.records import Variable


def pack_numpy(generators: Sequence[np.random.Generator]) -> Variable:
    """Store the state of one numpy generator per seed.

    Returns
    -------
    Variable
        uint8 of shape (seed, generator_byte): JSON text, padded with spaces.
    """
    texts = [json.dumps(g.bit_generator.state, sort_keys=True).encode() for g in generators]
    width = max(map(len, texts))
    rows = [np.frombuffer(text.ljust(width), dtype=np.uint8) for text in texts]
    return ("seed", "generator_byte"), np.stack(rows)


def unpack_numpy(stored: Variable) -> list[np.random.Generator]:
    """Return one numpy generator per seed, each where `pack_numpy` found it."""
    generators = []
    for row in stored[1]:
        state: dict[str, Any] = json.loads(row.tobytes())
        bit_generator = getattr(np.random, state["bit_generator"])()
        bit_generator.state = state
        generators.append(np.random.Generator(bit_generator))
    return generators


def seed_numpy(seeds: NDArray[np.integer[Any]]) -> list[np.random.Generator]:
    """Return one fresh `numpy.random.default_rng` per seed."""
    return [np.random.default_rng(int(seed)) for seed in seeds]
