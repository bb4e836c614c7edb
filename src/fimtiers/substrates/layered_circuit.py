"""Layered circuit of relaxed logic gates, read off as the mean of its last layer.

Parameters are three logits per gate, W_j, in `depth` layers of `gates` gates. A gate with inputs
a and b in [0, 1] mixes AND, OR and XOR in their multilinear form with probabilities
p = softmax(W_j):

    f = p · c = s (a + b) + t ab,    c = (ab, a + b − ab, a + b − 2ab),
    s = p₁ + p₂,    t = p₀ − p₁ − 2 p₂.

Each gate takes two nodes at random, and maybe the same one twice, from the layer below; the first
layer takes them from the circuit's inputs. Nothing else skips a layer. Probabilities and inputs
are real numbers, so the circuit is a smooth map and not a boolean one.

A probe is one input vector, uniform in [0, 1]. The output y is the mean of the last layer, and the
loss of a probe is ℓ = y²/2, so F_i = E[(y ∂y/∂W_i)²]. A gate from which no path of wires leads to
the last layer has F exactly 0.

``adjoint`` is exact: one backward pass with

    ∂f/∂W_jk = p_k (c_k − f),    ∂f/∂a = s + t b,    ∂f/∂b = s + t a.

``forward_difference`` is the published estimator, 10⁻³ in one logit at a time; the circuits
perturbed in the same layer are evaluated together. At depth 32 the output changes by 10⁻¹⁰ only,
so rounding decides the last digits: the order of a sum changes Var[ln F] by 10⁻⁸.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from fimtiers import generators
from fimtiers.partial_probes import partial_counts
from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "depth": {
        "type": "integer",
        "minimum": 1,
        "default": 8,
        "description": "Number of layers of gates.",
    },
    "gates": {
        "type": "integer",
        "minimum": 1,
        "default": 16,
        "description": "Number of gates in each layer; each has three parameters.",
    },
    "inputs": {
        "type": "integer",
        "minimum": 1,
        "default": 8,
        "description": "Number of inputs of the circuit.",
    },
    "logit_scale": {
        "type": "number",
        "minimum": 0,
        "default": 0.3,
        "description": "Standard deviation of the logits; 0 makes all gates the same even mixture.",
    },
    "gradient": {
        "enum": ["adjoint", "forward_difference"],
        "default": "adjoint",
        "description": "`adjoint`: exact; `forward_difference`: as published, step 0.001 in one "
        "logit at a time.",
    },
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 200,
        "description": "Number of input vectors in the mean.",
    },
}

STEP = 1e-3
"""Forward difference of the published estimator, in a logit."""
CONSTANT = 0.01
INPUT_DEVIATION = 12**-0.5
"""Standard deviation of an input, uniform in [0, 1]."""
KINDS = 3
"""AND, OR, XOR."""


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Draw logits, then wiring, one stream of random numbers per seed."""
    depth, gates = settings["depth"], settings["gates"]
    streams = generators.seed_numpy(seeds)
    logits = np.empty((len(seeds), depth, gates, KINDS))
    wiring = np.empty((len(seeds), depth, gates, 2), np.int64)
    for stream, logit, wires in zip(streams, logits, wiring, strict=True):
        logit[:] = settings["logit_scale"] * stream.standard_normal(logit.shape)
        for layer in range(depth):
            sources = gates if layer else settings["inputs"]
            wires[layer] = stream.integers(0, sources, size=(gates, 2))
    return State(
        theta=logits.reshape(len(seeds), -1),
        tensors=tuple(
            Tensor(f"layers.{layer}.logit", layer, "logit", (gates, KINDS))
            for layer in range(depth)
        ),
        fixed={
            "wiring": (("seed", "circuit_layer", "gate", "wire"), wiring),
            "generator": generators.pack_numpy(streams),
        },
    )


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared gradient of y²/2 over input vectors.

    Diagnostics are ``output_spread``, the standard deviation of y over probes, which shows how
    far the output forgets the input; ``unread_fraction``, the share of gates from which no path
    leads to the output; and ``constant_fraction``, the share of gates whose values scatter over
    probes by less than a hundredth of what the circuit's inputs do.
    """
    depth, gates, probes = settings["depth"], settings["gates"], settings["probes"]
    gradient = adjoint if settings["gradient"] == "adjoint" else forward_difference
    logits = state.theta.astype(np.float64).reshape(-1, depth, gates, KINDS)
    wiring = state.fixed["wiring"][1]
    streams = generators.unpack_numpy(state.fixed["generator"])
    fim = np.empty(logits.shape)
    partial = {count: np.empty(state.theta.shape) for count in partial_counts(probes)}
    spread, unread, constant = np.empty((3, len(logits)))
    for seed, stream in enumerate(streams):
        inputs = stream.random((probes, settings["inputs"])).T
        nodes = evaluate(logits[seed], wiring[seed], inputs)
        output = _output(nodes[-1])
        constant[seed] = np.mean(np.std(nodes[1:], axis=-1) < CONSTANT * INPUT_DEVIATION)
        slope = gradient(logits[seed], wiring[seed], inputs)
        squares = (output * slope) ** 2
        fim[seed] = np.mean(squares, axis=-1)
        for count in partial:
            partial[count][seed] = squares[..., :count].mean(axis=-1).ravel()
        spread[seed] = output.std()
        unread[seed] = 1 - read_gates(wiring[seed]).mean()
    return FisherDiagonal(
        fim=fim.reshape(state.theta.shape),
        tensors=state.tensors,
        probes=probes,
        estimator=settings["gradient"].replace("_", " "),
        definition="loss",
        diagnostics={
            "output_spread": (("seed",), spread),
            "unread_fraction": (("seed",), unread),
            "constant_fraction": (("seed",), constant),
        },
        partial=partial,
    )


def evaluate(
    logits: NDArray[np.float64], wiring: NDArray[np.int64], inputs: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return the values of each layer of nodes, the circuit's inputs first.

    Parameters
    ----------
    logits
        W, shape (layer, gate, kind).
    wiring
        Nodes of the layer below that feed each gate, shape (layer, gate, 2).
    inputs
        Shape (input, probe).

    Returns
    -------
    list of NDArray
        `inputs`, then one array of shape (gate, probe) per layer.
    """
    nodes = [inputs]
    for coefficients, wires in zip(_bilinear(softmax(logits, axis=-1)), wiring, strict=True):
        nodes.append(_apply_layer(coefficients, wires, nodes[-1]))
    return nodes


