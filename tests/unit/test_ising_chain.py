"""Ising chain: published values, closed forms, and the exact chain by enumeration."""

import itertools
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
    """A chain of ten spins: inverse temperatures, fields, strong couplings."""
    stream = np.random.default_rng(4)
    return np.array([0.7, 1.1]), 0.5 * stream.standard_normal(10), 1.5 * stream.standard_normal(9)


def enumerated(beta, field, coupling):
    """Weights of all states of a chain, and the states, by their definition."""
    spins = np.array(list(itertools.product([1, -1], repeat=len(field))))
    energy = spins @ field + (spins[:, 1:] * spins[:, :-1]) @ coupling
    weight = np.exp(beta * energy)
    return weight / weight.sum(), spins


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


@pytest.mark.parametrize(
    "magnetisation", [ising_chain.mean_field_magnetisation, ising_chain.exact_magnetisation]
)
def test_uncoupled_spins_are_single_spins(magnetisation):
    field = np.array([-1.0, 0.0, 0.5])
    result = magnetisation(np.array([1.2]), field, np.zeros(2))
    np.testing.assert_allclose(result[0], np.tanh(1.2 * field), rtol=1e-14, atol=1e-16)


def test_without_fields_no_spin_is_magnetised_however_strong_the_couplings():
    coupling = np.array([4.0, -3.0, 0.1])
    m = ising_chain.exact_magnetisation(np.array([1.0]), np.zeros(4), coupling)
    np.testing.assert_allclose(m, 0, atol=1e-15)


def test_two_spins_have_their_closed_form():
    # m_1 = [e^J sinh(h_1 + h_2) + e^−J sinh(h_1 − h_2)] / [e^J cosh(h_1 + h_2) + e^−J cosh(…)].
    (a, b), j = (0.4, -0.9), 0.7
    with_b, against_b = np.exp(j), np.exp(-j)
    top = with_b * np.sinh(a + b) + against_b * np.sinh(a - b)
    bottom = with_b * np.cosh(a + b) + against_b * np.cosh(a - b)
    m = ising_chain.exact_magnetisation(np.ones(1), np.array([a, b]), np.array([j]))
    assert m[0, 0] == pytest.approx(top / bottom, rel=1e-14)


def test_the_exact_magnetisation_is_that_of_all_states_enumerated(chain):
    betas, field, coupling = chain
    result = ising_chain.exact_magnetisation(betas, field, coupling)
    for row, beta in zip(result, betas, strict=True):
        weight, spins = enumerated(beta, field, coupling)
        np.testing.assert_allclose(row, weight @ spins, rtol=1e-12)


def test_the_response_to_the_own_field_is_its_central_difference_and_never_exceeds_beta(chain):
    betas, field, coupling = chain
    step = 1e-5
    m = ising_chain.exact_magnetisation(betas, field, coupling)
    response = betas[:, None] * (1 - m**2)
    assert (response <= betas[:, None]).all()
    for site, shift in enumerate(step * np.eye(10)):
        up, down = (
            ising_chain.exact_magnetisation(betas, field + sign * shift, coupling)[:, site]
            for sign in (1, -1)
        )
        np.testing.assert_allclose(response[:, site], (up - down) / (2 * step), rtol=1e-7)


def test_the_mean_field_response_differs_where_couplings_are_strong(chain):
    betas, field, coupling = chain
    mean_field = ising_chain.mean_field_magnetisation(betas, field, coupling)
    exact = ising_chain.exact_magnetisation(betas, field, coupling)
    assert np.abs(mean_field - exact).max() > 0.3


@pytest.mark.parametrize("definition", ["response", "true"])
def test_both_definitions_are_averages_over_all_states_enumerated(definition):
    chosen = settings(sites=10, probes=3, protocol="corrected", definition=definition)
    state = ising_chain.build_state(chosen, np.array([2]))
    result = ising_chain.fisher_diagonal(chosen, state)
    stream = np.random.default_rng(2)
    stream.standard_normal(10), stream.standard_normal(9)
    field, coupling = state.theta[0], state.fixed["coupling"][1][0]
    expected = np.zeros(10)
    for beta in 1 + 0.1 * stream.standard_normal(3):
        weight, spins = enumerated(beta, field, coupling)
        score = beta * (spins - weight @ spins)  # ∂ ln p / ∂h
        information = weight @ score**2
        expected += information if definition == "true" else (information / beta) ** 2
    np.testing.assert_allclose(result.fim[0], expected / 3, rtol=1e-6)
    assert result.definition == definition


def test_mean_field_theory_is_a_few_per_cent_off_for_the_median_spin():
    """With the fields and couplings of the study, whose couplings are weak."""
    published = fisher(settings(), range(6)).fim
    exact = fisher(settings(protocol="corrected"), range(6)).fim
    error = np.median(np.abs(published / exact - 1), axis=1)
    assert (error > 0.02).all()
    assert (error < 0.07).all()
    assert tier_ratio(exact).max() < 2.5


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
