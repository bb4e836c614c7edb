"""Transformer that reproduces a sequence, with per-sequence squared-error loss.

Linear embedding, `depth` pre-norm blocks of attention and MLP, linear head; no positions, no mask,
no final norm. A probe is a sequence x ~ N(0, 1) of shape (`length`, `dim`); its loss is

    ℓ(x; θ) = ½ mean_tj (y_tj − x_tj)²,   y = net(x; θ),

at the given target (`loss` Fisher). Parameters and inputs have no units. One stream of random
numbers per seed: construction in torch's order, then the probes.

The biases of the keys do not act on the output, so their F is zero. In floating point it is
rounding error, 1e-20 or so, which half of the variance of ln F then comes from. The role
``key_bias`` marks them, and the setting `exact_zeros` sets their F to zero.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fimtiers.networks import transformer_block
from fimtiers.networks.echo import half_squared_error, normal_probes
from fimtiers.networks.exact_zeros import zero_role
from fimtiers.networks.module_fisher import fisher_of_modules
from fimtiers.networks.modules import fill, module_state
from fimtiers.networks.transformer_block import PreNormBlock
from fimtiers.records import FisherDiagonal, Settings, State

SETTINGS: dict[str, dict[str, Any]] = {
    "dim": {
        "type": "integer",
        "minimum": 1,
        "default": 32,
        "description": "Numbers per position, in the input, inside and in the output.",
    },
    "length": {
        "type": "integer",
        "minimum": 1,
        "default": 8,
        "description": "Number of positions of a sequence.",
    },
    "heads": {
        "type": "integer",
        "minimum": 1,
        "default": 4,
        "description": "Number of attention heads, a divisor of `dim`.",
    },
    "depth": {
        "type": "integer",
        "minimum": 1,
        "default": 4,
        "description": "Number of blocks.",
    },
    "precision": {
        "enum": ["float32", "float64"],
        "default": "float32",
        "description": "Precision of the gradients; parameters and probes are always drawn in "
        "float32, and F is always accumulated in float64.",
    },
    "exact_zeros": {
        "type": "boolean",
        "default": False,
        "description": "Set F of the key biases to its exact value, zero, instead of the rounding "
        "error of the published estimate.",
    },
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 500,
        "description": "Number of sequences in the mean.",
    },
}

WITHOUT_EFFECT = "key_bias"
"""Role of the parameters whose F the setting `exact_zeros` is about."""

ROLES = {
    "embedding.weight": "embedding_weight",
    "embedding.bias": "embedding_bias",
    **{f"blocks.{name}": role for name, role in transformer_block.ROLES.items()},
    "head.weight": "head_weight",
    "head.bias": "head_bias",
}


class Transformer(nn.Module):
    """Linear embedding, blocks, linear head.

    Parameters
    ----------
    dim, heads, depth
        As in the settings.
    """

    def __init__(self, dim: int, heads: int, depth: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(dim, dim)
        blocks = [PreNormBlock(dim, heads, causal=False) for _ in range(depth)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., position, dim) to the same shape."""
        return self.head(self.blocks(self.embedding(x)))


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Initialise one network per seed."""
    return module_state(lambda: _network(settings), seeds, ROLES)[0]


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared gradient over sequences."""
    dtype = getattr(torch, settings["precision"])
    draw = normal_probes((settings["length"], settings["dim"]), dtype)
    networks = [fill(lambda: _network(settings), theta, dtype) for theta in state.theta]
    result = fisher_of_modules(state, networks, half_squared_error, draw, settings["probes"])
    return zero_role(result, WITHOUT_EFFECT) if settings["exact_zeros"] else result


def _network(settings: Settings) -> Transformer:
    return Transformer(settings["dim"], settings["heads"], settings["depth"])