def adjoint(
    logits: NDArray[np.float64], wiring: NDArray[np.int64], inputs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ∂y/∂W by one backward pass for all probes, shape (layer, gate, kind, probe).

    Arguments and shapes as `evaluate`.
    """
    probability = softmax(logits, axis=-1)
    coefficients = _bilinear(probability)
    nodes = evaluate(logits, wiring, inputs)
    gates = len(nodes[-1])
    slope = np.empty((*logits.shape, inputs.shape[-1]))
    upstream = np.full_like(nodes[-1], 1 / gates)
    for layer in reversed(range(len(wiring))):
        a, b = _wired(nodes[layer], wiring[layer])
        excess = np.stack(_kinds(a, b), axis=1) - nodes[layer + 1][:, None]
        slope[layer] = upstream[:, None] * probability[layer][..., None] * excess
        s, t = coefficients[layer][..., None]
        below = np.zeros_like(nodes[layer])
        # Unlike `+=`, `add.at` counts a node as often as it is wired.
        np.add.at(below, wiring[layer, :, 0], upstream * (s + t * b))
        np.add.at(below, wiring[layer, :, 1], upstream * (s + t * a))
        upstream = below
    return slope


def forward_difference(
    logits: NDArray[np.float64], wiring: NDArray[np.int64], inputs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (y(W + step) − y(W)) / step for every logit; arguments and shapes as `adjoint`.

    All circuits that are perturbed in one layer share the nodes below it and pass through the
    layers above it as one array.
    """
    coefficients = _bilinear(softmax(logits, axis=-1))
    nodes = evaluate(logits, wiring, inputs)
    output = _output(nodes[-1])
    slope = np.empty((*logits.shape, inputs.shape[-1]))
    for layer in range(len(wiring)):
        perturbed = _perturbed_layer(logits[layer], wiring[layer], nodes[layer], nodes[layer + 1])
        for above in range(layer + 1, len(wiring)):
            perturbed = _apply_layer(coefficients[above], wiring[above], perturbed)
        slope[layer] = ((_output(perturbed) - output) / STEP).reshape(slope[layer].shape)
    return slope


def read_gates(wiring: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return from which gates a path of wires leads to the last layer, shape (layer, gate)."""
    read = np.zeros(wiring.shape[:-1], bool)
    read[-1] = True
    for layer in range(len(wiring) - 1, 0, -1):
        read[layer - 1, wiring[layer, read[layer]]] = True
    return read


def _perturbed_layer(
    logits: NDArray[np.float64],
    wires: NDArray[np.int64],
    below: NDArray[np.float64],
    unperturbed: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the nodes of one layer for a step in each of its logits.

    The shape is (gate, circuit, probe), with one circuit per logit, gate by gate.
    """
    gates = len(logits)
    stepped = softmax(logits[:, None] + STEP * np.eye(KINDS), axis=-1)
    s, t = _bilinear(stepped).transpose(1, 0, 2)[..., None]
    a, b = _wired(below, wires)
    own = s * (a + b)[:, None] + t * (a * b)[:, None]
    layer = np.repeat(unperturbed[:, None], gates * KINDS, axis=1)
    gate = np.arange(gates)
    layer.reshape(gates, gates, KINDS, -1)[gate, gate] = own
    return layer


def _apply_layer(
    coefficients: NDArray[np.float64], wires: NDArray[np.int64], below: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Evaluate a layer for `below` of shape (node, …, probe); the result is (gate, …, probe)."""
    a, b = _wired(below, wires)
    s, t = coefficients.reshape(2, -1, *[1] * (below.ndim - 1))
    # In place, as the arrays of the finite differences are large.
    product = a * b
    product *= t
    a += b
    a *= s
    a += product
    return a


def _output(last: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the last layer, shape (…, probe), summed with the gates adjacent."""
    return np.ascontiguousarray(np.moveaxis(last, 0, -1)).mean(axis=-1)


def _wired(
    below: NDArray[np.float64], wires: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return fresh arrays of the two inputs of each gate."""
    return below[wires[:, 0]], below[wires[:, 1]]


def _bilinear(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (s, t), stacked before the gate axis, of p with shape (…, gate, kind)."""
    conjunction, disjunction, exclusive = np.moveaxis(probability, -1, 0)
    return np.stack([disjunction + exclusive, conjunction - disjunction - 2 * exclusive], axis=-2)


def _kinds(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return AND, OR and XOR of a and b in multilinear form."""
    both, total = a * b, a + b
    return both, total - both, total - 2 * both
