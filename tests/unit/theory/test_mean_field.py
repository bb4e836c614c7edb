"""The mean-field profile of F along the layers: closed forms and measured networks."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import nn

from fimtiers.fisher import diagonal
from fimtiers.substrates import mlp
from fimtiers.theory.mean_field import (
    ACTIVATIONS,
    activation_moment,
    layer_gain,
    layer_profile,
    slope_moment,
)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("q", [0.01, 1.0, 4.0])
def test_moments_are_gaussian_integrals(activation, q):
    phi, slope = ACTIVATIONS[activation]
    for moment, f in [(activation_moment, phi), (slope_moment, slope)]:
        parts = [
            quad(lambda z, f=f: norm.pdf(z) * f(np.array([np.sqrt(q) * z]))[0] ** 2, a, b)[0]
            for a, b in [(-12, 0), (0, 12)]
        ]
        assert moment(q, activation) == pytest.approx(sum(parts), rel=1e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_are_the_derivatives_of_the_activations(activation):
    phi, slope = ACTIVATIONS[activation]
    z = np.array([-3.0, -0.5, 0.2, 1.7])
    difference = (phi(z + 1e-6) - phi(z - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope(z), difference, rtol=1e-6, atol=1e-9)


def test_relu_gains_are_one_for_he_and_a_sixth_for_torch_default_at_any_scale():
    for q in (1e-3, 1.0, 50.0):
        assert layer_gain(q, "relu", "he_normal") == pytest.approx(1, rel=1e-9)
        assert layer_gain(q, "relu", "torch_default") == pytest.approx(1 / 6, rel=1e-9)


def test_a_linear_he_network_doubles_its_moments_in_each_layer():
    profile = layer_profile([8, 8, 8], "identity", "he_normal")
    np.testing.assert_allclose(profile.gain, [2])
    # E y² = 4, so E δ² = (4 + 1) / 64 at the output, times 2 below; m = 1, 2.
    np.testing.assert_allclose(np.exp(profile.log_bias_fisher), [10 / 64, 5 / 64])
    np.testing.assert_allclose(np.exp(profile.log_weight_fisher), [10 / 64, 10 / 64])


def test_he_relu_networks_have_no_drift_between_hidden_layers():
    profile = layer_profile([64] * 13, "relu", "he_normal")
    assert profile.log_range == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "silu"])
def test_default_networks_have_the_predicted_mean_fisher_information_in_each_layer(activation):
    settings = {name: schema["default"] for name, schema in mlp.SETTINGS.items()}
    settings |= {"depth": 8, "activation": activation, "probes": 300}
    result = mlp.fisher_diagonal(settings, mlp.build_state(settings, np.arange(5)))
    tensor = np.repeat(np.arange(16), [t.size for t in result.tensors])
    measured = np.log([result.fim[:, tensor == i].mean() for i in range(16)])
    profile = layer_profile([16, *[64] * 7, 16], activation)
    np.testing.assert_allclose(profile.log_weight_fisher, measured[::2], atol=0.35)
    np.testing.assert_allclose(profile.log_bias_fisher, measured[1::2], atol=0.35)
    assert profile.log_range > 4


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "silu"])
def test_wide_he_networks_have_the_predicted_mean_for_inputs_of_one_length(activation):
    generator = torch.Generator().manual_seed(0)
    sizes, levels = [16, *[512] * 7, 16], []
    for _ in range(8):
        layers = []
        for before, width in pairwise(sizes):
            layers += [nn.Linear(before, width, bias=False), MODULES[activation]()]
            nn.init.normal_(layers[-2].weight, 0, (2 / before) ** 0.5, generator=generator)
        x = torch.randn(200, 16, generator=generator)
        of_one_length = 4 * x / x.norm(dim=1, keepdim=True)
        network = nn.Sequential(*layers[:-1])
        levels.append([means(network, inputs) for inputs in (of_one_length, x)])
    levels = np.log(np.mean(levels, axis=0))
    predicted = layer_profile(sizes, activation, "he_normal").log_weight_fisher
    np.testing.assert_allclose(levels[0], predicted, atol=0.25)
    if activation == "silu":  # small moments shrink faster, so their spread raises the mean
        assert (levels[1] > predicted + 0.5).all()


MODULES = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "silu": nn.SiLU}


def means(network: nn.Module, x: torch.Tensor) -> list[float]:
    found = diagonal(network, lambda y, x: ((y - x) ** 2).mean(1) / 2, (x, x))
    return [float(found[name].mean()) for name in found]


def test_unknown_names_are_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match=r"'swish'; allowed: relu, gelu, tanh, silu"):
        layer_profile([2, 2], "swish")
    with pytest.raises(ValueError, match=r"'xavier'; allowed: torch_default, he_normal"):
        layer_profile([2, 2], initialisation="xavier")
    with pytest.raises(ValueError, match=r"sizes \[3\]"):
        layer_profile([3])
