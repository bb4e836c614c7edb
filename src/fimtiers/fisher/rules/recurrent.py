"""Recurrent networks, run step by step.

Equations and the order of gates are those of `torch.nn.LSTM`, `torch.nn.GRU` and `torch.nn.RNN`.
The gradient of what enters the gates of all steps serves both matrices and both biases of a
layer: they meet the same numbers, except in the candidate of a GRU, where the hidden part is
multiplied by the reset gate first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the usual name

from fimtiers.fisher.forms import Form
from fimtiers.fisher.layout import Layout
from fimtiers.fisher.rules.contraction import LINEAR_WEIGHT
from fimtiers.fisher.rules.elementwise import unbroadcast
from fimtiers.fisher.rules.protocol import Interceptor, Operation
from fimtiers.fisher.tape import FormBuilder
from fimtiers.fisher.tracked import Tracked, leaves, value

State = tuple[Tensor, ...]
Step = Callable[[Tensor, State, Tensor, Tensor | None], tuple[State, Tensor | None]]
"""Maps (input part of the gates, state, hidden weight, hidden bias) to the next state, and what
the hidden part of the last third of the gates is multiplied by, if by anything."""


def lstm_step(
    gates: Tensor, state: State, weight: Tensor, bias: Tensor | None
) -> tuple[State, None]:
    """Return the next (h, c)."""
    i, f, g, o = (gates + F.linear(state[0], weight, bias)).chunk(4, -1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return (torch.sigmoid(o) * torch.tanh(c), c), None


def gru_step(
    gates: Tensor, state: State, weight: Tensor, bias: Tensor | None
) -> tuple[State, Tensor]:
    """Return the next (h,) and the reset gate."""
    r, z, n = gates.chunk(3, -1)
    hidden_r, hidden_z, hidden_n = F.linear(state[0], weight, bias).chunk(3, -1)
    update, reset = torch.sigmoid(z + hidden_z), torch.sigmoid(r + hidden_r)
    candidate = torch.tanh(n + reset * hidden_n)
    return (candidate + update * (state[0] - candidate),), reset


def tanh_step(
    gates: Tensor, state: State, weight: Tensor, bias: Tensor | None
) -> tuple[State, None]:
    """Return the next (h,)."""
    return (torch.tanh(gates + F.linear(state[0], weight, bias)),), None


def relu_step(
    gates: Tensor, state: State, weight: Tensor, bias: Tensor | None
) -> tuple[State, None]:
    """Return the next (h,)."""
    return (torch.relu(gates + F.linear(state[0], weight, bias)),), None


@dataclass
class Course:
    """What a layer went through in one direction, step by step in the order of time.

    Attributes
    ----------
    hidden
        The state that each step began with, cut from the graph.
    factors
        What the hidden part of the last third of the gates was multiplied by; empty if by nothing.
    time
        Axis of the steps in the gates; None if steps of several lengths follow each other.
    """

    time: int | None
    hidden: list[Tensor] = field(default_factory=list)
    factors: list[Tensor] = field(default_factory=list)

    def note(self, state: Tensor, factor: Tensor | None) -> None:
        """Take notice of a step."""
        self.hidden.append(state.detach())
        if factor is not None:
            self.factors.append(factor.detach())

    def reverse(self) -> None:
        """Bring steps that were taken from last to first into the order of time."""
        self.hidden.reverse()
        self.factors.reverse()

    def joined(self, steps: Sequence[Tensor]) -> Tensor:
        """Return what belongs to each step, in the shape of the gates."""
        return torch.cat(list(steps)) if self.time is None else torch.stack(list(steps), self.time)

    def of_hidden_part(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the hidden part of the gates from that of the gates."""
        if not self.factors:
            return gradient
        kept, last = gradient.split([gradient.shape[-1] // 3 * 2, gradient.shape[-1] // 3], -1)
        return torch.cat([kept, last * self.joined(self.factors)], -1)


@dataclass(frozen=True)
class HiddenWeight:
    """Gradient of the matrix that a state is multiplied with.

    Attributes
    ----------
    course
        The steps; filled after the gates are watched.
    """

    course: Course

    def __call__(
        self, gradient: Tensor, saved: tuple[Tensor, ...], layout: Layout, samples: int
    ) -> Form:
        """Return the per-sample sums of outer products."""
        states = self.course.joined(self.course.hidden)
        return LINEAR_WEIGHT(self.course.of_hidden_part(gradient), (states,), layout, samples)


@dataclass(frozen=True)
class HiddenBias:
    """Gradient of the bias of the hidden part of the gates.

    Attributes
    ----------
    course
        The steps; filled after the gates are watched.
    """

    course: Course

    def __call__(
        self, gradient: Tensor, saved: tuple[Tensor, ...], layout: Layout, samples: int
    ) -> Form:
        """Return the per-sample sums."""
        gradient = self.course.of_hidden_part(gradient)
        return unbroadcast(gradient.shape[-1:])(gradient, (), layout, samples)


def _network(step: Step) -> Callable[..., Any]:
    def run(tape: Interceptor, func: Operation, data: Any, *args: Any) -> Any:
        packed = len(args) > 3 and isinstance(args[2], (tuple, list))
        sizes = args[0].tolist() if packed else None
        initial, weights, has_biases, layers, dropout, train, both, *last = args[packed:]
        states = tuple(initial) if isinstance(initial, (tuple, list)) else (initial,)
        per_direction = len(weights) // (layers * (2 if both else 1))
        projected = per_direction == (5 if has_biases else 3)
        given = any(isinstance(x, Tracked) for x in leaves((data, states)))
        if given or projected or (train and dropout > 0 and layers > 1):
            return NotImplemented
        time = None if packed else int(last[0])
        ends, number = [], 0
        for _ in range(layers):
            outputs = []
            for backwards in (False, True) if both else (False,):
                own = weights[number * per_direction : (number + 1) * per_direction]
                state = tuple(s[number] for s in states)
                course = Course(time)
                steps = _watched_gates(tape, data, own, course, sizes)
                run_steps = _run_packed if sizes else _run_steps
                output, state = run_steps(step, steps, state, own, course, backwards)
                outputs.append(output)
                ends.append(state)
                number += 1
            data = torch.cat(outputs, -1) if both else outputs[0]
        return data, *[torch.stack(parts) for parts in zip(*ends, strict=True)]

    return run


def _watched_gates(
    tape: Interceptor, data: Tensor, weights: Sequence[Any], course: Course,
    sizes: Sequence[int] | None,
) -> Sequence[Tensor]:  # fmt: skip
    """Return the input part of the gates of each step, in the order of time."""
    gates = F.linear(data, *(value(w) for w in weights[::2]))
    per_bias = unbroadcast(gates.shape[-1:])
    rules: tuple[FormBuilder, ...] = (
        LINEAR_WEIGHT, HiddenWeight(course), per_bias, HiddenBias(course),
    )  # fmt: skip
    uses = [(w, rule) for w, rule in zip(weights, rules, strict=False) if isinstance(w, Tracked)]
    if uses:
        gates = tape.watch(gates, uses, (data,))
    if course.time is None:
        assert sizes is not None
        return gates.split(list(sizes))
    return gates.unbind(course.time)


def _run_steps(
    step: Step, steps: Sequence[Tensor], state: State, weights: Sequence[Any], course: Course,
    backwards: bool,
) -> tuple[Tensor, State]:  # fmt: skip
    """Run one layer in one direction over sequences of one length."""
    hidden = []
    weight, bias = value(weights[1]), value(weights[3]) if len(weights) == 4 else None
    for gates in reversed(steps) if backwards else steps:
        before = state[0]
        state, factor = step(gates, state, weight, bias)
        course.note(before, factor)
        hidden.append(state[0])
    if backwards:
        hidden.reverse()
        course.reverse()
    return course.joined(hidden), state


def _run_packed(
    step: Step, steps: Sequence[Tensor], initial: State, weights: Sequence[Any], course: Course,
    backwards: bool,
) -> tuple[Tensor, State]:  # fmt: skip
    """Run one layer in one direction over packed sequences, the longest first.

    From first to last step, sequences that are over leave; from last to first, they come in.
    """
    hidden = []
    weight, bias = value(weights[1]), value(weights[3]) if len(weights) == 4 else None
    state = tuple(s[: len(steps[-1 if backwards else 0])] for s in initial)
    over: list[State] = []
    for gates in reversed(steps) if backwards else steps:
        present, number = len(state[0]), len(gates)
        if number < present:
            over.append(tuple(s[number:] for s in state))
            state = tuple(s[:number] for s in state)
        elif number > present:
            state = tuple(
                torch.cat([s, new[present:number]]) for s, new in zip(state, initial, strict=True)
            )
        before = state[0]
        state, factor = step(gates, state, weight, bias)
        course.note(before, factor)
        hidden.append(state[0])
    if backwards:
        hidden.reverse()
        course.reverse()
    if over:
        state = tuple(torch.cat(parts) for parts in zip(state, *reversed(over), strict=True))
    return course.joined(hidden), state


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
        state, _ = step(gates, state, hidden_weight, hidden_bias)
        return state if several else state[0]

    return run


RULES: dict[str, Callable[..., Any]] = {
    "lstm": _network(lstm_step),
    "gru": _network(gru_step),
    "rnn_tanh": _network(tanh_step),
    "rnn_relu": _network(relu_step),
}
DECOMPOSITIONS: dict[str, Callable[..., Any]] = {
    "lstm_cell": _cell(lstm_step),
    "gru_cell": _cell(gru_step),
    "rnn_tanh_cell": _cell(tanh_step),
    "rnn_relu_cell": _cell(relu_step),
}
