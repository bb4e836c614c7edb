"""The published pooling bound: its published values, and what is wrong with it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fimtiers.substrates import mlp
from fimtiers.theory.pooling import pooling_bound

PUBLISHED = Path(__file__).parents[3] / "resources" / "published" / "depth_sweeps.csv"


def network(depth):
    settings = {name: schema["default"] for name, schema in mlp.SETTINGS.items()}
    settings |= {"dim": 32, "width": 256, "depth": depth, "precision": "float64", "probes": 200}
    result = mlp.fisher_diagonal(settings, mlp.build_state(settings, np.array([0])))
    sizes = [tensor.size for tensor in result.tensors]
    return result.fim[0], np.repeat(np.arange(len(sizes)), sizes)


@pytest.mark.parametrize("depth", [2, 4, 8, 12])
def test_both_sides_have_the_published_values(depth):
    table = pd.read_csv(PUBLISHED)
    rows = table[(table["experiment"] == "V6.0c") & (table["point"] == f"depth={depth}")]
    expected = rows.set_index("quantity")["value"]
    result = pooling_bound(*network(depth))
    measured = [
        (result.mean_variance, "mean_tensor_log_variance"),
        (result.spread, "spread_of_tensor_log_variance"),
        (result.bound, "bound"),
        (result.log_ratio, "log_tier_ratio"),
        (result.prediction, "single_gaussian_prediction"),
        (result.deviation, "deviation"),
    ]
    for value, name in measured:
        # Nine digits are printed.
        np.testing.assert_allclose(value, expected[name], rtol=5e-9)
    assert result.holds == bool(expected["bound_holds"])


def test_the_bound_is_vacuous_because_of_the_value_given_to_zeros():
    fim, tensor = network(8)
    published, positive = pooling_bound(fim, tensor), pooling_bound(fim, tensor, floor=None)
    assert published.bound > 500
    assert positive.bound < 10
    assert positive.mean_variance < 15


def test_tensors_that_differ_in_level_only_break_the_bound():
    rng = np.random.default_rng(0)
    tensor = np.repeat([0, 1], 50_000)
    result = pooling_bound(np.exp(rng.standard_normal(100_000) - 20 * tensor), tensor)
    assert result.spread == pytest.approx(0, abs=0.02)
    assert result.deviation > 10
    assert not result.holds


def test_a_tensor_per_parameter_is_expected():
    with pytest.raises(ValueError, match=r"tensor_index has shape \(2,\); fim has 3"):
        pooling_bound(np.ones(3), np.zeros(2, int))
