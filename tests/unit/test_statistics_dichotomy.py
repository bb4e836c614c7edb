from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fimtiers.statistics.cluster_bootstrap import cluster_bootstrap
from fimtiers.statistics.dichotomy import (
    compare_groups,
    compare_pooled,
    permutation_test,
    separation,
)

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


@pytest.fixture(scope="module")
def panel():
    return pd.read_csv(PUBLISHED / "panel_per_seed.csv")


def observations(deep, rest):
    rows = [(name, "deep", v) for name, values in deep.items() for v in values]
    rows += [(name, "rest", v) for name, values in rest.items() for v in values]
    return pd.DataFrame(rows, columns=["system", "group", "value"])


def test_the_published_values_give_the_published_test_to_the_last_digit(panel):
    published = pd.read_csv(PUBLISHED / "headline.csv", index_col="quantity")["value"]
    test = compare_pooled(panel)
    assert (test.n_deep, test.n_rest) == (published["n_deep"], published["n_rest"])
    assert published["U"] == test.U
    assert test.p_value == published["p_value"]
    assert test.common_language_effect_size == published["common_language_effect_size"]


def test_the_p_value_is_the_normal_tail_with_continuity_correction():
    deep, rest = np.array([3.0, 8, 9, 12]), np.array([1.0, 2, 4, 5, 7])
    test = compare_groups(deep, rest)
    wins = (deep[:, None] > rest).sum()
    z = (wins - 10 - 0.5) / np.sqrt(4 * 5 * 10 / 12)
    assert wins == test.U
    assert test.p_value == pytest.approx(stats.norm.sf(z), rel=1e-12)


def test_effect_sizes_of_equal_samples_are_one_half_and_zero():
    test = compare_groups(np.arange(10.0), np.arange(10.0))
    assert test.common_language_effect_size == 0.5
    assert test.rank_biserial == 0


def test_effect_sizes_change_sign_about_their_null_value_when_groups_are_swapped():
    deep, rest = np.array([1.0, 5, 6]), np.array([2.0, 3, 7, 8])
    there, back = compare_groups(deep, rest), compare_groups(rest, deep)
    assert there.rank_biserial == pytest.approx(-back.rank_biserial)
    assert there.common_language_effect_size == pytest.approx(1 - back.common_language_effect_size)


def test_infinite_values_rank_above_all_finite_ones():
    assert compare_groups(np.array([np.inf, np.inf]), np.array([1.0, 2, 3])).U == 6


def test_by_system_the_published_panel_has_the_smallest_possible_p_of_one_in_286(panel):
    test = permutation_test(panel)
    assert (test.n_deep, test.n_rest, test.U) == (3, 10, 30)
    assert test.p_value == test.smallest_possible_p_value == 1 / comb(13, 3)


def test_by_independent_class_the_published_panel_has_p_of_one_in_55(panel):
    shared = {
        "nn_trained_pooled": "perceptron",
        "nn_untrained_pooled": "perceptron",
        "kernel_ridge": "kernel",
        "gaussian_process": "kernel",
    }
    classes = panel.assign(family=panel["system"].replace(shared))
    assert permutation_test(classes, unit="family").p_value == pytest.approx(1 / comb(11, 2))


def test_the_permutation_test_counts_every_assignment_also_with_ties():
    table = observations({"a": [5], "b": [2], "c": [2]}, {"d": [2], "e": [1], "f": [5], "g": [3]})
    values = table["value"].to_numpy()

    def u_statistic(chosen):
        rest = [i for i in range(7) if i not in chosen]
        return sum(
            (values[i] > values[j]) + 0.5 * (values[i] == values[j]) for i in chosen for j in rest
        )

    observed = u_statistic((0, 1, 2))
    assignments = list(combinations(range(7), 3))
    expected = np.mean([u_statistic(chosen) >= observed for chosen in assignments])
    test = permutation_test(table)
    assert observed == test.U
    assert test.p_value == pytest.approx(expected)


def test_the_published_separation_is_three_percent_between_a_trained_net_and_a_random_matrix(panel):
    gap = separation(panel)
    assert gap.separated
    assert gap.smallest_deep["system"] == "nn_trained_pooled"
    assert (gap.smallest_deep["point"], gap.smallest_deep["seed"]) == ("width=64", 0)
    assert (gap.largest_rest["system"], gap.largest_rest["seed"]) == ("random_matrix", 3)
    assert gap.margin_ratio == pytest.approx(88.8148124 / 85.98255081, rel=1e-12)
    assert gap.margin_nats == pytest.approx(0.0324, abs=5e-5)


