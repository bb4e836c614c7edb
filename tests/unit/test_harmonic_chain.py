"""Harmonic chain: published values, the virial theorem, autograd and central differences."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fimtiers.substrates import harmonic_chain
from fimtiers.tiers import cut_tiers, published_top_mass, tier_ratio

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"
TEMPERATURE = 0.3


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in harmonic_chain.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds):
    state = harmonic_chain.build_state(settings, np.array(seeds))
    return harmonic_chain.fisher_diagonal(settings, state)


@pytest.fixture
def stiffness():
    return np.random.default_rng(2).uniform(0.5, 1.5, 9)


def gradient(stiffness, temperature):
    """Free-energy gradient by the functions under test."""
    squared_frequency, modes = harmonic_chain.normal_modes(stiffness)
    frequency = np.sqrt(squared_frequency)
    occupation = harmonic_chain.bose_einstein(frequency / temperature)[None]
    return harmonic_chain.free_energy_gradient(frequency, modes, occupation)[0]


def free_energy(stiffness):
    """Free energy of the chain by torch, from the bond matrix: stiffness matrix = Bᵀ diag(k) B."""
    springs = len(stiffness)
    bonds = torch.eye(springs, dtype=torch.float64) - torch.diag(
        torch.ones(springs - 1, dtype=torch.float64), -1
    )
    frequency = torch.linalg.eigvalsh(bonds.T @ (stiffness[:, None] * bonds)).sqrt()
    thermal = TEMPERATURE * torch.log(-torch.expm1(-frequency / TEMPERATURE))
    return (frequency / 2 + thermal).sum()


def test_the_published_protocol_gives_the_published_tiers():
    table = pd.read_csv(PUBLISHED / "uniqueness_per_seed.csv").query("system == 'harmonic_chain'")
    result = fisher(settings(), table["seed"])
    tiers = cut_tiers(result.fim)
    np.testing.assert_allclose(tiers.tier1_mean, table["T1"], rtol=1e-6)
    np.testing.assert_allclose(tiers.tier3_mean, table["T3"], rtol=1e-6)
    np.testing.assert_allclose(tiers.ratio, table["tier_ratio"], rtol=1e-6)
    np.testing.assert_allclose(published_top_mass(result.fim), table["top_mass"], rtol=1e-6)


@pytest.mark.slow
def test_ten_thousand_springs_have_the_published_tier_ratio_to_its_printed_digits():
    result = fisher(settings(springs=10_000), [0])
    np.testing.assert_allclose(tier_ratio(result.fim), 5.03, atol=0.0051)


def test_double_precision_changes_the_tier_ratio_by_a_few_parts_in_a_million():
    single = tier_ratio(fisher(settings(), range(6)).fim)
    double = tier_ratio(fisher(settings(protocol="corrected"), range(6)).fim)
    np.testing.assert_allclose(single, double, rtol=1e-5)


def test_the_gradient_is_that_of_autograd(stiffness):
    parameter = torch.tensor(stiffness, requires_grad=True)
    (expected,) = torch.autograd.grad(free_energy(parameter), parameter)
    np.testing.assert_allclose(gradient(stiffness, TEMPERATURE), expected.numpy(), rtol=1e-10)


def test_the_gradient_is_the_central_difference_of_the_free_energy(stiffness):
    step = 1e-5
    difference = [
        (
            free_energy(torch.tensor(stiffness + shift))
            - free_energy(torch.tensor(stiffness - shift))
        ).item()
        / (2 * step)
        for shift in step * np.eye(9)
    ]
    np.testing.assert_allclose(gradient(stiffness, TEMPERATURE), difference, rtol=1e-7)


def test_the_gradient_obeys_the_virial_theorem(stiffness):
    # The frequencies scale as the square root of the stiffness, so Σ k ∂A/∂k is half the energy.
    squared_frequency, _ = harmonic_chain.normal_modes(stiffness)
    frequency = np.sqrt(squared_frequency)
    energy = np.sum(frequency / 2 / np.tanh(frequency / (2 * TEMPERATURE)))
    np.testing.assert_allclose(stiffness @ gradient(stiffness, TEMPERATURE), energy / 2)


def test_uniform_springs_have_the_frequencies_of_the_textbook():
    squared_frequency, _ = harmonic_chain.normal_modes(np.ones(20))
    wave_number = np.pi * (2 * np.arange(20) + 1) / (2 * 20 + 1)
    np.testing.assert_allclose(np.sqrt(squared_frequency), 2 * np.sin(wave_number / 2), rtol=1e-12)


def test_blocks_of_modes_do_not_change_the_gradient(stiffness, monkeypatch):
    whole = gradient(stiffness, TEMPERATURE)
    monkeypatch.setattr(harmonic_chain, "BLOCK", 4)
    np.testing.assert_allclose(gradient(stiffness, TEMPERATURE), whole, rtol=1e-13)


def test_the_published_occupation_is_bose_einstein_up_to_its_cut_off():
    ratio = np.array([0.5, 5, 49, 51, 300], np.float32)
    published = harmonic_chain.published_occupation(ratio)
    np.testing.assert_allclose(published[:3], harmonic_chain.bose_einstein(ratio[:3]), rtol=1e-6)
    assert (published[3:] == 0).all()


def test_more_probes_keep_the_ones_already_taken():
    sums = [n * fisher(settings(springs=20, probes=n), [0, 1]).fim for n in (5, 6, 50)]
    assert (np.diff(sums, axis=0) > 0).all()
