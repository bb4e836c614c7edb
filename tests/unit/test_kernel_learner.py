"""Kernel learners: published values of both, closed forms, and a slow implementation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fimtiers.substrates import kernel_learner
from fimtiers.tiers import published_ratio, tier_ratio

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in kernel_learner.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds):
    state = kernel_learner.build_state(settings, np.array(seeds))
    return kernel_learner.fisher_diagonal(settings, state)


@pytest.mark.parametrize(
    ("system", "squared_length"), [("kernel_ridge", 2.0), ("gaussian_process", 1.0)]
)
def test_the_published_protocol_gives_the_published_tier_ratios(system, squared_length):
    table = pd.read_csv(PUBLISHED / "panel_per_seed.csv").query("system == @system")
    result = fisher(settings(squared_length=squared_length), table["seed"])
    ratios = published_ratio(result.fim, "smallest_tenth_floor")
    np.testing.assert_allclose(ratios, table["value"], rtol=1e-11)


def test_the_mean_squared_kernel_agrees_with_explicit_pairs(monkeypatch):
    monkeypatch.setattr(kernel_learner, "BLOCK", 7)
    stream = np.random.default_rng(0)
    centres, probes = stream.standard_normal((11, 5)), stream.standard_normal((30, 5))
    kernel = np.exp(-np.sum((centres[:, None] - probes) ** 2, axis=-1) / (2 * 3.0))
    result = kernel_learner.mean_squared_kernel(centres, probes, 3.0)
    np.testing.assert_allclose(result, np.mean(kernel**2, axis=1), rtol=1e-13)


def test_the_squared_kernel_of_kernel_ridge_is_the_kernel_of_the_gaussian_process():
    stream = np.random.default_rng(0)
    centres, probes = stream.standard_normal((11, 5)), stream.standard_normal((30, 5))
    gaussian_process_kernel = kernel_learner.gaussian_kernel(centres, probes, 5.0)
    result = kernel_learner.mean_squared_kernel(centres, probes, 2 * 5.0)
    np.testing.assert_allclose(result, gaussian_process_kernel.mean(axis=1), rtol=1e-13)


def test_the_expected_squared_kernel_agrees_with_gauss_hermite_quadrature():
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    centres = np.random.default_rng(0).standard_normal((6, 2))
    grid = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    density = np.outer(weights, weights).ravel() / (2 * np.pi)
    squared = np.exp(-np.sum((centres[:, None] - grid) ** 2, axis=-1) / 3.0)
    result = kernel_learner.expected_squared_kernel(centres, grid, 3.0)
    np.testing.assert_allclose(result, squared @ density, rtol=1e-10)


@pytest.mark.parametrize("squared_length", [1.0, 2.0])
def test_many_probes_approach_the_expectation(squared_length):
    chosen = settings(samples=100, squared_length=squared_length)
    expected = fisher(chosen | {"protocol": "corrected"}, [0])
    sampled = fisher(chosen | {"probes": 40_000}, [0])
    np.testing.assert_allclose(sampled.fim, expected.fim, rtol=0.03)
    np.testing.assert_allclose(tier_ratio(sampled.fim), tier_ratio(expected.fim), rtol=0.01)


def test_it_is_the_squared_jacobian_of_autograd_over_the_noise_variance():
    small = settings(samples=6, features=3, probes=6, noise=0.5)
    state = kernel_learner.build_state(small, np.array([7]))
    result = kernel_learner.fisher_diagonal(small, state)
    inputs = torch.tensor(np.random.default_rng(7).standard_normal((6, 3)))
    kernel = torch.exp(-(torch.cdist(inputs, inputs) ** 2) / (4 * 3))
    theta = torch.tensor(state.theta[0])
    jacobian = torch.autograd.functional.jacobian(lambda alpha: kernel @ alpha, theta)
    expected = jacobian.square().mean(dim=0) / 0.5**2
    np.testing.assert_allclose(result.fim[0], expected.numpy(), rtol=1e-12)


def test_the_state_solves_the_ridge_equations():
    chosen = settings(samples=30, features=3, ridge=0.5)
    state = kernel_learner.build_state(chosen, np.array([3]))
    stream = np.random.default_rng(3)
    x = stream.standard_normal((30, 3))
    y = x.sum(axis=1) / np.sqrt(3) + 0.2 * stream.standard_normal(30)
    kernel = np.exp(-np.sum((x[:, None] - x) ** 2, axis=-1) / (4 * 3))
    np.testing.assert_allclose((kernel + 0.5 * np.eye(30)) @ state.theta[0], y, atol=1e-12)


def test_the_fisher_diagonal_does_not_depend_on_the_ridge():
    chosen = settings(samples=30)
    assert (fisher(chosen, [0]).fim == fisher(chosen | {"ridge": 7.0}, [0]).fim).all()


def test_more_probes_keep_the_ones_already_taken():
    sums = [n * fisher(settings(samples=20, probes=n), [0, 1]).fim for n in (5, 6, 50)]
    assert (np.diff(sums, axis=0) > 0).all()