def test_one_value_measured_with_more_probes_ends_the_complete_separation(panel):
    more_probes = panel.copy()
    more_probes.loc[more_probes["value"] == 88.8148124, "value"] = 82.8
    test = compare_pooled(more_probes)
    assert test.U == 2298
    assert test.common_language_effect_size == pytest.approx(0.9991, abs=5e-5)
    assert not separation(more_probes).separated
    assert separation(more_probes).margin_nats < 0


def test_groups_that_are_both_infinite_have_no_margin():
    gap = separation(observations({"a": [np.inf]}, {"b": [np.inf]}))
    assert np.isnan(gap.margin_nats)
    assert not gap.separated


def test_a_reference_system_takes_no_part(panel):
    extra = pd.DataFrame({"system": ["flat"], "group": ["reference"], "value": [1e9]})
    assert compare_pooled(pd.concat([panel, extra])) == compare_pooled(panel)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"system": ["a"], "value": [1.0]}), "lack \\['group'\\]"),
        (observations({"a": [1]}, {}), "no observation in group 'rest'"),
        (observations({"a": [1]}, {"a": [1]}), "system 'a' is in both groups"),
        (observations({"a": [0]}, {"b": [1]}), "system 'a' has the value 0"),
        (observations({"a": [np.nan]}, {"b": [1]}), "system 'a' has the value nan"),
        (
            pd.DataFrame({"system": ["a"], "group": ["shallow"], "value": [1.0]}),
            "group \\['shallow'\\]; allowed: deep, rest, reference",
        ),
    ],
)
def test_an_unsound_table_is_refused_by_name_and_value(table, message):
    with pytest.raises(ValueError, match=message):
        compare_pooled(table)


def test_a_bootstrap_over_systems_of_the_published_panel_spans_the_measured_difference(panel):
    result = cluster_bootstrap(panel, np.random.default_rng(42), resamples=500)
    logs = panel.assign(value=np.log(panel["value"]))
    means = logs.groupby(["group", "system"])["value"].mean()
    assert result.difference_nats == pytest.approx(means["deep"].mean() - means["rest"].mean())
    assert result.difference_nats_low < result.difference_nats < result.difference_nats_high


def test_geometric_means_that_are_equal_but_for_rounding_are_ties():
    for power in (1, 3):
        values = {
            "deep": np.array([1.0, 2, 5, 1]) ** power,
            "rest": np.array([1.0, 1, 1, 10]) ** power,
        }
        table = observations({"a": values["deep"]}, {"b": values["rest"]})
        assert permutation_test(table).p_value == 1


def test_by_classes_of_common_code_the_published_separation_has_p_of_one_in_55(panel):
    """Trained and untrained networks are one class, the two kernel systems another."""
    common = {"nn_trained_pooled": "net", "nn_untrained_pooled": "net"}
    common |= {"kernel_ridge": "kernel", "gaussian_process": "kernel"}
    classed = panel.assign(**{"class": panel["system"].replace(common)})
    result = permutation_test(classed, unit="class")
    assert (result.n_deep, result.n_rest) == (2, 9)
    assert result.p_value == result.smallest_possible_p_value == 1 / 55


def test_a_bootstrap_over_systems_of_one_value_each_gives_every_system_equal_weight():
    table = observations({"a": [2.0] * 8, "b": [9.0]}, {"c": [3.0], "d": [1.0]})
    result = cluster_bootstrap(table, np.random.default_rng(0), resamples=200)
    means = np.log([[2, 9], [3, 1]]).mean(axis=1)
    assert result.difference_nats == pytest.approx(means[0] - means[1])


def test_a_bootstrap_over_systems_is_wider_than_one_over_pooled_seeds():
    generator = np.random.default_rng(5)
    centres = generator.normal(0, 1, size=12)
    values = np.exp(centres[:, None] + 0.01 * generator.standard_normal((12, 20)))
    table = observations(
        {f"d{i}": values[i] for i in range(6)}, {f"r{i}": values[i] for i in range(6, 12)}
    )
    result = cluster_bootstrap(table, generator, resamples=1000)
    width = result.difference_nats_high - result.difference_nats_low
    pooled_error = np.sqrt(2 * np.log(values).var() / 120)
    assert width > 3 * 2 * 1.96 * pooled_error


def test_a_bootstrap_with_an_infinite_value_says_infinite_and_not_nan():
    table = observations({"a": [50.0, np.inf], "b": [90.0, 80.0]}, {"c": [3.0, 2.0], "d": [1.0]})
    result = cluster_bootstrap(table, np.random.default_rng(0), resamples=200)
    assert result.difference_nats == result.difference_nats_high == np.inf
    assert np.isfinite(result.difference_nats_low)
