"""Recurrent cell unrolled over time, asked at the end for the first input it saw.

A tanh RNN or an LSTM cell reads `length` inputs x_t ~ N(0, 1) of dimension `dim` from a zero state;
a linear head maps its last hidden state to y. The loss of one sequence is

    ℓ(x; θ) = ½ mean_j (y_j − x_1j)²,

at the given target (`loss` Fisher). Parameters and inputs have no units. The number of parameters
does not depend on the length: the steps share the cell. One stream of random numbers per seed:
cell, head, then the probes.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from fimtiers.networks.echo import first_input_error, normal_probes
from fimtiers.networks.module_fisher import fisher_of_modules
from fimtiers.networks.modules import fill, module_state
from fimtiers.records import FisherDiagonal, Settings, State

SETTINGS: dict[str, dict[str, Any]] = {
    "cell": {
        "enum": ["rnn", "lstm"],
        "default": "rnn",
        "description": "`rnn`: h ← tanh(W x + b + U h + c); `lstm`: long short-term memory.",
    },
    "dim": {
        "type": "integer",
        "minimum": 1,
        "default": 16,
        "description": "Numbers per time step, and of outputs.",
    },
    "width": {
        "type": "integer",
        "minimum": 1,
        "default": 64,
        "description": "Number of hidden units.",
    },
    "length": {
        "type": "integer",
        "minimum": 1,
        "default": 8,
        "description": "Number of time steps.",
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
        "default": 300,
        "description": "Number of sequences in the mean.",
    },
}

ROLES = {
    "cell.weight_ih": "input_weight",
    "cell.weight_hh": "recurrent_weight",
    "cell.bias_ih": "input_bias",
    "cell.bias_hh": "recurrent_bias",
    "head.weight": "head_weight",
    "head.bias": "head_bias",
}


class Recurrent(nn.Module):
    """One cell and a linear head on its last hidden state.

    Parameters
    ----------
    cell, dim, width
        As in the settings.
    """

    def __init__(self, cell: str, dim: int, width: int) -> None:
        super().__init__()
        self.cell = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell}[cell](dim, width)
        self.head = nn.Linear(width, dim)
        self.squash, self.gate = nn.Tanh(), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (..., time, dim) to the output (..., dim)."""
        is_lstm = isinstance(self.cell, nn.LSTMCell)
        return self.head(self._unroll_lstm(x) if is_lstm else self._unroll_rnn(x))

    def _unroll_rnn(self, x: Tensor) -> Tensor:
        """Return the last h of h ← tanh(W x + b + U h + c)."""
        cell = self.cell
        hidden = x.new_zeros(*x.shape[:-2], cell.hidden_size)
        for drive in linear(x, cell.weight_ih, cell.bias_ih).unbind(-2):
            hidden = self.squash(drive + linear(hidden, cell.weight_hh, cell.bias_hh))
        return hidden

    def _unroll_lstm(self, x: Tensor) -> Tensor:
        """Return the last h of c ← f ∘ c + i ∘ g, h ← o ∘ tanh(c), gates in torch's order."""
        cell = self.cell
        hidden = memory = x.new_zeros(*x.shape[:-2], cell.hidden_size)
        for drive in linear(x, cell.weight_ih, cell.bias_ih).unbind(-2):
            gates = drive + linear(hidden, cell.weight_hh, cell.bias_hh)
            enter, forget, candidate, leave = gates.chunk(4, dim=-1)
            memory = self.gate(forget) * memory + self.gate(enter) * self.squash(candidate)
            hidden = self.gate(leave) * self.squash(memory)
        return hidden


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Initialise one network per seed."""
    return module_state(lambda: _network(settings), seeds, ROLES)[0]


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared gradient over sequences."""
    dtype = getattr(torch, settings["precision"])
    draw = normal_probes((settings["length"], settings["dim"]), dtype)
    networks = [fill(lambda: _network(settings), theta, dtype) for theta in state.theta]
    return fisher_of_modules(state, networks, first_input_error, draw, settings["probes"])


def _network(settings: Settings) -> Recurrent:
    return Recurrent(settings["cell"], settings["dim"], settings["width"])
