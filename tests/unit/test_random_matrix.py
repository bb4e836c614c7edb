"""Random matrices: published values, projector identities, autograd and central differences."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fimtiers.substrates import random_matrix
from fimtiers.tiers import cut_tiers, published_top_mass, tier_ratio

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in random_matrix.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds):
    state = random_matrix.build_state(settings, np.array(seeds))
    return random_matrix.fisher_diagonal(settings, state)


def test_the_published_protocol_gives_the_published_tiers():
    table = pd.read_csv(PUBLISHED / "uniqueness_per_seed.csv").query("system == 'random_matrix'")
    result = fisher(settings(), table["seed"])
    tiers = cut_tiers(result.fim)
    np.testing.assert_allclose(tiers.tier1_mean, table["T1"], rtol=1e-8)
    np.testing.assert_allclose(tiers.tier3_mean, table["T3"], rtol=1e-8)
    np.testing.assert_allclose(tiers.ratio, table["tier_ratio"], rtol=1e-9)
    np.testing.assert_allclose(published_top_mass(result.fim), table["top_mass"], rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "published"),
    [
        (140, [103.3, 106.02, 104.15, 101.88, 107.1, 102.84]),
        (141, [104.0, 102.6, 102.1, 100.2, 98.6, 100.2]),
    ],
)
def test_ten_thousand_entries_straddle_the_threshold_of_100_as_published(size, published):
    result = fisher(settings(size=size, ranks=[1, 2, 4, 8, 16, 32]), range(6))
    np.testing.assert_allclose(tier_ratio(result.fim), published, atol=0.05)


def test_with_the_factor_two_the_tier_ratio_is_a_third_of_the_published_one():
    result = fisher(settings(protocol="corrected"), range(6))
    expected = [25.6, 25.6, 28.1, 29.5, 25.4, 27.3]
    np.testing.assert_allclose(tier_ratio(result.fim), expected, atol=0.05)


def test_every_single_rank_has_a_ratio_above_100_without_the_factor_two():
    lowest = {1: 303, 2: 136, 4: 117, 8: 147, 16: 224}
    highest = {1: 1814, 2: 432, 4: 173, 8: 165, 16: 259}
    for rank in lowest:
        ratios = tier_ratio(fisher(settings(ranks=[rank]), range(6)).fim)
        assert round(ratios.min()) == lowest[rank]
        assert round(ratios.max()) == highest[rank]


def test_with_the_factor_two_only_the_smallest_ranks_have_a_ratio_above_100():
    above = {
        rank: (tier_ratio(fisher(settings(ranks=[rank], protocol="corrected"), range(6)).fim) > 100)
        for rank in (1, 2, 4, 8, 16)
    }
    assert above[1].all()
    assert above[2].all()
    assert above[4].sum() == 3
    assert not above[8].any()
    assert not above[16].any()


def test_orthonormal_coordinates_take_half_of_the_squares_off_the_diagonal():
    """And conserve the length of the gradient: Σ F is that of the projector, its rank."""
    chosen = settings(size=9, ranks=[3], protocol="corrected")
    state = random_matrix.build_state(chosen, np.array([1]))
    entries = random_matrix.fisher_diagonal(chosen, state).fim[0]
    orthonormal = random_matrix.fisher_diagonal(chosen | {"coordinates": "orthonormal"}, state)
    factor = np.where(np.eye(9)[np.triu_indices(9)] == 1, 1, 0.5)
    np.testing.assert_allclose(orthonormal.fim[0], factor * entries, rtol=1e-12)
    assert orthonormal.fim.sum() == pytest.approx(3, rel=1e-12)


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_projectors_are_symmetric_idempotent_and_have_the_rank_as_trace(rank):
    a = np.random.default_rng(0).standard_normal((6, 6))
    (projector,) = random_matrix.spectral_projectors(a + a.T, [rank])
    np.testing.assert_allclose(projector, projector.T, atol=1e-14)
    np.testing.assert_allclose(projector @ projector, projector, atol=1e-14)
    np.testing.assert_allclose(np.trace(projector), rank, rtol=1e-13)


def test_the_sum_over_all_entries_follows_from_the_projector_identities():
    size, rank = 12, 5
    diagonal = np.cumsum([0, *range(size, 1, -1)])
    for protocol, sign in (("published", 0.5), ("corrected", -1)):
        fim = fisher(settings(size=size, ranks=[rank], protocol=protocol), [0]).fim[0]
        expected = (rank / 2 if protocol == "published" else 2 * rank) + sign * fim[diagonal].sum()
        np.testing.assert_allclose(fim.sum(), expected, rtol=1e-6)


def test_the_sum_of_all_eigenvalues_is_the_trace():
    fim = fisher(settings(size=4, ranks=[4], protocol="corrected"), [0]).fim[0]
    expected = np.eye(4)[np.triu_indices(4)]
    np.testing.assert_allclose(fim, expected, atol=1e-14)


def eigenvalue_sum(upper, size, rank):
    matrix = torch.zeros(size, size, dtype=torch.float64)
    row, column = torch.triu_indices(size, size)
    matrix = matrix.index_put((row, column), upper)
    matrix = matrix.index_put((column, row), upper)
    return torch.linalg.eigvalsh(matrix)[-rank:].sum()


def test_the_corrected_gradient_agrees_with_autograd_and_central_differences():
    chosen = settings(size=7, ranks=[2], protocol="corrected")
    state = random_matrix.build_state(chosen, np.array([3]))
    fim = random_matrix.fisher_diagonal(chosen, state).fim[0]
    upper = torch.tensor(state.theta[0], requires_grad=True)
    (gradient,) = torch.autograd.grad(eigenvalue_sum(upper, 7, 2), upper)
    np.testing.assert_allclose(fim, gradient.numpy() ** 2, rtol=1e-9, atol=1e-15)
    step = 1e-6 * torch.eye(28, dtype=torch.float64)
    difference = [
        (eigenvalue_sum(upper + e, 7, 2) - eigenvalue_sum(upper - e, 7, 2)).item() / 2e-6
        for e in step
    ]
    np.testing.assert_allclose(fim, np.square(difference), atol=1e-8)


def test_a_rank_above_the_size_is_refused_by_name():
    with pytest.raises(ValueError, match="ranks has 16; a matrix of size 8 allows 1 to 8"):
        fisher(settings(size=8), [0])
