"""Multilayer perceptron that reproduces its input, with per-sample squared-error loss.

A network has `depth` linear layers, dim → width → … → width → dim, and an activation between
them. An input is x ~ N(0, 1) in `dim` dimensions; the loss of one input is

    ℓ(x; θ) = ½ mean_j (y_j − x_j)²,   y = net(x; θ),

the negative log-likelihood of Gaussian noise of variance `dim`. Parameters and inputs have no
units. With δ_l = ∂ℓ/∂z_l of one input and a_l the input of layer l, F is the mean over inputs of
(δ_l ∘ δ_l)(a_l ∘ a_l)ᵀ for the weights and of δ_l ∘ δ_l for the biases: the gradient of a single
input is never formed. A setting says at which targets (`definition`):

- `loss`: at the given one, x, so that F shrinks with the loss as a training goes on;
- `true`: in the expectation over targets of the likelihood, the Fisher information
  mean_x Σ_j (∂y_j/∂θ)² / `dim`. It is summed exactly, one backward pass for each output, so that no
  drawn target adds its own scatter. The squares are summed over the outputs before they meet those
  of the activations, and all seeds share each product: sixteen outputs cost four to five times as
  much as `loss`.

Random numbers come from one stream per seed: initialisation, inputs discarded on request,
training batches, probes.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from fimtiers import progress, torch_generators
from fimtiers.networks import dense_stack
from fimtiers.networks.activations import ACTIVATIONS
from fimtiers.networks.dense_stack import DenseStack
from fimtiers.networks.initialisation import initialise
from fimtiers.networks.label_squares import expected_squares, loss_squares
from fimtiers.networks.sampling import standard_normal, standard_normal_chunks
from fimtiers.networks.training import MomentumDescent
from fimtiers.networks.unit_counts import UnitCounts
from fimtiers.partial_probes import partial_counts, stretches
from fimtiers.records import FisherDiagonal, Settings, State, Variable

SETTINGS: dict[str, dict[str, Any]] = {
    "dim": {
        "type": "integer",
        "minimum": 1,
        "default": 16,
        "description": "Number of inputs, and of outputs.",
    },
    "width": {
        "type": "integer",
        "minimum": 1,
        "default": 64,
        "description": "Number of units in each hidden layer.",
    },
    "depth": {
        "type": "integer",
        "minimum": 1,
        "default": 5,
        "description": "Number of linear layers; there is one hidden layer fewer.",
    },
    "activation": {
        "enum": ["relu", "gelu", "tanh", "silu", "identity"],
        "default": "relu",
        "description": "Function between the linear layers; `gelu` is exact, with the error "
        "function.",
    },
    "initialisation": {
        "enum": [
            "torch_default",
            "he_normal",
            "xavier_normal",
            "orthogonal",
            "identity_with_noise",
        ],
        "default": "torch_default",
        "description": "`torch_default`: weights and biases uniform on ±1/√fan_in. In all others "
        "biases are zero, and weights: normal with variance 2/fan_in (`he_normal`) or "
        "2/(fan_in + fan_out) (`xavier_normal`); √2 times orthogonal (`orthogonal`); the identity "
        "with small noise, orthogonal where not square (`identity_with_noise`).",
    },
    "initialised_in_turn": {
        "type": "boolean",
        "default": False,
        "description": "Draw an initialisation other than torch's as each layer is constructed, "
        "not when all are: another order of the same random numbers.",
    },
    "precision": {
        "enum": ["float32", "float64"],
        "default": "float32",
        "description": "Precision of parameters, inputs and gradients; parameters are always "
        "drawn in float32, and F is always accumulated in float64.",
    },
    "discarded_inputs": {
        "type": "integer",
        "minimum": 0,
        "default": 0,
        "description": "Inputs drawn and thrown away between initialisation and training, where "
        "a published program measured the untrained network.",
    },
    "steps": {
        "type": "integer",
        "minimum": 0,
        "default": 0,
        "description": "Steps of stochastic gradient descent with momentum; 0 leaves the network "
        "untrained.",
    },
    "batch": {
        "type": "integer",
        "minimum": 1,
        "default": 128,
        "description": "Fresh inputs per training step.",
    },
    "learning_rate": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 1e-3,
        "description": "Learning rate of the training.",
    },
    "momentum": {
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.9,
        "description": "Momentum of the training.",
    },
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 200,
        "description": "Number of inputs in the mean.",
    },
    "definition": {
        "enum": ["loss", "true"],
        "default": "loss",
        "stage": "fisher",
        "description": "`loss`: squared loss gradients at the given targets; "
        "`true`: expectation over targets from the Gaussian likelihood.",
    },
}

STEPS_ON_RECORD = 100
"""The training loss is recorded, and checked, about this many times."""

ELEMENTS_PER_CHUNK = 2**23
"""Probes are taken in chunks whose activations hold this many numbers: 32 MiB in float32."""

ELEMENTS_PER_DRAW = 2**20
"""Training inputs are drawn about this many numbers at a time: 4 MiB in float32."""


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Initialise one network per seed and train it if `steps` is positive.

    Raises
    ------
    FloatingPointError
        If a training diverges; the message names the seed and the step.
    """
    streams = torch_generators.seed(seeds)
    name, in_turn = settings["initialisation"], settings["initialised_in_turn"]
    drawn = [initialise(name, _sizes(settings), g, in_turn=in_turn) for g in streams]
    theta = torch.stack([torch.cat([p.flatten() for p in parameters]) for parameters in drawn])
    stack = _stack(settings, theta)
    dtype = stack.flat.dtype
    standard_normal(streams, settings["discarded_inputs"], (settings["dim"],), dtype)
    diagnostics = _train(settings, stack, streams, seeds) if settings["steps"] else {}
    return State(
        theta=dense_stack.theta_from_stack(stack),
        tensors=dense_stack.tensor_table(_sizes(settings)),
        fixed={"generator": torch_generators.pack(streams)},
        diagnostics=diagnostics,
    )


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared gradient over probes, accumulated in float64.

    The diagnostic ``probe_loss`` is the mean loss of the probes, which no training has seen; those
    that begin with ``unit_`` are counts of the hidden units, see `UnitCounts`.
    """
    stack = _stack(settings, torch.tensor(state.theta))
    streams = torch_generators.unpack(state.fixed["generator"])
    fim = dense_stack.zero_stack(len(streams), _sizes(settings), stack.activation, torch.float64)
    loss = torch.zeros(len(streams), dtype=torch.float64)
    counts, units, kind = partial_counts(settings["probes"]), UnitCounts(), settings["activation"]
    partial: dict[int, NDArray[np.float64]] = {}
    for seen, x in _probe_chunks(settings, streams, stack.flat.dtype):
        if seen in counts:
            partial[seen] = dense_stack.theta_from_stack(fim) / seen
        tape = dense_stack.forward(stack, x)
        units.inputs += x.shape[1]
        for layer, z in enumerate(tape.outputs[:-1]):
            units.add(layer, kind, stack.activation.flat(z), stack.activation.linear(z))
        residual = tape.outputs[-1] - x
        loss += residual.double().square().mean(2).sum(1) / 2
        if settings["definition"] == "loss":
            squared_deltas = loss_squares(stack, tape, residual / settings["dim"])
        else:
            squared_deltas = expected_squares(stack, tape, settings["dim"])
        for layer, squares in squared_deltas:
            fim.weights[layer].baddbmm_(squares.mT, tape.inputs[layer].double().square())
            fim.biases[layer] += squares.sum(1, keepdim=True)
    fim.flat.div_(settings["probes"])
    return FisherDiagonal(
        fim=dense_stack.theta_from_stack(fim),
        tensors=state.tensors,
        probes=settings["probes"],
        estimator="exact backpropagation, squares of activations and deltas",
        definition=settings["definition"],
        diagnostics={
            "probe_loss": (("seed",), (loss / settings["probes"]).numpy()),
            **units.variables(),
        },
        partial=partial,
    )


def _sizes(settings: Settings) -> list[int]:
    return [settings["dim"], *[settings["width"]] * (settings["depth"] - 1), settings["dim"]]


def _stack(settings: Settings, theta: Tensor) -> DenseStack:
    dtype = getattr(torch, settings["precision"])
    activation = ACTIVATIONS[settings["activation"]]
    return dense_stack.stack_from_theta(theta.to(dtype), _sizes(settings), activation)


def _probe_chunks(
    settings: Settings, streams: Sequence[Generator], dtype: torch.dtype
) -> Iterator[tuple[int, Tensor]]:
    """Yield how many probes came before, and the next ones, shape (seed, probe, dim).

    A few at a time, to bound the memory, and never across one of the `partial_counts`. Each probe
    is a call of its own, which matters where `dim` is not a multiple of 16.
    """
    elements_per_probe = len(streams) * sum(_sizes(settings))
    per_chunk = max(1, ELEMENTS_PER_CHUNK // elements_per_probe)
    for first, last in stretches(settings["probes"]):
        seen, shape = first, (settings["dim"],)
        for x in standard_normal_chunks(streams, last - first, shape, per_chunk, dtype):
            yield seen, x
            seen += x.shape[1]


def _train(
    settings: Settings,
    stack: DenseStack,
    streams: Sequence[Generator],
    seeds: NDArray[np.int64],
) -> dict[str, Variable]:
    """Train all networks together on ℓ averaged over the batch; return the loss on record."""
    steps, batch, dim = settings["steps"], settings["batch"], settings["dim"]
    descent = MomentumDescent(stack, batch, settings["learning_rate"], settings["momentum"])
    every = max(1, steps // STEPS_ON_RECORD)
    recorded_steps, recorded_losses = [], []
    batches = _batches(settings, streams, stack.flat.dtype)
    for step, x in enumerate(progress.track(batches, steps, "training steps"), start=1):
        tape = descent.forward(x)
        residual = tape.outputs[-1].sub_(x)
        if step % every == 0 or step == steps:
            recorded_steps.append(step)
            recorded_losses.append(residual.square().mean((1, 2)).div_(2).numpy())
            _check_finite(recorded_losses[-1], step, seeds, settings)
        descent.step(tape, residual.div_(batch * dim))
    losses = np.stack(recorded_losses, axis=1).astype(np.float64)
    return {
        "training_step": (("training_step",), np.array(recorded_steps)),
        "training_loss": (("seed", "training_step"), losses),
    }


def _batches(
    settings: Settings, streams: Sequence[Generator], dtype: torch.dtype
) -> Iterator[Tensor]:
    """Yield one batch per step, shape (seed, batch, dim), drawing many steps at once."""
    shape = (settings["batch"], settings["dim"])
    per_chunk = max(1, ELEMENTS_PER_DRAW // (len(streams) * prod(shape)))
    for chunk in standard_normal_chunks(streams, settings["steps"], shape, per_chunk, dtype):
        yield from chunk.unbind(1)


def _check_finite(
    losses: NDArray[Any], step: int, seeds: NDArray[np.int64], settings: Settings
) -> None:
    for seed, loss in zip(seeds, losses, strict=True):
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"training of seed {seed} diverged: the loss is {loss} at step {step} of "
                f"{settings['steps']}; lower learning_rate ({settings['learning_rate']}) or "
                f"momentum ({settings['momentum']})"
            )
