"""Stack of selective state-space blocks (a simplified Mamba) that recalls the first time step.

Linear embedding, `depth` residual blocks h ← h + block(h), mean over time, layer norm, linear head.
A probe is a sequence x_t ~ N(0, 1) of dimension `dim`; with y the output, its loss is

    ℓ(x; θ) = ½ mean_j (y_j − x_1j)²,

at the given target (`loss` Fisher). Parameters and inputs have no units. One stream of random
numbers per seed: construction, then the probes.

The block follows Gu & Dao 2023 (arXiv:2312.00752) without expansion of the width and with a
full-rank step size; see `SelectiveBlock`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad, softplus

from fimtiers.networks.echo import first_input_error, normal_probes
from fimtiers.networks.module_fisher import fisher_of_modules
from fimtiers.networks.modules import fill, module_state
from fimtiers.records import FisherDiagonal, Settings, State

SETTINGS: dict[str, dict[str, Any]] = {
    "dim": {
        "type": "integer",
        "minimum": 1,
        "default": 32,
        "description": "Numbers per time step, in the input, inside and in the output.",
    },
    "memory": {
        "type": "integer",
        "minimum": 1,
        "default": 16,
        "description": "Numbers of state per channel.",
    },
    "kernel": {
        "type": "integer",
        "minimum": 1,
        "default": 4,
        "description": "Time steps that the convolution sees.",
    },
    "length": {
        "type": "integer",
        "minimum": 1,
        "default": 8,
        "description": "Number of time steps.",
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
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 200,
        "description": "Number of sequences in the mean.",
    },
}

ROLES = {
    "embedding.weight": "embedding_weight",
    "embedding.bias": "embedding_bias",
    "blocks.log_decay": "log_decay",
    "blocks.skip": "skip",
    "blocks.input.weight": "block_input_weight",
    "blocks.convolution.weight": "convolution_weight",
    "blocks.convolution.bias": "convolution_bias",
    "blocks.selection.weight": "selection_weight",
    "blocks.step.weight": "step_weight",
    "blocks.step.bias": "step_bias",
    "blocks.output.weight": "block_output_weight",
    "readout.norm.weight": "norm_scale",
    "readout.norm.bias": "norm_shift",
    "readout.head.weight": "head_weight",
    "readout.head.bias": "head_bias",
}


class SelectiveBlock(nn.Module):
    """Gated linear recurrence whose coefficients depend on its input.

    (u, z) = W_in x; u ← silu(causal depthwise convolution of u); (B_t, C_t) = W_x u_t;
    Δ_t = softplus(W_Δ u_t + b); and per channel d, with a state h of `memory` numbers n,

        h_tdn = exp(−Δ_td e^{α_dn}) h_{t−1,dn} + Δ_td B_tn u_td,   y_td = Σ_n C_tn h_tdn + D_d u_td.

    The output is W_out (y ∘ silu(z)).

    Parameters
    ----------
    dim, memory, kernel
        As in the settings.
    """

    def __init__(self, dim: int, memory: int, kernel: int) -> None:
        super().__init__()
        self.input = nn.Linear(dim, 2 * dim, bias=False)
        self.convolution = nn.Conv1d(dim, dim, kernel, groups=dim)
        self.log_decay = nn.Parameter(torch.arange(1.0, memory + 1).log().repeat(dim, 1))
        self.selection = nn.Linear(dim, 2 * memory, bias=False)
        self.step = nn.Linear(dim, dim)
        self.skip = nn.Parameter(torch.ones(dim))
        self.output = nn.Linear(dim, dim, bias=False)
        self.enter, self.leave = nn.SiLU(), nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., time, dim) to the same shape."""
        u, gate = self.input(x).chunk(2, dim=-1)
        u = self.enter(self._convolve(u))
        entering, leaving = self.selection(u).chunk(2, dim=-1)
        step = softplus(self.step(u))
        decay = torch.exp(-step.unsqueeze(-1) * self.log_decay.exp())
        drive = (step * u).unsqueeze(-1) * entering.unsqueeze(-2)
        states = torch.stack(_scan(decay.unbind(-3), drive.unbind(-3)), dim=-3)
        y = (states @ leaving.unsqueeze(-1)).squeeze(-1) + self.skip * u
        return self.output(y * self.leave(gate))

    def _convolve(self, u: Tensor) -> Tensor:
        weight, bias = self.convolution.weight, self.convolution.bias
        earlier = pad(u.mT, (weight.shape[-1] - 1, 0))
        return conv1d(earlier, weight, bias, groups=len(weight)).mT


def _scan(decay: Sequence[Tensor], drive: Sequence[Tensor]) -> list[Tensor]:
    """Return h_t = decay_t ∘ h_{t−1} + drive_t for every t, from h = 0."""
    states = [drive[0]]
    for decay_now, drive_now in zip(decay[1:], drive[1:], strict=True):
        states.append(decay_now * states[-1] + drive_now)
    return states


class SelectiveStack(nn.Module):
    """Embedding, residual blocks, mean over time, norm, head.

    Parameters
    ----------
    dim, memory, kernel, depth
        As in the settings.
    """

    def __init__(self, dim: int, memory: int, kernel: int, depth: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(dim, dim)
        self.blocks = nn.ModuleList(SelectiveBlock(dim, memory, kernel) for _ in range(depth))
        self.readout = nn.ModuleDict({"norm": nn.LayerNorm(dim), "head": nn.Linear(dim, dim)})

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (..., time, dim) to the output (..., dim)."""
        hidden = self.embedding(x)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.readout["head"](self.readout["norm"](hidden.mean(-2)))


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Initialise one network per seed."""
    return module_state(lambda: _network(settings), seeds, ROLES)[0]


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared gradient over sequences."""
    dtype = getattr(torch, settings["precision"])
    draw = normal_probes((settings["length"], settings["dim"]), dtype)
    networks = [fill(lambda: _network(settings), theta, dtype) for theta in state.theta]
    return fisher_of_modules(state, networks, first_input_error, draw, settings["probes"])


def _network(settings: Settings) -> SelectiveStack:
    return SelectiveStack(
        settings["dim"], settings["memory"], settings["kernel"], settings["depth"]
    )
