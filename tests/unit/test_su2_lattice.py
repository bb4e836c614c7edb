"""SU(2) lattice: published values, a slow implementation, exact averages, symmetries."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.special import ive

from fimtiers.lattice import su2
from fimtiers.lattice.geometry import neighbours
from fimtiers.substrates import su2_lattice

DEFAULTS = {name: setting["default"] for name, setting in su2_lattice.SETTINGS.items()}
CORRECTED = {
    **DEFAULTS, "protocol": "corrected", "extent": 4,
    "thermalisation_sweeps": 200, "decorrelation_sweeps": 1,
}  # fmt: skip
VARIANCE_OF_SQUARED_FORCE = 1.81
"""At β = 2, relative to the squared mean, from a separate run; 2 if forces were Gaussian."""
PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


def run(settings, n_seeds=1):
    state = su2_lattice.build_state(settings, np.arange(n_seeds))
    return state, su2_lattice.fisher_diagonal(settings, state)


def tiers(fim):
    """Return T1, T3 and their ratio, one row per seed."""
    ranked = np.sort(fim, axis=1)[:, ::-1]
    n = fim.shape[1]
    top, bottom = ranked[:, : n // 100].mean(1), ranked[:, n - n // 2 :].mean(1)
    return np.stack([top, bottom, top / bottom], axis=1)


def test_the_published_values_are_reproduced_for_every_seed():
    published = [
        (3.45697267475, 0.697064108181, 4.95933248346),
        (3.07714701706, 0.626756476193, 4.90963736944),
        (3.31688779365, 0.709653357946, 4.67395490561),
    ]
    _, fisher = run(DEFAULTS, n_seeds=3)
    np.testing.assert_allclose(tiers(fisher.fim), published, rtol=1e-10)


def matrices(alpha):
    """Return exp(iα·σ/2) from the eigenvectors of α·σ, shape (…, 2, 2)."""
    values, vectors = np.linalg.eigh(np.einsum("...j,jab->...ab", alpha, PAULI))
    return (vectors * np.exp(0.5j * values)[..., None, :]) @ vectors.conj().swapaxes(-1, -2)


def dagger(u):
    return u.conj().swapaxes(-1, -2)


def half_traces(u):
    """Return ½ Re tr P_μν for all μ < ν, shape (6, L, L, L, L), of links (L, L, L, L, 4, 2, 2)."""
    return np.stack(
        [
            np.trace(
                u[..., mu, :, :]
                @ np.roll(u[..., nu, :, :], -1, mu)
                @ dagger(np.roll(u[..., mu, :, :], -1, nu))
                @ dagger(u[..., nu, :, :]),
                axis1=-2,
                axis2=-1,
            ).real
            / 2
            for mu, nu in combinations(range(4), 2)
        ]
    )


def action(u, beta):
    return -beta * half_traces(u).sum()


def slow_published_run(seed, extent, beta, step, thermalisation, decorrelation, probes):
    """Follow the published protocol with matrices, full actions and global differences."""
    stream = np.random.default_rng(seed)
    alpha = 0.3 * stream.standard_normal((extent,) * 4 + (4, 3))
    u = matrices(alpha)

    def sweep():
        sites = list(np.ndindex((extent,) * 4))
        stream.shuffle(sites)
        for site in sites:
            for index in np.ndindex(4, 3):
                component, link = (*site, *index), (*site, index[0])
                before, kept, kept_link = action(u, beta), alpha[component], u[link].copy()
                alpha[component] += step * stream.standard_normal()
                u[link] = matrices(alpha[link])
                change = action(u, beta) - before
                if not (change < 0 or stream.random() < np.exp(-change)):
                    alpha[component], u[link] = kept, kept_link

    for _ in range(thermalisation):
        sweep()
    thermalised = alpha.copy()
    fim = np.zeros(alpha.shape)
    for _ in range(probes):
        for _ in range(decorrelation):
            sweep()
        for component in np.ndindex(alpha.shape):
            shifted = alpha.copy()
            shifted[component] += 1e-3
            fim[component] += ((action(matrices(shifted), beta) - action(u, beta)) / 1e-3) ** 2
    return thermalised.ravel(), fim.ravel() / probes


def test_the_published_protocol_agrees_with_matrices_and_global_differences():
    settings = {
        **DEFAULTS, "extent": 2, "inverse_coupling": 1.5, "step": 0.4,
        "thermalisation_sweeps": 2, "decorrelation_sweeps": 2, "probes": 2,
    }  # fmt: skip
    theta, fim = slow_published_run(0, 2, 1.5, 0.4, 2, 2, 2)
    state, fisher = run(settings)
    np.testing.assert_array_equal(state.theta[0], theta)
    np.testing.assert_allclose(fisher.fim[0], fim, rtol=1e-8, atol=1e-10)


def random_field(extent=3, seed=0):
    """Return the links of a field as matrices and quaternions, its neighbours, and a stream."""
    stream = np.random.default_rng(seed)
    alpha = 2 * stream.standard_normal((extent,) * 4 + (4, 3))
    return matrices(alpha), su2.links_of(alpha.reshape(-1, 3)), *neighbours(extent), stream


def quaternions(u):
    """Return (u₀, u) of shape (links, 4) for matrices u₀ + i u·σ."""
    vector = np.einsum("jab,...ba->...j", PAULI, u).imag / 2
    scalar = np.trace(u, axis1=-2, axis2=-1).real / 2
    return np.concatenate([scalar[..., None], vector], axis=-1).reshape(-1, 4)


def lie_force(links, forward, backward, beta=1.0):
    force = np.empty((len(links), 3))
    plaquette = su2.lie_force(links, forward, backward, beta, force)
    return force, plaquette


def test_quaternions_and_matrices_describe_the_same_links():
    u, links, _, _, _ = random_field()
    np.testing.assert_allclose(quaternions(u), links, atol=1e-14)
    a, b = u.reshape(-1, 2, 2)[:2]
    np.testing.assert_allclose(
        su2.product(tuple(links[0]), tuple(links[1])), quaternions(a @ b)[0], atol=1e-14
    )


def test_the_lie_force_is_the_derivative_of_the_action_along_the_group():
    u, links, forward, backward, _ = random_field(extent=2)
    force, plaquette = lie_force(links, forward, backward, beta=1.3)
    assert plaquette == pytest.approx(half_traces(u).mean(), rel=1e-12)
    spacing = 1e-5
    steps = matrices(spacing * np.eye(3))
    flat = u.reshape(-1, 2, 2)
    for link in range(0, len(links), 5):
        for j in range(3):
            actions = []
            for step in (steps[j], dagger(steps[j])):
                moved = flat.copy()
                moved[link] = flat[link] @ step
                actions.append(action(moved.reshape(u.shape), 1.3))
            difference = (actions[0] - actions[1]) / (2 * spacing)
            assert force[link, j] == pytest.approx(difference, abs=1e-8)


def test_at_the_identity_the_coordinate_and_the_lie_derivative_are_one():
    _, links, forward, backward, stream = random_field()
    vectors = stream.standard_normal((len(links), 3))
    vectors[::7] = 0
    links = su2.links_of(vectors)
    by_difference = np.empty((len(links), 3))
    su2.coordinate_force(vectors, links, forward, backward, 1.0, 1e-7, by_difference)
    by_group = lie_force(links, forward, backward)[0]
    np.testing.assert_allclose(by_difference[::7], by_group[::7], atol=1e-6)
    assert np.abs(by_difference - by_group).max() > 0.1


def test_a_gauge_transformation_rotates_the_force_of_each_link():
    u, links, forward, backward, stream = random_field()
    gauge = matrices(stream.standard_normal((*u.shape[:4], 3)))
    moved = np.stack([np.roll(gauge, -1, mu) for mu in range(4)], axis=4)
    transformed = quaternions(gauge[..., None, :, :] @ u @ dagger(moved))
    forces = [lie_force(each, forward, backward)[0] for each in (links, transformed)]
    np.testing.assert_allclose(*[np.sum(force**2, axis=1) for force in forces], atol=1e-12)
    assert np.abs(forces[0] - forces[1]).max() > 0.1


def test_overrelaxation_moves_the_links_and_leaves_the_action():
    _, links, forward, backward, _ = random_field()
    before, start = lie_force(links, forward, backward)[1], links.copy()
    su2.overrelaxation_sweep(links, forward, backward)
    assert lie_force(links, forward, backward)[1] == pytest.approx(before, abs=1e-14)
    np.testing.assert_allclose(np.linalg.norm(links, axis=1), 1, rtol=1e-14)
    assert np.abs(links - start).mean() > 0.1


@pytest.mark.parametrize("strength", [0.0, 1e-14, 1e-6, 0.5, 1.69, 1.71, 5.0, 50.0])
def test_the_heat_bath_draws_the_aligned_component_from_its_law(strength):
    """⟨w₀⟩ = I₂/I₁ and ⟨w₀²⟩ = 1 − 3 I₂/(k I₁) for the density √(1 − w₀²) exp(k w₀)."""
    stream = np.random.default_rng(2)
    w0 = np.array([su2.aligned_component(strength, stream)[0] for _ in range(20_000)])
    k = max(strength, 1e-8)
    ratio = ive(2, k) / ive(1, k)
    for moments, exact in ((w0, ratio), (w0**2, 1 - 3 * ratio / k)):
        error = moments.std() / math.sqrt(len(w0))
        assert moments.mean() == pytest.approx(exact, abs=4 * error)


def test_the_direction_of_a_drawn_link_is_uniform():
    stream = np.random.default_rng(3)
    draws = np.array([su2.on_sphere(0.6, stream) for _ in range(20_000)])
    np.testing.assert_allclose(np.linalg.norm(draws, axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(draws[:, 1:].mean(0), 0, atol=4 * 0.8 / math.sqrt(3 * 20_000))
    np.testing.assert_allclose(np.cov(draws[:, 1:].T), 0.64 / 3 * np.eye(3), atol=0.006)


def test_the_plaquette_at_strong_coupling_is_that_of_the_character_expansion():
    """⟨½ tr P⟩ = u + 16 u⁵ u' with u = I₂/I₁: a single plaquette, and the cubes at its faces."""
    beta = 0.8
    u = ive(2, beta) / ive(1, beta)
    expansion = u + 16 * u**5 * (1 - 3 * u / beta - u**2)
    _, fisher = run({**CORRECTED, "inverse_coupling": beta, "probes": 2000}, n_seeds=2)
    np.testing.assert_allclose(fisher.diagnostics["plaquette"][1], expansion, atol=1e-3)


