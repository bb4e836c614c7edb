from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fimtiers.tiers import effective_rank, gini_coefficient, top_mass

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


def test_gini_is_the_mean_absolute_difference_over_twice_the_mean():
    fim = np.random.default_rng(0).exponential(size=300)
    differences = np.abs(fim[:, None] - fim[None, :]).sum()
    assert gini_coefficient(fim) == pytest.approx(differences / (2 * 300**2 * fim.mean()))


def test_gini_of_equal_values_is_zero_and_of_a_single_positive_one_is_its_largest_value():
    assert gini_coefficient(np.full(128, 3.0)) == 0
    assert gini_coefficient(np.eye(1, 128)[0]) == 1 - 1 / 128
    assert gini_coefficient(np.zeros(128)) == 0


def test_effective_rank_counts_equal_positive_values():
    fim = np.concatenate([np.zeros(75), np.full(25, 7.0)])
    assert effective_rank(fim) == 0.25
    assert effective_rank(fim, normalise="positive") == 1.0


def test_effective_rank_of_tiny_values_does_not_underflow():
    assert effective_rank(np.full(10, 1e-300)) == pytest.approx(1.0)


def test_top_mass_conventions_differ_as_they_say():
    fim = np.concatenate([np.zeros(50), np.arange(1.0, 101.0)])
    total = fim.sum()
    assert top_mass(fim) == pytest.approx(100 / total)
    assert top_mass(fim, rounding="ceil") == pytest.approx((100 + 99) / total)
    assert top_mass(fim, entries="positive") == pytest.approx(100 / total)
    positive_two = top_mass(fim, percent=2, rounding="ceil", entries="positive")
    assert positive_two == pytest.approx((100 + 99) / total)


def test_a_whole_number_of_percents_is_not_rounded_up_by_floating_point():
    # 700 × 0.01 is 7.000000000000001 in binary
    assert top_mass(np.ones(700), rounding="ceil") == pytest.approx(7 / 700)


def test_a_diagonal_of_zeros_has_no_effective_rank_and_no_top_mass():
    assert np.isnan(effective_rank(np.zeros(10)))
    assert np.isnan(top_mass(np.zeros(10)))


def reference(name):
    generator = np.random.default_rng(42)
    if name == "ref_uniform_gaussian":
        return generator.uniform(0.5, 1.5, 5000)
    return generator.standard_normal(5000) ** 2


@pytest.mark.parametrize("name", ["ref_uniform_gaussian", "ref_random_sq_gaussian"])
def test_the_published_references_are_reproduced_to_all_printed_digits(name):
    published = pd.read_csv(PUBLISHED / "partition_free.csv", index_col="system").loc[name]
    fim = reference(name)
    measured = [
        gini_coefficient(fim),
        effective_rank(fim, normalise="positive"),
        top_mass(fim, entries="positive"),
    ]
    np.testing.assert_allclose(measured, published.iloc[1:].to_numpy(float), rtol=6e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: effective_rank(f, normalise="some"), "normalise is 'some'; allowed: all"),
        (lambda f: top_mass(f, rounding="up"), "rounding is 'up'; allowed: floor"),
        (lambda f: top_mass(f, entries="some"), "entries is 'some'; allowed: all"),
        (lambda f: top_mass(f, percent=0), "percent is 0; expected more than 0"),
    ],
)
def test_an_unknown_convention_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones(10))
