from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fimtiers.statistics.dichotomy import compare_pooled
from fimtiers.statistics.intervals import panel_intervals
from fimtiers.statistics.published_pseudodata import pseudo_observations, why_undefined
from fimtiers.statistics.thresholds import (
    area_under_curve,
    best_thresholds,
    leave_one_system_out,
    roc_curve,
    threshold_sensitivity,
)

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"
THRESHOLDS = [10, 30, 100, 300, 1000]


@pytest.fixture(scope="module")
def panel():
    return pd.read_csv(PUBLISHED / "panel_per_seed.csv")


@pytest.fixture(scope="module")
def pseudo(panel):
    return pseudo_observations(panel_intervals(panel).round(4))


def test_the_made_up_values_give_the_published_table_to_the_last_digit(pseudo):
    published = pd.read_csv(PUBLISHED / "thresholds.csv", float_precision="round_trip")
    measured = threshold_sensitivity(pseudo, THRESHOLDS)
    for column in ("sensitivity", "specificity", "balanced_accuracy"):
        assert measured[column].tolist() == published[column].tolist()


def test_the_measured_values_give_another_table(panel):
    measured = threshold_sensitivity(panel, THRESHOLDS).set_index("threshold")
    assert measured["deep_above"].tolist() == [46, 46, 45, 35, 28]
    assert measured["rest_below"].tolist() == [44, 44, 50, 50, 50]
    assert measured["balanced_accuracy"].round(4).tolist() == [0.94, 0.94, 0.9891, 0.8804, 0.8043]


def test_the_made_up_values_understate_the_spread_between_seeds(panel, pseudo):
    trained = pseudo.loc[pseudo["system"] == "nn_trained_pooled", "value"]
    assert (round(trained.min()), round(trained.max())) == (244, 405)
    matrix = pseudo.loc[pseudo["system"] == "random_matrix", "value"]
    assert (round(matrix.min(), 1), round(matrix.max(), 1)) == (77.8, 82.2)


def test_an_infinite_tier_ratio_makes_the_made_up_values_undefined(panel):
    intervals = panel_intervals(panel)
    assert why_undefined(intervals) is None
    intervals.loc[3, ["geometric_mean", "high"]] = np.inf
    reason = why_undefined(intervals)
    assert reason.startswith(f"the interval of {intervals['system'][3]} is infinite, since")
    with pytest.raises(ValueError, match="is infinite, since a tier ratio is"):
        pseudo_observations(intervals)


def test_the_made_up_noise_is_the_same_in_every_system(pseudo):
    by_system = {s: np.log(b.to_numpy()) for s, b in pseudo.groupby("system")["value"]}
    first, second = by_system["random_matrix"], by_system["ising_chain"]
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(1)


def test_the_roc_curve_of_the_measured_values_has_area_one_as_published(panel):
    curve = roc_curve(panel)
    assert area_under_curve(curve) == pytest.approx(1)
    assert curve.iloc[0, 1:].tolist() == [0, 0]
    assert curve.iloc[-1, 1:].tolist() == [1, 1]


def test_the_area_under_the_curve_is_the_common_language_effect_size_also_with_ties():
    generator = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "system": ["a"] * 30 + ["b"] * 40,
            "group": ["deep"] * 30 + ["rest"] * 40,
            "value": generator.integers(1, 8, 70) + np.repeat([1.0, 0.0], [30, 40]),
        }
    )
    expected = compare_pooled(table).common_language_effect_size
    assert area_under_curve(roc_curve(table)) == pytest.approx(expected)


def test_only_thresholds_within_three_percent_separate_the_measured_values(panel):
    deep, rest = (panel.loc[panel["group"] == g, "value"].to_numpy() for g in ("deep", "rest"))
    low, high = best_thresholds(deep, rest)
    assert (low, high) == (85.98255081, 88.8148124)
    assert threshold_sensitivity(panel, [(low + high) / 2])["balanced_accuracy"].item() == 1


def test_the_best_threshold_is_the_best_of_all_thresholds():
    generator = np.random.default_rng(1)
    deep, rest = np.exp(generator.normal(1, 1, 40)), np.exp(generator.normal(0, 1, 30))

    def accuracy(threshold):
        return ((deep > threshold).mean() + (rest <= threshold).mean()) / 2

    low, high = best_thresholds(deep, rest)
    best = max(accuracy(t) for t in np.concatenate([deep, rest]))
    assert accuracy(low) == accuracy((low + high) / 2) == pytest.approx(best)


def test_leaving_out_a_system_gives_the_published_tests(panel):
    published = pd.read_csv(PUBLISHED / "leave_one_system_out.csv", float_precision="round_trip")
    measured = leave_one_system_out(panel).set_index("dropped").loc[published["dropped"]]
    for column in ("n_deep", "n_rest", "U", "p_value"):
        assert measured[column].tolist() == published[column].tolist()
    assert (measured["rank_biserial"] == 1).all()


def test_a_threshold_chosen_without_the_random_matrix_calls_all_its_seeds_deep(panel):
    table = leave_one_system_out(panel).set_index("dropped")
    assert table.loc["random_matrix", "dropped_correct"] == 0
    assert (table.loc["nn_trained_pooled", ["dropped_correct", "n_dropped"]] == [12, 20]).all()
    others = table.drop(["random_matrix", "nn_trained_pooled"])
    assert (others["dropped_correct"] == others["n_dropped"]).all()


def test_leaving_out_the_only_system_of_a_group_is_refused():
    table = pd.DataFrame({"system": ["a", "b"], "group": ["deep", "rest"], "value": [2.0, 1.0]})
    with pytest.raises(ValueError, match="no observation in group 'deep'"):
        leave_one_system_out(table)
