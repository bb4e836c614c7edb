from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fimtiers.statistics.exponents import bootstrap_exponent

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"
EXPONENTS = pd.read_csv(PUBLISHED / "exponents.csv", dtype=str)
LARGEST_CLEAN = 6e9


def points(name):
    task, kind, subset = name.split("_", 2)
    table = pd.read_csv(PUBLISHED / "scaling_points.csv")
    table = table[table["task"] == task]
    if subset.endswith("probes"):
        table = table[table["probes"] == int(subset.removesuffix("probes"))]
    if subset.endswith("clean"):
        table = table[table["parameters"] < LARGEST_CLEAN]
    ratio = table["singular_value_ratio" if kind == "SV" else "tier_ratio"]
    return table["parameters"].to_numpy(float), ratio.to_numpy(float)


@pytest.mark.parametrize("published", EXPONENTS.to_dict("records"), ids=EXPONENTS["name"])
def test_the_published_points_give_the_published_exponent_to_all_printed_digits(published):
    fit = bootstrap_exponent(*points(published["name"]))
    assert fit.points == int(published["points"])
    for field in EXPONENTS.columns[2:]:
        printed = published[field]
        unit = 10.0 ** -len(printed.partition(".")[2])
        # the last digit printed stands for half a unit either way
        digits = 0.5 * unit + 5e-6 * (printed == "1")
        assert getattr(fit, field) == pytest.approx(float(printed), abs=1.01 * digits), field


def test_a_power_law_has_its_exponent_and_no_error():
    n = np.array([1e2, 1e3, 1e5, 1e6])
    fit = bootstrap_exponent(n, 2 * n**0.7)
    assert fit.exponent == pytest.approx(0.7)
    assert (fit.exponent_low, fit.exponent_high) == pytest.approx((0.7, 0.7))
    assert fit.r_squared == pytest.approx(1)


def test_ratios_below_one_count_as_one():
    n = np.array([1e2, 1e3, 1e4])
    assert bootstrap_exponent(n, np.array([0.1, 0.2, 0.5])).exponent == 0


def test_two_points_have_an_interval_without_width():
    fit = bootstrap_exponent(np.array([1e2, 1e4]), np.array([10.0, 1000.0]))
    assert (fit.exponent_low, fit.exponent, fit.exponent_high) == pytest.approx((1, 1, 1))


def test_a_single_width_is_refused():
    with pytest.raises(ValueError, match="at least two distinct"):
        bootstrap_exponent(np.array([1e2, 1e2]), np.array([1.0, 2.0]))