@pytest.mark.parametrize("beta", [10.0, 40.0])
def test_the_plaquette_at_weak_coupling_is_that_of_one_loop(beta):
    """1 − 3 (1 − L⁻⁴)/(4β) + O(1/β²), for a lattice without its constant mode."""
    _, fisher = run({**CORRECTED, "inverse_coupling": beta, "probes": 500})
    one_loop = 1 - 0.75 * (1 - 4**-4) / beta
    assert fisher.diagnostics["plaquette"][1][0] == pytest.approx(one_loop, abs=0.25 / beta**2)


@pytest.mark.parametrize("beta", [0.5, 2.0, 4.0])
def test_mean_squared_force_and_mean_curvature_agree_in_equilibrium(beta):
    _, fisher = run({**CORRECTED, "inverse_coupling": beta, "probes": 1000})
    assert fisher.diagnostics["schwinger_dyson_ratio"][1][0] == pytest.approx(1, abs=0.005)


def test_the_published_field_drifts_and_is_not_in_equilibrium():
    state, fisher = run(DEFAULTS, n_seeds=3)
    first, last = (each.diagnostics["mean_rotation_angle"][1] for each in (state, fisher))
    assert (last > 2 * first).all()
    assert (fisher.diagnostics["schwinger_dyson_ratio"][1] < 0.8).all()


