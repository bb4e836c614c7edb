"""Recurrent networks, unrolled step by step into linear layers.

Equations and the order of gates are those of `torch.nn.LSTM`, `torch.nn.GRU` and
`torch.nn.RNN`. Packed sequences are not covered.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the usual name

State = tuple[Tensor, ...]
Step = Callable[[Tensor, State, Tensor, Tensor | None], State]
"""Maps (input part of the gates, state, hidden weight, hidden bias) to the next state."""


def lstm_step(gates: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """Return the next (h, c)."""
    i, f, g, o = (gates + F.linear(state[0], weight, bias)).chunk(4, -1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gru_step(gates: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """Return the next (h,)."""
    r, z, n = gates.chunk(3, -1)
    hidden_r, hidden_z, hidden_n = F.linear(state[0], weight, bias).chunk(3, -1)
    update = torch.sigmoid(z + hidden_z)
    candidate = torch.tanh(n + torch.sigmoid(r + hidden_r) * hidden_n)
    return ((1 - update) * candidate + update * state[0],)


def tanh_step(gates: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """Return the next (h,)."""
    return (torch.tanh(gates + F.linear(state[0], weight, bias)),)


def relu_step(gates: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """Return the next (h,)."""
    return (torch.relu(gates + F.linear(state[0], weight, bias)),)


def _network(step: Step) -> Callable[..., Any]:
    def run(
        data: Tensor,
        initial: Any,
        weights: Any,
        has_biases: Any,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: Any = None,
    ) -> Any:
        if batch_first is None or isinstance(initial, (bool, int)) or isinstance(weights, Tensor):
            return NotImplemented  # packed sequence
        states = tuple(initial) if isinstance(initial, (tuple, list)) else (initial,)
        directions = 2 if bidirectional else 1
        per_direction = len(weights) // (num_layers * directions)
        projected = per_direction == (5 if has_biases else 3)
        if projected or (train and dropout > 0 and num_layers > 1):
            return NotImplemented
        steps, last = (data.transpose(0, 1) if batch_first else data), []
        for layer in range(num_layers):
            outputs = []
            for direction in range(directions):
                index = layer * directions + direction
                own = weights[index * per_direction : (index + 1) * per_direction]
                state = tuple(s[index] for s in states)
                output, state = _unroll(step, steps, state, own, backwards=direction == 1)
                outputs.append(output)
                last.append(state)
            steps = torch.cat(outputs, -1) if directions == 2 else outputs[0]
        final = [torch.stack(parts) for parts in zip(*last, strict=True)]
        return steps.transpose(0, 1) if batch_first else steps, *final

    return run


def _unroll(
    step: Step, inputs: Tensor, state: State, weights: Sequence[Tensor], backwards: bool
) -> tuple[Tensor, State]:
    """Run one layer in one direction over inputs of shape (time, sample, channel)."""
    input_bias, hidden_bias = weights[2:] if len(weights) == 4 else (None, None)
    gates = F.linear(inputs, weights[0], input_bias).unbind(0)
    hidden = []
    for gate in reversed(gates) if backwards else gates:
        state = step(gate, state, weights[1], hidden_bias)
        hidden.append(state[0])
    return torch.stack(hidden[::-1] if backwards else hidden), state


def _cell(step: Step) -> Callable[..., Any]:
    def run(
        data: Tensor,
        initial: Any,
        input_weight: Tensor,
        hidden_weight: Tensor,
        input_bias: Tensor | None = None,
        hidden_bias: Tensor | None = None,
    ) -> Any:
        several = isinstance(initial, (tuple, list))
        state = tuple(initial) if several else (initial,)
        gates = F.linear(data, input_weight, input_bias)
        state = step(gates, state, hidden_weight, hidden_bias)
        return state if several else state[0]

    return run


DECOMPOSITIONS: dict[str, Callable[..., Any]] = {
    "lstm": _network(lstm_step),
    "gru": _network(gru_step),
    "rnn_tanh": _network(tanh_step),
    "rnn_relu": _network(relu_step),
    "lstm_cell": _cell(lstm_step),
    "gru_cell": _cell(gru_step),
    "rnn_tanh_cell": _cell(tanh_step),
    "rnn_relu_cell": _cell(relu_step),
}
