"""Small GPT that predicts the next token, with per-sequence cross-entropy.

Token and position embeddings, `depth` causal pre-norm blocks, final norm, linear head. A probe is a
sequence of `length` tokens drawn uniformly; the target at each position is the next token of the
sequence, and at the last position the first one:

    ℓ(x; θ) = −mean_t ln p(x_{t+1} | x_1 … x_t; θ),

the squared gradient of which is a `loss` Fisher of whole sequences. One stream of random numbers
per seed: construction in torch's order, the head drawn anew on request, then the probes.

Tied networks use the token embedding as the weight of the head, which then has no bias.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from fimtiers.networks import transformer_block
from fimtiers.networks.exact_zeros import zero_role
from fimtiers.networks.module_fisher import fisher_of_modules
from fimtiers.networks.modules import fill, module_state
from fimtiers.networks.transformer_block import PreNormBlock
from fimtiers.records import FisherDiagonal, Settings, State

SETTINGS: dict[str, dict[str, Any]] = {
    "vocabulary": {
        "type": "integer",
        "minimum": 2,
        "default": 64,
        "description": "Number of tokens.",
    },
    "length": {
        "type": "integer",
        "minimum": 1,
        "default": 16,
        "description": "Number of positions of a sequence.",
    },
    "width": {
        "type": "integer",
        "minimum": 1,
        "default": 64,
        "description": "Numbers per position inside the network.",
    },
    "heads": {
        "type": "integer",
        "minimum": 1,
        "default": 4,
        "description": "Number of attention heads, a divisor of `width`.",
    },
    "depth": {
        "type": "integer",
        "minimum": 1,
        "default": 4,
        "description": "Number of blocks.",
    },
    "tied": {
        "type": "boolean",
        "default": False,
        "description": "Use the token embedding as the weight of the head, without a bias.",
    },
    "head_std": {
        "type": ["number", "null"],
        "exclusiveMinimum": 0,
        "default": None,
        "description": "Standard deviation of the weight of the head, drawn anew after the "
        "construction. If null, torch's default stays: uniform on ±1/√width for a linear layer, "
        "standard normal for an embedding that is tied to it.",
    },
    "precision": {
        "enum": ["float32", "float64"],
        "default": "float32",
        "description": "Precision of the gradients; parameters are always drawn in float32, and F "
        "is always accumulated in float64.",
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
        "default": 200,
        "description": "Number of sequences in the mean.",
    },
}

WITHOUT_EFFECT = "key_bias"
"""Role of the parameters whose F the setting `exact_zeros` is about."""

ROLES = {
    "embedding.token.weight": "token_embedding",
    "embedding.position.weight": "position_embedding",
    **{f"blocks.{name}": role for name, role in transformer_block.ROLES.items()},
    "readout.norm.weight": "norm_scale",
    "readout.norm.bias": "norm_shift",
    "readout.head.weight": "head_weight",
    "readout.head.bias": "head_bias",
}


class GPT(nn.Module):
    """Decoder-only transformer with learned positions and norms before attention and MLP.

    Parameters
    ----------
    vocabulary, length, width, heads, depth, tied, head_std
        As in the settings.
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        width: int,
        heads: int,
        depth: int,
        *,
        tied: bool,
        head_std: float | None,
    ) -> None:
        super().__init__()
        token = nn.Embedding(vocabulary, width)
        self.embedding = nn.ModuleDict({"token": token, "position": nn.Embedding(length, width)})
        self.blocks = nn.Sequential(
            *(PreNormBlock(width, heads, causal=True) for _ in range(depth))
        )
        norm, head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=not tied)
        if tied:
            head.weight = token.weight
        if head_std is not None:
            nn.init.normal_(head.weight, std=head_std)
        self.readout = nn.ModuleDict({"norm": norm, "head": head})

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token numbers (..., position) to logits (..., position, vocabulary)."""
        x = self.embedding["token"](tokens) + self.embedding["position"].weight
        return self.readout["head"](self.readout["norm"](self.blocks(x)))


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Initialise one network per seed."""
    return module_state(lambda: _network(settings), seeds, ROLES)[0]


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared gradient over sequences."""
    dtype = getattr(torch, settings["precision"])

    def draw(stream: Generator, probes: int) -> Tensor:
        shape = (probes, settings["length"])
        return torch.randint(settings["vocabulary"], shape, generator=stream)

    networks = [fill(lambda: _network(settings), theta, dtype) for theta in state.theta]
    result = fisher_of_modules(state, networks, _next_token_loss, draw, settings["probes"])
    return zero_role(result, WITHOUT_EFFECT) if settings["exact_zeros"] else result


def _network(settings: Settings) -> GPT:
    names = ("vocabulary", "length", "width", "heads", "depth", "tied", "head_std")
    return GPT(**{name: settings[name] for name in names})


def _next_token_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    surprise = -logits.log_softmax(-1).gather(-1, tokens.roll(-1, -1).unsqueeze(-1))
    return surprise.squeeze(-1).mean(-1)
