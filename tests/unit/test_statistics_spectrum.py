"""The Fisher diagonal beside the spectrum of the Fisher matrix."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fimtiers.statistics.spectrum import compare_with_spectrum
from fimtiers.substrates import observed_mlp
from fimtiers.tiers import tier_ratio

PUBLISHED = Path(__file__).parents[2] / "resources" / "published" / "depth_sweeps.csv"


@pytest.fixture(scope="module")
def network():
    """The six-layer network of the published comparison: 1368 parameters, 400 probes."""
    settings = {name: schema["default"] for name, schema in observed_mlp.SETTINGS.items()}
    settings |= {"dim": 8, "outputs": 8, "width": 16, "depth": 6, "probes": 400}
    settings |= {"gram_probes": 400, "precision": "float64"}
    result = observed_mlp.fisher_diagonal(
        settings, observed_mlp.build_state(settings, np.arange(5))
    )
    return result.fim, result.diagnostics["gram_eigenvalue"][1]


@pytest.mark.parametrize(
    ("field", "quantity", "tolerance"),
    [
        ("diagonal_tier1_mean", "diagonal_tier1_mean", 1e-7),
        ("diagonal_tier2_mean", "diagonal_tier2_mean", 1e-7),
        ("diagonal_tier_ratio", "diagonal_tier_ratio", 1e-6),
        ("spectrum_tier1_mean", "spectrum_tier1_mean", 1e-7),
        ("spectrum_tier2_mean", "spectrum_tier2_mean", 1e-5),  # six digits are printed
    ],
)
def test_the_reproducible_published_values_are_measured(network, field, quantity, tolerance):
    table = pd.read_csv(PUBLISHED)
    rows = table[(table["experiment"] == "V4.2") & (table["quantity"] == quantity)]
    measured = getattr(compare_with_spectrum(*network), field)
    np.testing.assert_allclose(measured, rows.sort_values("seed")["value"], rtol=tolerance)


def test_the_published_ratio_of_eigenvalues_is_that_of_rounding_error(network):
    comparison = compare_with_spectrum(*network)
    assert (comparison.rank <= 400).all()
    assert np.isinf(comparison.spectrum_tier_ratio).all()
    assert np.isfinite(comparison.spectrum_ratio_within_rank).all()


def test_the_spectrum_majorises_the_diagonal(network):
    fim, eigenvalues = (np.sort(values)[:, ::-1].cumsum(axis=1) for values in network)
    assert (eigenvalues >= fim[:, :400] * (1 - 1e-12)).all()
    comparison = compare_with_spectrum(*network)
    assert (comparison.spectrum_participation < comparison.diagonal_participation).all()


def test_a_diagonal_matrix_has_itself_for_a_spectrum():
    fim = np.random.default_rng(0).exponential(size=(2, 300))
    comparison = compare_with_spectrum(fim, fim[:, ::-1])
    assert (comparison.rank == 300).all()
    for ratio in (comparison.spectrum_tier_ratio, comparison.spectrum_ratio_within_rank):
        np.testing.assert_allclose(ratio, tier_ratio(fim))
        np.testing.assert_allclose(ratio, comparison.diagonal_tier_ratio)


def test_a_rotation_of_equal_gradients_hides_the_spectrum_from_the_diagonal():
    """One gradient direction with equal entries: F is flat, the spectrum a single eigenvalue."""
    gradients = np.random.default_rng(0).standard_normal((20, 1)) * np.ones(50)
    fim = (gradients**2).mean(axis=0)[None]
    eigenvalues = np.linalg.eigvalsh(gradients @ gradients.T / 20)[None]
    comparison = compare_with_spectrum(fim, eigenvalues)
    assert comparison.rank == 1
    assert comparison.diagonal_tier_ratio == pytest.approx(1)
    assert comparison.spectrum_participation == pytest.approx(1)
    assert comparison.diagonal_participation == pytest.approx(50)


def test_a_spectrum_of_other_probes_is_refused():
    with pytest.raises(ValueError, match=r"F sums to \[3\.\] and the eigenvalues to \[2\.\]"):
        compare_with_spectrum(np.ones((1, 3)), np.ones((1, 2)))
    with pytest.raises(ValueError, match="4 eigenvalues for 3 parameters"):
        compare_with_spectrum(np.ones((1, 3)), np.ones((1, 4)))
