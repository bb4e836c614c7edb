"""Multilayer perceptron with all that eight observables of one setting are computed from.

ReLU layers dim → width → … → width → outputs, as torch draws them; one layer is a linear map. A
probe is an input x ~ N(0, 1) in `dim` dimensions; its loss is

    ℓ(x; θ) = ½ mean_j (y_j − x_j)²,   j = 1 … outputs,   y = net(x; θ),

at the given target (`loss` Fisher). Parameters and inputs have no units. One stream of random
numbers per seed: initialisation, then the probes; every observable takes the first of them.

Diagnostics, beside those of every network: ``gram_eigenvalue``, eigenvalues of G Gᵀ / n with G the
gradients of the first n probes; ``jacobian_singular_value``, singular values of ∂y/∂x at the first
inputs, left empty if the Jacobian is not square. `fimtiers.statistics.observables` reduces them.
"""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fimtiers import torch_generators
from fimtiers.networks.echo import normal_probes
from fimtiers.networks.modules import fill, module_state
from fimtiers.networks.per_sample import fisher_with_gradient_norms, per_probe_gradients
from fimtiers.records import FisherDiagonal, Settings, State

SETTINGS: dict[str, dict[str, Any]] = {
    "dim": {
        "type": "integer",
        "minimum": 1,
        "default": 16,
        "description": "Number of inputs.",
    },
    "outputs": {
        "type": "integer",
        "minimum": 1,
        "default": 16,
        "description": "Number of outputs, at most `dim`; the targets are the first inputs.",
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
        "description": "Number of linear layers.",
    },
    "gram_probes": {
        "type": "integer",
        "minimum": 1,
        "default": 64,
        "description": "Number of gradients in the Gram matrix.",
    },
    "jacobian_inputs": {
        "type": "integer",
        "minimum": 1,
        "default": 16,
        "description": "Number of inputs at which the Jacobian is taken.",
    },
    "precision": {
        "enum": ["float32", "float64"],
        "default": "float32",
        "description": "Precision of gradients, Jacobians and Gram matrices; parameters are always "
        "drawn in float32, and F and spectra are always computed in float64.",
    },
    "probe_precision": {
        "enum": ["float32", "float64"],
        "default": "float32",
        "description": "Precision in which the probes are drawn: two different streams of numbers.",
    },
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 200,
        "description": "Number of inputs in the mean.",
    },
}

ROLES = {"weight": "weight", "bias": "bias"}


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Initialise one network per seed.

    Raises
    ------
    ValueError
        If there are more outputs than inputs.
    """
    if settings["outputs"] > settings["dim"]:
        raise ValueError(
            f"outputs is {settings['outputs']}; expected at most dim ({settings['dim']}), "
            "since each output has an input for a target"
        )
    return module_state(lambda: _network(settings), seeds, ROLES)[0]


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared gradient over inputs, and take spectra of gradients and Jacobians."""
    dtype = getattr(torch, settings["precision"])
    draw = normal_probes((settings["dim"],), dtype, getattr(torch, settings["probe_precision"]))
    networks = [fill(lambda: _network(settings), theta, dtype) for theta in state.theta]
    result = fisher_with_gradient_norms(
        state, networks, _half_squared_error, draw, settings["probes"]
    )
    eigenvalues, singular_values = [], []
    streams = torch_generators.unpack(state.fixed["generator"])
    for network, stream in zip(networks, streams, strict=True):
        probes = draw(stream, max(settings["gram_probes"], settings["jacobian_inputs"]))
        eigenvalues.append(_gram_eigenvalues(network, probes[: settings["gram_probes"]]))
        singular_values.append(
            _jacobian_singular_values(network, probes[: settings["jacobian_inputs"]])
        )
    spectra = {
        "gram_eigenvalue": (("seed", "eigenvalue"), np.stack(eigenvalues)),
        "jacobian_singular_value": (
            ("seed", "jacobian_input", "singular_value"),
            np.stack(singular_values),
        ),
    }
    return replace(result, diagnostics={**result.diagnostics, **spectra})


def _network(settings: Settings) -> nn.Sequential:
    hidden = [settings["width"]] * (settings["depth"] - 1)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([settings["dim"], *hidden, settings["outputs"]]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _half_squared_error(output: Tensor, x: Tensor) -> Tensor:
    return (output - x[..., : output.shape[-1]]).square().mean(-1) / 2


def _gram_eigenvalues(network: nn.Module, probes: Tensor) -> NDArray[Any]:
    """Return the eigenvalues of G Gᵀ / n, or of Gᵀ G / n if that is smaller, in ascending order.

    In single precision the product is good to about 1e-7 of the largest eigenvalue, and smaller
    eigenvalues are rounding error.
    """
    gradients = per_probe_gradients(network, _half_squared_error, probes)
    n, parameters = gradients.shape
    gram = gradients @ gradients.T if n < parameters else gradients.T @ gradients
    return torch.linalg.eigvalsh((gram / n).double()).numpy()


def _jacobian_singular_values(network: nn.Module, inputs: Tensor) -> NDArray[Any]:
    """Return the singular values of ∂(outputs)/∂(inputs), shape (input, singular value).

    There are none to speak of unless as many outputs as inputs.
    """
    x = inputs.detach().requires_grad_()
    outputs = network(x)
    if outputs.shape[-1] != x.shape[-1]:
        return np.empty((len(x), 0))
    # torch.func.jacrev does the same, but imports torch's compiler, which takes a second.
    rows = [torch.autograd.grad(y.sum(), x, retain_graph=True)[0] for y in outputs.unbind(-1)]
    return torch.linalg.svdvals(torch.stack(rows, 1).double()).numpy()
