"""Six classifiers of held-out systems: what they find, where they differ, what they cannot use."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fimtiers.statistics.classifier import CLASSIFIERS, classify_held_out

PUBLISHED = Path(__file__).parents[2] / "resources/published/panel_per_seed.csv"


def table(values, groups, **columns):
    """Four rows for each system, named by letters."""
    rows = pd.DataFrame(
        {
            "system": np.repeat(list("abcdefgh")[: len(values)], 4),
            "group": np.repeat(groups, 4),
            "value": np.repeat(values, 4),
        }
    )
    defaults = {"positive_ratio": rows["value"], "gini": 0.5, "effective_rank": 0.1}
    mass = np.where(rows["group"] == "deep", 0.7, 0.02)
    return rows.assign(**defaults, top_mass=mass).assign(**columns)


CLEAR = ([2000.0, 1500.0, 1800.0, 2.0, 3.0, 4.0], ["deep"] * 3 + ["rest"] * 3)


def test_all_six_call_every_system_of_a_clear_panel_right():
    rows = table(*CLEAR)
    rows["gini"] = np.where(rows["group"] == "deep", 0.9, 0.2)
    result = classify_held_out(rows)
    assert result["classifier"].unique().tolist() == list(CLASSIFIERS)
    assert len(result) == 6 * 6
    assert (result["correct"] == result["n"]).all()


def test_a_threshold_found_is_one_between_the_groups_and_only_classifiers_by_one_number_have_it():
    result = classify_held_out(table(*CLEAR)).set_index("classifier")
    by_ratio = ["best threshold", *[name for name in CLASSIFIERS if "," in name], "logistic"]
    assert result.loc[by_ratio, "threshold"].between(4, 1500).all()
    others = result.loc[["logistic with top mass", "logistic without tier ratio"], "threshold"]
    assert others.isna().all()
    best = result.loc["best threshold"].set_index("system")["threshold"]
    assert best["a"] == pytest.approx((4 * 1500) ** 0.5, rel=1e-6)
    assert best["f"] == pytest.approx((3 * 1500) ** 0.5, rel=1e-6)


def test_a_system_unlike_its_group_is_called_wrong_once_it_is_held_out():
    values = [2000.0, 1500.0, 2.0, 1.6, 2.5, 2.0, 1.6]
    rows = table(values, ["deep"] * 3 + ["rest"] * 4)
    rows.loc[rows["system"] == "c", "top_mass"] = 0.02
    result = classify_held_out(rows).set_index(["classifier", "system"])
    assert result.loc[("logistic with top mass", "c"), "correct"] == 0
    assert result.loc[("best threshold", "c"), "called_deep"] == 0


def test_strictness_decides_how_many_trained_networks_of_the_published_values_are_called_deep():
    rows = pd.read_csv(PUBLISHED)
    rows = rows.assign(positive_ratio=rows["value"], gini=0.5, effective_rank=0.1, top_mass=0.1)
    result = classify_held_out(rows).set_index(["system", "classifier"])
    trained = result.loc["nn_trained_pooled", "called_deep"]
    assert trained["best threshold"] == 12
    assert trained["logistic"] == 12
    assert trained["logistic, groups balanced"] == 19


def test_where_a_ratio_is_infinite_that_over_positive_entries_is_used_and_named():
    rows = table([np.inf, 1500.0, 1800.0, 2.0, 3.0, 4.0], CLEAR[1])
    rows["positive_ratio"] = rows["value"].replace(np.inf, 900.0)
    result = classify_held_out(rows).set_index("classifier")
    assert set(result.loc["logistic", "ratio"]) == {"positive_ratio"}
    assert set(result.loc["logistic without tier ratio", "ratio"]) == {""}
    assert result.loc["logistic", "correct"].tolist() == [4] * 6


def test_the_only_system_of_a_group_cannot_be_held_out():
    result = classify_held_out(table([2000.0, 2.0, 3.0], ["deep", "rest", "rest"]))
    assert set(result["system"]) == {"b", "c"}
