"""Mean squared forces of made-up fields whose exact answer is known."""

import numpy as np
import pytest

from fimtiers.lattice.geometry import neighbours
from fimtiers.lattice.measurement import diagnostics, measure, thermalise
from fimtiers.lattice.noise import noise_floor


class GaussianField:
    """Independent Gaussian forces of given standard deviations; the plaquette counts sweeps."""

    def __init__(self, scales, seed=0):
        self.scales = np.asarray(scales)
        self.stream = np.random.default_rng(seed)
        self.sweeps = 0

    def sweep(self):
        self.sweeps += 1
        return 0.25

    def force(self):
        return self.scales * self.stream.standard_normal(len(self.scales)), float(self.sweeps)


def test_a_step_forward_and_a_step_back_return_to_the_site():
    forward, backward = neighbours(3)
    for direction in range(4):
        assert (backward[forward[:, direction], direction] == np.arange(81)).all()
    coordinates = np.unravel_index(forward[:, 2], (3,) * 4)
    here = np.unravel_index(np.arange(81), (3,) * 4)
    assert (coordinates[2] == (here[2] + 1) % 3).all()
    assert all((coordinates[axis] == here[axis]).all() for axis in (0, 1, 3))


@pytest.mark.parametrize(
    ("probes", "ratio"),
    [(1, 59), (20, 2.73), (60, 1.82), (80, 1.68), (100, 1.60), (200, 1.40), (2000, 1.114)],
)
def test_the_noise_floor_of_gaussian_forces_is_that_of_a_chi_square_law(probes, ratio):
    digits = 0.5 if probes == 1 else 0.006
    assert noise_floor(np.sqrt(2 / probes)) == pytest.approx(ratio, abs=digits)


@pytest.mark.parametrize("error", [1e-4, 1e-3, 1e-2])
def test_the_noise_floor_of_a_small_error_is_that_of_a_gaussian_law(error):
    gaussian = (1 + 2.665 * error) / (1 - 0.798 * error)
    assert noise_floor(error) - 1 == pytest.approx(gaussian - 1, rel=0.01)


def test_no_error_gives_a_noise_floor_of_one_and_a_negative_error_is_refused():
    assert noise_floor(0.0) == 1.0
    with pytest.raises(ValueError, match=r"-0\.1"):
        noise_floor(-0.1)


def test_equal_gaussian_forces_have_the_known_error_and_no_variance_between_them():
    measured = measure(GaussianField(np.full(20_000, 1.5)), probes=50, decorrelation_sweeps=1)
    assert measured.mean_squared_force.mean() == pytest.approx(1.5**2, rel=0.01)
    assert measured.standard_error == pytest.approx(np.sqrt(2 / 50), rel=0.02)
    assert measured.variance_between_parameters == pytest.approx(0, abs=0.002)
    ranked = np.sort(measured.mean_squared_force)[::-1]
    ratio = ranked[:200].mean() / ranked[10_000:].mean()
    assert ratio == pytest.approx(noise_floor(measured.standard_error), rel=0.01)


def test_a_true_variance_between_forces_is_told_from_noise_for_odd_numbers_of_probes():
    exact = np.repeat([1.0, 2.0], 20_000)
    measured = measure(GaussianField(np.sqrt(exact)), probes=31, decorrelation_sweeps=1)
    relative_variance = exact.var() / exact.mean() ** 2
    assert measured.variance_between_parameters == pytest.approx(relative_variance, abs=0.005)


def test_the_mean_is_over_all_configurations_with_the_sweeps_asked_for_before_each():
    field = GaussianField(np.ones(5), seed=3)
    measured = measure(field, probes=7, decorrelation_sweeps=4)
    forces = np.random.default_rng(3).standard_normal((7, 5))
    np.testing.assert_allclose(measured.mean_squared_force, (forces**2).mean(0), rtol=1e-14)
    assert field.sweeps == 28
    assert measured.plaquette == np.mean([4, 8, 12, 16, 20, 24, 28])
    assert measured.acceptance_rate == 0.25


def test_one_probe_has_no_halves_and_is_refused():
    with pytest.raises(ValueError, match="1 probes"):
        measure(GaussianField([1.0]), probes=1, decorrelation_sweeps=1)


def test_thermalisation_records_every_sweep():
    plaquettes, rate = thermalise(GaussianField([1.0]), sweeps=3)
    assert plaquettes.tolist() == [1, 2, 3]
    assert rate == 0.25


def test_the_schwinger_dyson_ratio_compares_mean_force_and_mean_curvature():
    measured = measure(GaussianField(np.full(50, 2.0)), probes=2, decorrelation_sweeps=1)
    table = diagnostics([measured, measured], curvature_per_plaquette=6.0)
    expected = measured.mean_squared_force.mean() / (6.0 * 1.5)
    np.testing.assert_allclose(table["schwinger_dyson_ratio"][1], [expected, expected])
