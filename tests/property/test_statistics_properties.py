import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimtiers.statistics.cluster_bootstrap import cluster_bootstrap
from fimtiers.statistics.dichotomy import (
    compare_groups,
    compare_pooled,
    permutation_test,
    separation,
)
from fimtiers.statistics.intervals import log_bootstrap_interval
from fimtiers.statistics.thresholds import (
    area_under_curve,
    best_thresholds,
    roc_curve,
    threshold_sensitivity,
)

values = st.lists(st.integers(1, 12).map(float), min_size=1, max_size=5)
systems = st.lists(values, min_size=1, max_size=4)


@st.composite
def panels(draw):
    rows = [
        (f"{group}{i}", group, value)
        for group in ("deep", "rest")
        for i, members in enumerate(draw(systems))
        for value in members
    ]
    return pd.DataFrame(rows, columns=["system", "group", "value"])


@given(panels())
def test_the_area_under_the_roc_curve_is_the_common_language_effect_size(panel):
    area = area_under_curve(roc_curve(panel))
    assert area == pytest.approx(compare_pooled(panel).common_language_effect_size)


@given(panels())
def test_rank_statistics_do_not_change_under_an_increasing_map(panel):
    mapped = panel.assign(value=panel["value"] ** 3)
    assert compare_pooled(mapped) == compare_pooled(panel)
    assert permutation_test(mapped).p_value == permutation_test(panel).p_value


@given(panels())
def test_a_permutation_p_value_is_at_least_the_smallest_possible_and_at_most_one(panel):
    test = permutation_test(panel)
    assert test.smallest_possible_p_value <= test.p_value <= 1


@given(panels())
def test_groups_are_separated_exactly_if_the_margin_is_positive_and_the_effect_is_complete(panel):
    gap = separation(panel)
    assert gap.separated == (gap.margin_nats > 0) == (compare_pooled(panel).rank_biserial == 1)


@given(panels())
def test_no_threshold_between_two_values_beats_the_best_one(panel):
    deep, rest = (panel.loc[panel["group"] == g, "value"].to_numpy() for g in ("deep", "rest"))
    low, _ = best_thresholds(deep, rest)
    tried = threshold_sensitivity(panel, [low, *np.unique(panel["value"])[:-1]])
    assert tried["balanced_accuracy"].iloc[0] == pytest.approx(tried["balanced_accuracy"].max())


@given(panels())
def test_the_cluster_bootstrap_of_single_values_has_the_difference_of_their_mean_logarithms(panel):
    single = panel.groupby("system", sort=False).head(1)
    result = cluster_bootstrap(single, np.random.default_rng(0), resamples=5)
    deep, rest = (np.log(single.loc[single["group"] == g, "value"]) for g in ("deep", "rest"))
    assert result.difference_nats == pytest.approx(deep.mean() - rest.mean())


@given(values, st.floats(0.01, 100))
def test_an_interval_scales_with_its_values(sample, factor):
    plain = log_bootstrap_interval(np.array(sample), np.random.default_rng(1), resamples=20)
    scaled = log_bootstrap_interval(
        factor * np.array(sample), np.random.default_rng(1), resamples=20
    )
    for name in ("geometric_mean", "low", "high"):
        assert getattr(scaled, name) == pytest.approx(factor * getattr(plain, name))
    assert min(sample) * (1 - 1e-12) <= plain.geometric_mean <= max(sample) * (1 + 1e-12)


@given(values, values)
def test_swapping_the_groups_turns_the_effect_sizes_round(deep, rest):
    there = compare_groups(np.array(deep), np.array(rest))
    back = compare_groups(np.array(rest), np.array(deep))
    assert there.rank_biserial == pytest.approx(-back.rank_biserial)
    assert len(deep) * len(rest) == there.U + back.U
