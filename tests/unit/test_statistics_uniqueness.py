from pathlib import Path

import pandas as pd
import pytest

from fimtiers.statistics.uniqueness import uniqueness_tests

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


@pytest.fixture(scope="module")
def rows():
    return pd.read_csv(PUBLISHED / "uniqueness_per_seed.csv")


@pytest.fixture(scope="module")
def tests(rows):
    return uniqueness_tests(rows, network="deep_mlp")


@pytest.fixture(scope="module")
def published():
    table = pd.read_csv(PUBLISHED / "uniqueness_tests.csv", index_col="quantity")
    return table["value"].drop("verdict").astype(float)


def test_the_network_is_large_but_not_stable_and_so_not_unique(tests, published):
    assert tests.magnitude_z == pytest.approx(published["magnitude_z"], abs=0.005)
    assert tests.magnitude_passes
    assert not tests.stability_passes
    assert not tests.unique


def test_the_boolean_circuit_is_the_only_degenerate_baseline(tests, published):
    assert tests.degenerate == ("boolean_circuit",)
    for system, variation in tests.variation.items():
        assert variation == pytest.approx(published[f"{system}_cv"], abs=5e-4), system


def test_the_classifier_that_leaves_out_rows_is_always_right(tests, published):
    assert tests.accuracy == published["classifier_accuracy"]
    log10_ratio, top_mass, bias = tests.coefficients
    assert log10_ratio == pytest.approx(published["coefficient_log10_ratio"], abs=5e-4)
    assert top_mass == pytest.approx(published["coefficient_top_mass"], abs=5e-3)
    assert bias == pytest.approx(published["bias"], abs=5e-3)


def test_an_unknown_network_is_refused(rows):
    with pytest.raises(ValueError, match="no 'transformer' among"):
        uniqueness_tests(rows, network="transformer")
