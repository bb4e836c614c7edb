import numpy as np
import pytest

from fimtiers.tiers import DESCRIPTIONS, gini_coefficient, published_ratio, summarise, tier_ratio
from fimtiers.tiers.summary import RELATIVE


@pytest.fixture
def fim():
    return np.exp(2 * np.random.default_rng(0).standard_normal((3, 400)))


def test_the_summary_has_one_value_per_seed_for_every_described_statistic(fim):
    index = np.repeat(np.arange(4), 100)
    summary = summarise(fim, layer=index // 2, tensor_index=index, published_rule="percentile")
    assert set(summary) == set(DESCRIPTIONS)
    assert {values.shape for values in summary.values()} == {(3,)}


def test_the_summary_agrees_with_the_functions_it_gathers(fim):
    summary = summarise(fim, published_rule="percentile")
    np.testing.assert_array_equal(summary["tier_ratio"], tier_ratio(fim))
    np.testing.assert_array_equal(summary["gini"], gini_coefficient(fim))
    np.testing.assert_array_equal(
        summary["tier_ratio_published"], published_ratio(fim, "percentile")
    )


def test_relative_statistics_are_those_of_theta_squared_f(fim):
    theta = np.random.default_rng(1).standard_normal(fim.shape).astype(np.float32)
    summary = summarise(fim, theta=theta)
    expected = summarise(theta.astype(np.float64) ** 2 * fim)
    for name, values in expected.items():
        np.testing.assert_array_equal(summary[RELATIVE + name], values)


def test_without_layers_parameters_or_rule_nothing_is_said_about_them(fim):
    assert not {n for n in summarise(fim) if "layers" in n or "tensors" in n or "published" in n}


def test_parameters_of_another_shape_are_refused(fim):
    with pytest.raises(ValueError, match="theta has shape"):
        summarise(fim, theta=fim[:1])
