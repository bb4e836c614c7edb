"""U(1) lattice: published values, a slow implementation, exact averages, symmetries."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.special import iv

from fimtiers import generators
from fimtiers.lattice import u1
from fimtiers.lattice.geometry import neighbours
from fimtiers.substrates import u1_lattice

DEFAULTS = {name: setting["default"] for name, setting in u1_lattice.SETTINGS.items()}
CORRECTED = {**DEFAULTS, "protocol": "corrected", "decorrelation_sweeps": 1}

VARIANCE_OF_SQUARED_FORCE = 1.61
"""At β = 1, relative to the squared mean, from a separate run; 2 if forces were Gaussian."""


def run(settings, n_seeds=1):
    state = u1_lattice.build_state(settings, np.arange(n_seeds))
    return state, u1_lattice.fisher_diagonal(settings, state)


def tiers(fim):
    """Return T1, T3 and their ratio, one row per seed."""
    ranked = np.sort(fim, axis=1)[:, ::-1]
    n = fim.shape[1]
    top, bottom = ranked[:, : n // 100].mean(1), ranked[:, n - n // 2 :].mean(1)
    return np.stack([top, bottom, top / bottom], axis=1)


@pytest.mark.slow
def test_the_published_field_of_extent_8_is_reproduced_for_every_seed():
    published = [
        (4.94122700108, 3.05111732007, 1.61948115485),
        (4.91525648228, 3.04976763795, 1.61168228724),
        (5.00549950175, 3.09405474575, 1.61777987562),
    ]
    _, fisher = run(DEFAULTS, n_seeds=3)
    np.testing.assert_allclose(tiers(fisher.fim), published, rtol=1e-11)


PUBLISHED_SWEEP = {
    0.1: [
        (0.045391989, 0.025806715, 1.758921569),
        (0.044396173, 0.025871587, 1.71602049),
        (0.044838037, 0.025710217, 1.743977378),
    ],
    0.5: [
        (1.1131637, 0.63636551, 1.749252008),
        (1.1049874, 0.63887322, 1.729588),
        (1.100612, 0.63324446, 1.738052352),
    ],
    1.0: [
        (5.1462692, 2.9812623, 1.726204806),
        (5.0601446, 2.9562034, 1.711703777),
        (5.1486006, 2.9929766, 1.720227462),
    ],
    2.0: [
        (15.471285, 8.8367107, 1.750796793),
        (15.574322, 8.9122112, 1.747526087),
        (15.895271, 8.9430187, 1.777394395),
    ],
    5.0: [
        (43.078419, 24.261449, 1.775591355),
        (42.915047, 24.008965, 1.787459271),
        (43.262535, 24.000229, 1.802588388),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("beta", PUBLISHED_SWEEP)
def test_the_published_sweep_of_couplings_is_reproduced_to_the_printed_digits(beta):
    settings = {**DEFAULTS, "extent": 6, "probes": 60, "inverse_coupling": beta}
    _, fisher = run(settings, n_seeds=3)
    measured, published = tiers(fisher.fim), np.array(PUBLISHED_SWEEP[beta])
    np.testing.assert_allclose(measured[:, :2], published[:, :2], rtol=5e-8)
    np.testing.assert_allclose(measured[:, 2], published[:, 2], rtol=1e-9)


def plaquette_angles(theta):
    """Return P_μν for all μ < ν, shape (6, L, L, L, L)."""
    return np.stack(
        [
            theta[..., mu]
            + np.roll(theta[..., nu], -1, mu)
            - np.roll(theta[..., mu], -1, nu)
            - theta[..., nu]
            for mu, nu in combinations(range(4), 2)
        ]
    )


def action(theta, beta):
    return -beta * np.cos(plaquette_angles(theta)).sum()


def slow_published_run(seed, extent, beta, step, thermalisation, decorrelation, probes):
    """Follow the published protocol with full actions and central differences, F and all."""
    stream = np.random.default_rng(seed)
    theta = stream.uniform(-np.pi, np.pi, size=(extent,) * 4 + (4,))

    def sweep():
        sites = stream.integers(0, extent, size=(theta.size, 4))
        directions = stream.integers(0, 4, size=theta.size)
        for site, direction in zip(sites, directions, strict=True):
            link = (*site, direction)
            before, kept = action(theta, beta), theta[link]
            theta[link] += stream.uniform(-step, step)
            change = action(theta, beta) - before
            if not (change < 0 or stream.random() < np.exp(-change)):
                theta[link] = kept

    for _ in range(thermalisation):
        sweep()
    thermalised = theta.copy()
    fim = np.zeros(theta.size)
    for _ in range(probes):
        for _ in range(decorrelation):
            sweep()
        fim += central_difference(theta, beta) ** 2 / probes
    return thermalised.ravel(), fim


def central_difference(theta, beta, spacing=1e-5):
    force = np.empty(theta.size)
    for link in range(theta.size):
        shift = np.zeros(theta.size)
        shift[link] = spacing
        shift = shift.reshape(theta.shape)
        force[link] = (action(theta + shift, beta) - action(theta - shift, beta)) / (2 * spacing)
    return force


@pytest.mark.parametrize("extent", [2, 3])
def test_the_published_protocol_agrees_with_full_actions_and_central_differences(extent):
    settings = {
        **DEFAULTS, "extent": extent, "inverse_coupling": 0.8, "step": 0.5,
        "thermalisation_sweeps": 2, "decorrelation_sweeps": 2, "probes": 2,
    }  # fmt: skip
    theta, fim = slow_published_run(0, extent, 0.8, 0.5, 2, 2, 2)
    state, fisher = run(settings)
    np.testing.assert_array_equal(state.theta[0], theta)
    np.testing.assert_allclose(fisher.fim[0], fim, rtol=1e-6, atol=1e-9)


def random_field(extent=3, seed=0):
    stream = np.random.default_rng(seed)
    theta = stream.uniform(-np.pi, np.pi, size=(extent,) * 4 + (4,))
    return theta, np.exp(1j * theta.ravel()), *neighbours(extent), stream


def force_and_plaquette(links, forward, beta=1.0):
    force = np.empty(len(links))
    plaquette = u1.force(links, forward, beta, force)
    return force, plaquette


def test_the_force_is_the_derivative_of_the_action():
    theta, links, forward, _, _ = random_field()
    force, plaquette = force_and_plaquette(links, forward, beta=0.7)
    np.testing.assert_allclose(force, central_difference(theta, 0.7), atol=1e-8)
    assert plaquette == pytest.approx(np.cos(plaquette_angles(theta)).mean(), rel=1e-12)


def test_the_force_on_a_link_is_that_of_its_staples():
    _, links, forward, backward, _ = random_field()
    force, _ = force_and_plaquette(links, forward)
    staples = [u1.staple_sum(links, forward, backward, i // 4, i % 4) for i in range(len(links))]
    np.testing.assert_allclose(force, (links * np.array(staples)).imag, atol=1e-13)


def test_forces_are_gauge_invariant():
    theta, links, forward, _, stream = random_field()
    gauge = stream.uniform(-np.pi, np.pi, size=theta.shape[:-1])
    moved = np.stack([np.roll(gauge, -1, mu) for mu in range(4)], axis=-1)
    transformed = np.exp(1j * (theta + gauge[..., None] - moved)).ravel()
    np.testing.assert_allclose(
        force_and_plaquette(transformed, forward)[0],
        force_and_plaquette(links, forward)[0],
        atol=1e-12,
    )


def test_overrelaxation_moves_the_links_and_leaves_the_action():
    _, links, forward, backward, _ = random_field()
    before, start = force_and_plaquette(links, forward)[1], links.copy()
    u1.overrelaxation_sweep(links, forward, backward)
    assert force_and_plaquette(links, forward)[1] == pytest.approx(before, abs=1e-14)
    np.testing.assert_allclose(np.abs(links), 1, rtol=1e-15)
    assert np.abs(links - start).mean() > 0.1


@pytest.mark.parametrize("concentration", [0.0, 1e-7, 0.3, 2.0, 6.0, 100.0])
def test_the_heat_bath_draws_from_the_von_mises_law(concentration):
    stream = np.random.default_rng(1)
    draws = np.array([u1.von_mises(concentration, stream)[0] for _ in range(20_000)])
    np.testing.assert_allclose(np.abs(draws), 1, rtol=1e-12)
    for order in (1, 2):
        moments = draws**order
        exact = iv(order, concentration) / iv(0, concentration)
        error = moments.real.std() / math.sqrt(len(draws))
        assert moments.real.mean() == pytest.approx(exact, abs=4 * error)
        assert moments.imag.mean() == pytest.approx(0, abs=4 / math.sqrt(len(draws)))


def test_the_plaquette_at_strong_coupling_is_that_of_the_character_expansion():
    """⟨cos P⟩ = u + 8 u⁵ u' with u = I₁/I₀: a single plaquette, and the cubes it is a face of."""
    beta = 0.5
    u = iv(1, beta) / iv(0, beta)
    expansion = u + 8 * u**5 * (1 - u / beta - u**2)
    settings = {**CORRECTED, "extent": 4, "inverse_coupling": beta, "probes": 1000}
    _, fisher = run(settings)
    assert fisher.diagnostics["plaquette"][1][0] == pytest.approx(expansion, abs=0.0015)


