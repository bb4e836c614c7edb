"""Fully connected residual network with batch norm that reproduces its input.

Linear stem, `depth` residual blocks, linear head. A block is

    h ← relu(h + norm(W₂ relu(norm(W₁ h + b₁)) + b₂)).

A probe is a batch of inputs x ~ N(0, 1) in `dim` dimensions; its loss is

    ℓ(x; θ) = ½ mean_bj (y_bj − x_bj)²,   y = net(x; θ),

at the given target (`loss` Fisher). Parameters and inputs have no units. One stream of random
numbers per seed: construction, inputs for the calibration on request, then the probes.

With the statistics of the batch, the inputs of a batch share one loss and one gradient. In a batch
of two a normalised pair is ±d/√(d² + ε), whatever the distance 2d, except where the pair nearly
coincides; there the derivative reaches 1/√ε ≈ 316, in every layer. So gradients explode along the
depth, a few probes carry the mean, and rounding decides which. The diagnostics
``largest_probe_share`` and ``effective_probes`` show it.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fimtiers import torch_generators
from fimtiers.networks.batch_norm import BatchNorm, calibrate
from fimtiers.networks.echo import half_squared_error, normal_probes
from fimtiers.networks.exact_zeros import zero_role
from fimtiers.networks.modules import fill, module_state
from fimtiers.networks.per_sample import fisher_with_gradient_norms
from fimtiers.records import FisherDiagonal, Settings, State

SETTINGS: dict[str, dict[str, Any]] = {
    "dim": {
        "type": "integer",
        "minimum": 1,
        "default": 64,
        "description": "Number of inputs, and of outputs.",
    },
    "width": {
        "type": "integer",
        "minimum": 1,
        "default": 128,
        "description": "Number of units in each hidden layer.",
    },
    "depth": {
        "type": "integer",
        "minimum": 1,
        "default": 4,
        "description": "Number of residual blocks, of two linear layers each.",
    },
    "batch": {
        "type": "integer",
        "minimum": 1,
        "default": 2,
        "description": "Inputs per probe; statistics of a batch need at least 2.",
    },
    "statistics": {
        "enum": ["batch", "initial", "calibrated"],
        "default": "batch",
        "description": "Mean and variance of the batch norms. `batch`: of the probe, as in "
        "training; `initial`: 0 and 1, as in evaluation of an untrained network; `calibrated`: "
        "of a large batch that is drawn before the probes.",
    },
    "initialisation": {
        "enum": ["torch_default", "he_normal"],
        "default": "torch_default",
        "description": "`torch_default`: weights and biases uniform on ±1/√fan_in; "
        "`he_normal`: weights normal with variance 2/fan_in, biases zero.",
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
        "description": "Set F of biases before a batch norm to its exact value, zero, instead of "
        "the rounding error of the published estimate. Only with the statistics `batch`, which "
        "take away whatever a bias adds.",
    },
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 200,
        "description": "Number of batches in the mean.",
    },
}

WITHOUT_EFFECT = "bias_before_norm"
"""Role of the parameters whose F the setting `exact_zeros` is about."""

ROLES = {
    "stem.weight": "stem_weight",
    "stem.bias": "stem_bias",
    "blocks.first.weight": "weight",
    "blocks.first.bias": "bias_before_norm",
    "blocks.first_norm.scale": "norm_scale",
    "blocks.first_norm.shift": "norm_shift",
    "blocks.second.weight": "weight",
    "blocks.second.bias": "bias_before_norm",
    "blocks.second_norm.scale": "norm_scale",
    "blocks.second_norm.shift": "norm_shift",
    "head.weight": "head_weight",
    "head.bias": "head_bias",
}

CALIBRATION_INPUTS = 4096


class ResidualBlock(nn.Module):
    """relu(h + norm(linear(relu(norm(linear(h)))))).

    Parameters
    ----------
    width
        Number of units.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.first_norm = BatchNorm(width)
        self.second = nn.Linear(width, width)
        self.second_norm = BatchNorm(width)
        self.inner, self.outer = nn.ReLU(), nn.ReLU()

    def forward(self, h: Tensor) -> Tensor:
        """Map (..., batch, width) to the same shape."""
        inner = self.inner(self.first_norm(self.first(h)))
        return self.outer(h + self.second_norm(self.second(inner)))


class ResidualNetwork(nn.Module):
    """Linear stem, residual blocks, linear head.

    Parameters
    ----------
    dim, width, depth
        As in the settings.
    """

    def __init__(self, dim: int, width: int, depth: int) -> None:
        super().__init__()
        self.stem = nn.Linear(dim, width)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(depth)))
        self.head = nn.Linear(width, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., batch, dim) to the same shape."""
        return self.head(self.blocks(self.stem(x)))


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Initialise one network per seed, and calibrate its batch norms on request.

    Raises
    ------
    ValueError
        If the statistics are those of a batch of one, or if biases are to be without effect
        although the statistics are not those of the batch.
    """
    if settings["exact_zeros"] and settings["statistics"] != "batch":
        raise ValueError(
            f"exact_zeros with statistics {settings['statistics']!r}; "
            "biases before a norm are without effect only with 'batch'"
        )
    if settings["statistics"] == "batch" and settings["batch"] < 2:
        raise ValueError(
            f"batch is {settings['batch']}; statistics of the batch need at least 2 inputs"
        )
    state, streams, networks = module_state(lambda: _network(settings), seeds, ROLES)
    if settings["statistics"] == "calibrated":
        for stream, network in zip(streams, networks, strict=True):
            calibrate(network, torch.randn(CALIBRATION_INPUTS, settings["dim"], generator=stream))
    running = np.stack([_running_statistics(network) for network in networks])
    fixed = {
        "generator": torch_generators.pack(streams),
        "running_statistics": (("seed", "running_statistic"), running),
    }
    return State(theta=state.theta, tensors=state.tensors, fixed=fixed)


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared gradient over batches."""
    dtype = getattr(torch, settings["precision"])
    draw = normal_probes((settings["batch"], settings["dim"]), dtype)
    running_statistics = state.fixed["running_statistics"][1]
    networks = [
        _filled(settings, theta, running).to(dtype)
        for theta, running in zip(state.theta, running_statistics, strict=True)
    ]
    result = fisher_with_gradient_norms(
        state, networks, half_squared_error, draw, settings["probes"]
    )
    return zero_role(result, WITHOUT_EFFECT) if settings["exact_zeros"] else result


def _network(settings: Settings) -> ResidualNetwork:
    network = ResidualNetwork(settings["dim"], settings["width"], settings["depth"])
    if settings["initialisation"] == "he_normal":
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
    return network


def _filled(
    settings: Settings, theta: NDArray[np.float32], running: NDArray[np.float32]
) -> nn.Module:
    network = fill(lambda: _network(settings), theta, torch.float32)
    nn.utils.vector_to_parameters(torch.tensor(running), network.buffers())
    return network.train(settings["statistics"] == "batch")


def _running_statistics(network: nn.Module) -> NDArray[np.float32]:
    return nn.utils.parameters_to_vector(network.buffers()).numpy()
