"""Random circuit of relaxed logic gates, read off at its last gate.

Parameters are three logits per gate, W_j. A gate with inputs a and b in [0, 1] mixes AND, OR and
XOR in their multilinear form with probabilities p = softmax(W_j):

    f = p · c,    c = (ab, a + b − ab, a + b − 2ab).

Each gate takes two nodes at random among the circuit's inputs and all earlier gates, so the
circuit is a random directed acyclic graph and not layered. The observable y is the value of the
last gate: gates outside its ancestor cone have F exactly 0.

A probe is one input vector, uniform in [0, 1]. The published protocol takes a forward difference
in each logit in single precision. The corrected one is exact: reverse mode in double precision,

    ∂f/∂W_jk = p_k (c_k − f),    ∂f/∂a = p · (b, 1 − b, 1 − 2b),    ∂f/∂b the same with a.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from fimtiers import generators
from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "gates": {
        "type": "integer",
        "minimum": 1,
        "default": 128,
        "description": "Number of gates; each has three parameters.",
    },
    "inputs": {
        "type": "integer",
        "minimum": 1,
        "default": 8,
        "description": "Number of inputs of the circuit.",
    },
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 32,
        "description": "Number of input vectors in the mean.",
    },
    "protocol": {
        "enum": ["published", "corrected"],
        "default": "published",
        "description": "`published`: forward difference in single precision; "
        "`corrected`: reverse mode in double precision.",
    },
}

LOGIT_SCALE = np.float32(0.3)
STEP = np.float32(1e-2)
"""Forward difference of the published protocol, in a logit."""
KINDS = 3
"""AND, OR, XOR."""


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Draw logits and wiring, one stream of random numbers per seed."""
    gates: int = settings["gates"]
    inputs: int = settings["inputs"]
    streams = generators.seed_numpy(seeds)
    logits = np.empty((len(seeds), gates, KINDS), np.float32)
    wiring = np.empty((len(seeds), gates, 2), np.int64)
    for stream, logit, wires in zip(streams, logits, wiring, strict=True):
        logit[:] = LOGIT_SCALE * stream.standard_normal((gates, KINDS)).astype(np.float32)
        for gate in range(gates):
            for wire in range(2):
                wires[gate, wire] = stream.integers(0, inputs + gate)
    return State(
        theta=logits.reshape(len(seeds), -1),
        tensors=(Tensor("logit", -1, "logit", (gates, KINDS)),),
        fixed={
            "wiring": (("seed", "gate", "wire"), wiring),
            "generator": generators.pack_numpy(streams),
        },
    )


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared sensitivity of the last gate over input vectors.

    Only the ancestor cone of the last gate is evaluated. All other derivatives are exactly zero,
    for the forward difference too, because the output does not change.
    """
    published = settings["protocol"] == "published"
    derivative = forward_difference if published else reverse_mode
    dtype = np.dtype(np.float32 if published else np.float64)
    gates, n_inputs, probes = settings["gates"], settings["inputs"], settings["probes"]
    streams = generators.unpack_numpy(state.fixed["generator"])
    all_logits = state.theta.reshape(-1, gates, KINDS).astype(dtype)
    all_wiring = state.fixed["wiring"][1]
    fim: NDArray[np.float64] = np.zeros(all_logits.shape)
    cones, depths = [], []
    for row, logits, wiring, stream in zip(fim, all_logits, all_wiring, streams, strict=True):
        # Inputs are rounded to single precision in both protocols, so that they are the same.
        inputs = stream.random((probes, n_inputs)).astype(np.float32).astype(dtype)
        cone = ancestor_cone(wiring, n_inputs)
        wires = _wiring_within(cone, wiring, n_inputs)
        row[cone] = np.mean(derivative(logits[cone], wires, inputs) ** 2, axis=0)
        cones.append(len(cone))
        depths.append(_output_depth(wires, n_inputs))
    return FisherDiagonal(
        fim=fim.reshape(state.theta.shape),
        tensors=state.tensors,
        probes=probes,
        estimator="forward difference" if published else "reverse mode",
        definition="response",
        diagnostics={
            "cone_size": (("seed",), np.array(cones)),
            "output_depth": (("seed",), np.array(depths)),
            "zero_fraction": (("seed",), np.mean(fim == 0, axis=(1, 2))),
        },
    )


def ancestor_cone(wiring: NDArray[np.int64], n_inputs: int) -> NDArray[np.int64]:
    """Return the gates that the last gate depends on, itself included, in ascending order.

    Parameters
    ----------
    wiring
        Nodes that feed each gate, shape (gate, 2); inputs come first, then gates in order.
    n_inputs
        Number of inputs.
    """
    needed = np.zeros(n_inputs + len(wiring), bool)
    needed[-1] = True
    for gate in reversed(range(len(wiring))):
        if needed[n_inputs + gate]:
            needed[wiring[gate]] = True
    return np.flatnonzero(needed[n_inputs:])


def forward_difference(
    logits: NDArray[np.float32], wiring: NDArray[np.int64], inputs: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (y(W + step) − y(W)) / step for every logit, in one pass over the gates.

    Parameters
    ----------
    logits
        W, shape (gate, kind).
    wiring
        Nodes that feed each gate, shape (gate, 2).
    inputs
        Shape (probe, input).

    Returns
    -------
    NDArray
        Shape (probe, gate, kind).
    """
    gates, (probes, n_inputs) = len(wiring), inputs.shape
    base = softmax(logits, axis=-1)
    perturbed = softmax(logits[:, None] + STEP * np.eye(KINDS, dtype=np.float32), axis=-1)
    # One circuit per perturbed logit, and the unperturbed one last.
    circuits = gates * KINDS + 1
    node = np.empty((n_inputs + gates, probes, circuits), np.float32)
    node[:n_inputs] = inputs.T[..., None]
    for gate, (left, right) in enumerate(wiring):
        probability = np.tile(base[gate], (circuits, 1))
        probability[gate * KINDS : (gate + 1) * KINDS] = perturbed[gate]
        node[n_inputs + gate] = mix(probability.T, gate_kinds(node[left], node[right]))
    output = node[-1]
    return ((output[:, :-1] - output[:, -1:]) / STEP).reshape(probes, gates, KINDS)