def test_the_plaquette_at_weak_coupling_is_that_of_two_loops():
    """1 − (1 − L⁻⁴)/(4β) − 1/(32β²), for a lattice without its constant mode."""
    settings = {**CORRECTED, "extent": 4, "inverse_coupling": 10.0, "probes": 500}
    _, fisher = run(settings)
    two_loops = 1 - (1 - 4**-4) / 40 - 1 / 3200
    assert fisher.diagnostics["plaquette"][1][0] == pytest.approx(two_loops, abs=1e-4)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_mean_squared_force_and_mean_curvature_agree_in_equilibrium(beta):
    settings = {**CORRECTED, "extent": 4, "inverse_coupling": beta, "probes": 1000}
    _, fisher = run(settings)
    assert fisher.diagnostics["schwinger_dyson_ratio"][1][0] == pytest.approx(1, abs=0.005)


def test_both_protocols_sample_the_same_law():
    settings = {**DEFAULTS, "extent": 4, "inverse_coupling": 0.8, "probes": 200}
    published = run({**settings, "decorrelation_sweeps": 10}, n_seeds=2)[1]
    corrected = run({**CORRECTED, **settings, "protocol": "corrected"}, n_seeds=2)[1]
    plaquettes = [f.diagnostics["plaquette"][1].mean() for f in (published, corrected)]
    assert plaquettes[0] == pytest.approx(plaquettes[1], abs=0.005)
    assert published.fim.mean() == pytest.approx(corrected.fim.mean(), rel=0.02)


