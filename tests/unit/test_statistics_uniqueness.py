from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fimtiers.statistics.classifier import leave_one_system_out_classifier
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


def test_a_system_unlike_its_group_is_called_wrong_once_it_is_held_out():
    table = pd.DataFrame(
        {
            "system": np.repeat(["a", "b", "odd", "c", "d", "e", "f"], 4),
            "group": np.repeat(["deep"] * 3 + ["rest"] * 4, 4),
            "log10_ratio": np.repeat([3.0, 3.1, 0.3, 0.2, 0.4, 0.3, 0.2], 4),
            "top_mass": np.repeat([0.7, 0.8, 0.02, 0.02, 0.03, 0.02, 0.02], 4),
        }
    )
    result = leave_one_system_out_classifier(table)
    correct = result.by_system.set_index("system")["correct"]
    assert correct.to_dict() == {name: 4 * (name != "odd") for name in correct.index}
    assert result.accuracy == 24 / 28
    assert result.balanced_accuracy == (8 / 12 + 1) / 2


def test_the_only_system_of_a_group_cannot_be_tested():
    table = pd.DataFrame(
        {
            "system": ["a", "b", "c"],
            "group": ["deep", "rest", "rest"],
            "log10_ratio": [3.0, 0.2, 0.4],
            "top_mass": [0.7, 0.02, 0.03],
        }
    )
    result = leave_one_system_out_classifier(table)
    assert result.by_system["testable"].tolist() == [False, True, True]
    assert np.isnan(result.balanced_accuracy)


def test_an_infinite_feature_is_refused_by_system():
    table = pd.DataFrame(
        {"system": ["a", "b"], "group": ["deep", "rest"], "log10_ratio": [np.inf, 0], "top_mass": 1}
    )
    with pytest.raises(ValueError, match="system 'a' has a feature"):
        leave_one_system_out_classifier(table)