def reverse_mode(
    logits: NDArray[np.float64], wiring: NDArray[np.int64], inputs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ∂y/∂W exactly, one backward pass for all probes; shapes as `forward_difference`."""
    gates, (probes, n_inputs) = len(wiring), inputs.shape
    probability = softmax(logits, axis=-1)
    node = np.concatenate([inputs.T, np.empty((gates, probes))])
    for gate, (left, right) in enumerate(wiring):
        node[n_inputs + gate] = mix(probability[gate], gate_kinds(node[left], node[right]))
    adjoint = np.zeros_like(node)
    adjoint[-1] = 1
    gradient = np.empty((probes, gates, KINDS))
    for gate in reversed(range(gates)):
        left, right = wiring[gate]
        a, b = node[left], node[right]
        value, upstream = node[n_inputs + gate], adjoint[n_inputs + gate]
        excess = np.stack(gate_kinds(a, b), axis=-1) - value[:, None]
        gradient[:, gate] = upstream[:, None] * probability[gate] * excess
        adjoint[left] += upstream * mix(probability[gate], (b, 1 - b, 1 - 2 * b))
        adjoint[right] += upstream * mix(probability[gate], (a, 1 - a, 1 - 2 * a))
    return gradient


def gate_kinds(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return AND, OR and XOR of a and b in multilinear form."""
    both = a * b
    return both, a + b - both, a + b - 2 * both


def mix(
    probability: NDArray[Any], kinds: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
) -> NDArray[Any]:
    """Return p · c, summed in the order of the kinds; the first axis of `probability` is the kind.

    The order matters in single precision: forward differences amplify the rounding.
    """
    return probability[0] * kinds[0] + probability[1] * kinds[1] + probability[2] * kinds[2]


def _wiring_within(
    cone: NDArray[np.int64], wiring: NDArray[np.int64], n_inputs: int
) -> NDArray[np.int64]:
    """Return the wiring of the cone's gates, with nodes counted as inputs, then cone gates."""
    wires = wiring[cone]
    return np.where(wires < n_inputs, wires, n_inputs + np.searchsorted(cone, wires - n_inputs))


def _output_depth(wiring: NDArray[np.int64], n_inputs: int) -> int:
    """Return the number of gates on the longest path to the last gate."""
    depth = np.zeros(n_inputs + len(wiring), np.int64)
    for gate, wires in enumerate(wiring):
        depth[n_inputs + gate] = depth[wires].max() + 1
    return int(depth[-1])
