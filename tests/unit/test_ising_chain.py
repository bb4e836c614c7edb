"""Ising chain: published values, closed forms, and the response by central differences."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fimtiers.substrates import ising_chain
from fimtiers.tiers import cut_tiers, published_top_mass, tier_ratio

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in ising_chain.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds):
    state = ising_chain.build_state(settings, np.array(seeds))
    return ising_chain.fisher_diagonal(settings, state)


@pytest.fixture
def chain():
    """A chain of ten spins: inverse temperature, fields, couplings."""
    stream = np.random.default_rng(4)
    return np.float64(1.1), 0.5 * stream.standard_normal(10), 0.3 * stream.standard_normal(9)


def test_the_published_protocol_gives_the_published_tiers():
    table = pd.read_csv(PUBLISHED / "uniqueness_per_seed.csv").query("system == 'ising_chain'")
    result = fisher(settings(), table["seed"])
    tiers = cut_tiers(result.fim)
    np.testing.assert_allclose(tiers.tier1_mean, table["T1"], rtol=1e-8)
    np.testing.assert_allclose(tiers.tier3_mean, table["T3"], rtol=1e-8)
    np.testing.assert_allclose(tiers.ratio, table["tier_ratio"], rtol=1e-8)
    np.testing.assert_allclose(published_top_mass(result.fim), table["top_mass"], rtol=1e-6)


def test_ten_thousand_sites_have_the_published_tier_ratios_to_their_printed_digits():
    published = [2.8, 2.6, 2.6, 2.83, 2.7, 2.77]
    result = fisher(settings(sites=10_000), range(6))
    np.testing.assert_allclose(tier_ratio(result.fim), published, atol=0.0051)


@pytest.mark.parametrize("response", [ising_chain.local_response, ising_chain.coupled_response])
def test_uncoupled_spins_respond_as_single_spins(response):
    field = np.array([-1.0, 0.0, 0.5])
    result = response(np.float64(1.2), field, np.zeros(2))
    np.testing.assert_allclose(result, 1.2 / np.cosh(1.2 * field) ** 2, rtol=1e-14)


def test_a_uniform_chain_without_fields_or_couplings_has_tier_ratio_exactly_one():
    state = ising_chain.build_state(settings(), np.array([0]))
    state.theta[:] = 0
    state.fixed["coupling"][1][:] = 0
    for protocol in ("published", "corrected"):
        result = ising_chain.fisher_diagonal(settings(protocol=protocol), state)
        assert tier_ratio(result.fim) == 1


def test_the_magnetisation_solves_the_mean_field_equations(chain):
    beta, field, coupling = chain
    m = ising_chain.magnetisation(beta, field, coupling)
    neighbours = np.diag(coupling, 1) + np.diag(coupling, -1)
    np.testing.assert_allclose(m, np.tanh(beta * (field + neighbours @ m)), atol=1e-12)


def test_it_converges_where_simultaneous_updates_oscillate():
    # Two spins that repel each other: updated at once, they flip together for ever.
    beta, field, coupling = np.float64(1), np.full(2, 0.1), np.array([-3.0])
    m = ising_chain.magnetisation(beta, field, coupling)
    np.testing.assert_allclose(m, np.tanh(field + coupling * m[::-1]), atol=1e-12)
    np.testing.assert_allclose(np.sign(m), [-1, 1])
    together = np.tanh(field)
    for _ in range(100):
        previous, together = together, np.tanh(field + coupling * together[::-1])
    assert np.abs(together - previous).max() > 1.5


def test_the_coupled_response_is_the_central_difference_of_the_magnetisation(chain):
    beta, field, coupling = chain
    step = 1e-5
    difference = [
        (
            ising_chain.magnetisation(beta, field + shift, coupling)
            - ising_chain.magnetisation(beta, field - shift, coupling)
        )[site]
        / (2 * step)
        for site, shift in enumerate(step * np.eye(10))
    ]
    response = ising_chain.coupled_response(beta, field, coupling)
    np.testing.assert_allclose(response, difference, rtol=1e-7)


def test_the_coupled_response_is_the_diagonal_of_the_dense_inverse(chain):
    beta, field, coupling = chain
    m = ising_chain.magnetisation(beta, field, coupling)
    neighbours = np.diag(coupling, 1) + np.diag(coupling, -1)
    dense = np.linalg.inv(np.diag(1 / (beta * (1 - m**2))) - neighbours)
    response = ising_chain.coupled_response(beta, field, coupling)
    np.testing.assert_allclose(response, np.diag(dense), rtol=1e-11)


def test_neighbours_can_only_add_to_the_response(chain):
    beta, field, coupling = chain
    m = ising_chain.magnetisation(beta, field, coupling)
    response = ising_chain.coupled_response(beta, field, coupling)
    assert (response >= beta * (1 - m**2)).all()


def test_reversing_all_fields_changes_nothing():
    for protocol in ("published", "corrected"):
        chosen = settings(sites=50, protocol=protocol)
        state = ising_chain.build_state(chosen, np.array([0]))
        before = ising_chain.fisher_diagonal(chosen, state).fim
        state.theta[:] *= -1
        after = ising_chain.fisher_diagonal(chosen, state).fim
        np.testing.assert_allclose(after, before, rtol=1e-6)


def test_more_probes_keep_the_ones_already_taken():
    sums = [n * fisher(settings(sites=20, probes=n), [0, 1]).fim for n in (5, 6, 50)]
    assert (np.diff(sums, axis=0) > 0).all()
