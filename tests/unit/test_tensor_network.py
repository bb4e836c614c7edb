"""The binary-tree tensor network: published per-seed values, plain autograd, structure."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fimtiers.records import State
from fimtiers.substrates import tensor_network
from fimtiers.tiers import log_moments, log_variance_between_groups, published_ratio

PUBLISHED = Path(__file__).parents[2] / "resources" / "published" / "depth_sweeps.csv"


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in tensor_network.SETTINGS.items()}
    return defaults | changed


def fisher(seeds=range(5), **changed):
    chosen = settings(**changed)
    return tensor_network.fisher_diagonal(
        chosen, tensor_network.build_state(chosen, np.array(seeds))
    )


def published(depth, quantity):
    table = pd.read_csv(PUBLISHED)
    rows = (table["experiment"] == "V8.0") & (table["point"] == f"depth={depth}")
    return table[rows & (table["quantity"] == quantity)].sort_values("seed")["value"].to_numpy()


@pytest.mark.parametrize("depth", range(2, 9))
def test_trees_have_the_published_tier_ratios(depth):
    fim = fisher(depth=depth).fim
    ratio = published_ratio(fim, "smallest_tenth_floor")
    np.testing.assert_allclose(ratio, published(depth, "tier_ratio_published"), rtol=1e-7)
    variance = log_moments(fim).variance
    np.testing.assert_allclose(variance, published(depth, "log_variance"), rtol=1e-7)


@pytest.mark.parametrize("initialisation", ["he_normal", "torch_default"])
def test_fisher_diagonal_equals_squared_gradients_of_plain_torch(initialisation):
    chosen = settings(depth=3, probes=20, initialisation=initialisation)
    state = tensor_network.build_state(chosen, np.array([5]))
    generator = torch.Generator()
    generator.set_state(torch.from_numpy(state.fixed["generator"][1][0]))
    theta = torch.from_numpy(state.theta[0].copy()).requires_grad_()
    weights = [theta[0:8], theta[12:16], theta[18:20]]
    biases = [theta[8:12], theta[16:18], theta[20:21]]
    total = torch.zeros(21, dtype=torch.float64)
    for _ in range(20):
        values = torch.randn(1, 8, generator=generator)[0]
        for weight, bias in zip(weights, biases, strict=True):
            z = [weight[2 * i : 2 * i + 2] @ values[2 * i : 2 * i + 2] for i in range(len(bias))]
            values = torch.tanh(torch.stack(z) + bias)
        (gradient,) = torch.autograd.grad(values[0] ** 2 / 2, theta)
        total += gradient.double() ** 2
    fim = tensor_network.fisher_diagonal(chosen, state).fim[0]
    np.testing.assert_allclose(fim, total.numpy() / 20, rtol=1e-5)


@pytest.mark.parametrize(("depth", "parameters"), [(1, 3), (2, 9), (8, 765)])
def test_a_tree_has_three_parameters_per_node(depth, parameters):
    assert fisher([0], depth=depth, probes=2).fim.shape == (1, parameters)


def test_torch_default_draws_the_uniform_law_of_a_linear_layer_with_two_inputs():
    state = tensor_network.build_state(settings(depth=12, initialisation="torch_default"), [0])
    np.testing.assert_allclose(np.abs(state.theta).max(), 2**-0.5, rtol=1e-3)
    np.testing.assert_allclose(state.theta.var(), 1 / 6, rtol=0.05)


def test_swapping_the_two_inputs_of_every_lowest_node_swaps_their_fisher_information():
    chosen = settings(depth=4)
    state = tensor_network.build_state(chosen, np.array([0]))
    swapped = state.theta.copy()
    swapped[:, :16] = swapped[:, :16].reshape(1, 8, 2)[..., ::-1].reshape(1, 16)
    fim = tensor_network.fisher_diagonal(chosen | {"probes": 20_000}, state).fim[0]
    other = tensor_network.fisher_diagonal(
        chosen | {"probes": 20_000}, State(swapped, state.tensors, state.fixed)
    ).fim[0]
    # The law of the leaves is symmetric, so this holds up to the noise of the probes.
    mirrored = other[:16].reshape(8, 2)[:, ::-1].ravel()
    np.testing.assert_allclose(mirrored, fim[:16], rtol=0.15)
    np.testing.assert_allclose(other[16:], fim[16:], rtol=0.15)


def test_chunks_of_probes_do_not_matter(monkeypatch):
    chosen = settings(depth=3, probes=50)
    state = tensor_network.build_state(chosen, np.array([0, 1]))
    whole = tensor_network.fisher_diagonal(chosen, state).fim
    monkeypatch.setattr(tensor_network, "LEAVES_PER_CHUNK", 7 * 2 * 8)
    np.testing.assert_allclose(tensor_network.fisher_diagonal(chosen, state).fim, whole, rtol=1e-12)


def test_log_variance_of_a_deep_tree_lies_within_its_levels_not_between_them():
    result = fisher(depth=8)
    level = np.repeat([t.layer for t in result.tensors], [t.size for t in result.tensors])
    split = log_variance_between_groups(result.fim, level)
    assert (split.within > split.between).all()