@pytest.mark.parametrize("probes", [20, 80, 320])
def test_the_tier_ratio_is_that_of_noise_and_goes_to_one(probes):
    _, fisher = run({**CORRECTED, "extent": 6, "probes": probes})
    floor = fisher.diagnostics["noise_floor"][1][0]
    assert tiers(fisher.fim)[0, 2] == pytest.approx(floor, rel=0.03)
    error = fisher.diagnostics["relative_standard_error"][1][0]
    assert error == pytest.approx(math.sqrt(VARIANCE_OF_SQUARED_FORCE / probes), rel=0.05)
    between = fisher.diagnostics["relative_variance_between_parameters"][1][0]
    assert between == pytest.approx(0, abs=0.1 / probes)


@pytest.mark.parametrize("protocol", ["published", "corrected"])
def test_more_probes_continue_the_stream_of_fewer(protocol):
    settings = {**DEFAULTS, "extent": 3, "protocol": protocol, "thermalisation_sweeps": 5}
    state = u1_lattice.build_state(settings, np.arange(2))
    sums = [u1_lattice.fisher_diagonal({**settings, "probes": n}, state).fim * n for n in (4, 5, 4)]
    np.testing.assert_array_equal(sums[0], sums[2])
    last = sums[1] - sums[0]
    assert (last >= -1e-12).all()
    assert last.mean() > 0


def test_every_seed_has_its_own_stream_whatever_the_others_are():
    settings = {**DEFAULTS, "extent": 3, "thermalisation_sweeps": 2, "probes": 2}
    state = u1_lattice.build_state(settings, np.array([4, 7]))
    alone = u1_lattice.build_state(settings, np.array([7]))
    np.testing.assert_array_equal(state.theta[1], alone.theta[0])
    np.testing.assert_array_equal(
        u1_lattice.fisher_diagonal(settings, state).fim[1],
        u1_lattice.fisher_diagonal(settings, alone).fim[0],
    )
    stream = generators.unpack_numpy(alone.fixed["generator"])[0]
    assert stream.bit_generator.state != np.random.default_rng(7).bit_generator.state