@pytest.mark.parametrize("probes", [20, 80, 320, 1280])
def test_the_corrected_tier_ratio_is_that_of_noise_and_goes_to_one(probes):
    _, fisher = run({**CORRECTED, "probes": probes})
    floor = fisher.diagnostics["noise_floor"][1][0]
    assert tiers(fisher.fim)[0, 2] == pytest.approx(floor, rel=0.05)
    error = fisher.diagnostics["relative_standard_error"][1][0]
    assert error == pytest.approx(math.sqrt(VARIANCE_OF_SQUARED_FORCE / probes), rel=0.05)
    between = fisher.diagnostics["relative_variance_between_parameters"][1][0]
    assert between == pytest.approx(0, abs=0.2 / probes)


@pytest.mark.parametrize("protocol", ["published", "corrected"])
def test_more_probes_continue_the_stream_of_fewer(protocol):
    settings = {**DEFAULTS, "protocol": protocol, "thermalisation_sweeps": 5}
    state = su2_lattice.build_state(settings, np.arange(2))
    sums = [
        su2_lattice.fisher_diagonal({**settings, "probes": n}, state).fim * n for n in (4, 5, 4)
    ]
    np.testing.assert_array_equal(sums[0], sums[2])
    last = sums[1] - sums[0]
    assert (last >= -1e-12).all()
    assert last.mean() > 0


def test_rotation_vectors_give_back_their_links_even_plus_and_minus_one():
    _, links, _, _, _ = random_field()
    links[:2] = [[1, 0, 0, 0], [-1, 0, 0, 0]]
    vectors = su2_lattice.rotation_vectors(links)
    np.testing.assert_allclose(su2.links_of(vectors), links, atol=1e-14)
    assert np.linalg.norm(vectors, axis=1).max() <= 2 * np.pi + 1e-14
