"""The tables that set panels side by side."""

import numpy as np
import pandas as pd
import pytest

from fimtiers.statistics.comparison import panel_comparison
from fimtiers.statistics.dichotomy import permutation_test, separation
from fimtiers.statistics.intervals import panel_intervals
from fimtiers.statistics.relative import in_relative_units
from fimtiers.statistics.separation_table import separation_table


def rows(systems, definition="response"):
    """Observations: three seeds of each system, from (group, values)."""
    return pd.DataFrame(
        {
            "system": system,
            "class": system[:3],
            "group": group,
            "definition": definition,
            "point": "single",
            "seed": seed,
            "value": value,
            "positive_ratio": min(value, 1e6),
            "relative_tier_ratio": 1 / value,
        }
        for system, (group, values) in systems.items()
        for seed, value in enumerate(values)
    )


PUBLISHED = rows({"net": ("deep", [90, 190.0, 400.0]), "chain": ("rest", [2.0, 2.5, 3.0])})
TRUE = rows({"net_true": ("deep", [30, 95.0, np.inf]), "chain": ("rest", [2.0, 9.0, 40.0])}, "true")


@pytest.fixture
def table():
    panels = {"published": panel_intervals(PUBLISHED), "corrected": panel_intervals(TRUE)}
    published = panel_intervals(PUBLISHED).rename(columns={"low": "ci95_low", "high": "ci95_high"})
    per_seed = pd.DataFrame({"system": ["net", "net"], "relative_difference": [1e-9, -2e-9]})
    return panel_comparison(
        panels, panels, published, per_seed,
        {"net": "net", "chain": "chain"}, {"corrected": {"net_true": "net"}},
    ).set_index("system")  # fmt: skip


def test_every_system_stands_beside_what_corrects_it_and_itself_otherwise(table):
    assert table["corrected_system"].to_dict() == {"net": "net_true", "chain": "chain"}
    assert table.loc["net", "measured_geometric_mean"] == pytest.approx((90 * 190 * 400) ** (1 / 3))
    assert table.loc["net", "corrected_geometric_mean"] == np.inf
    assert table.loc["chain", "corrected_geometric_mean"] == pytest.approx(720 ** (1 / 3))


def test_the_definition_student_t_and_the_positive_entries_stand_in_the_table(table):
    assert table.loc["net", ["measured_definition", "corrected_definition"]].tolist() == [
        "response",
        "true",
    ]
    assert table.loc["net", "corrected_positive_mean"] == pytest.approx((30 * 95 * 1e6) ** (1 / 3))
    assert np.isnan(table.loc["net", "corrected_t_low"])
    assert table.loc["net", "measured_t_low"] < 90
    assert table.loc["net", "measured_relative_smallest"] == 90
    assert table.loc["net", "largest_difference"] == 2e-9


def test_a_system_without_a_relative_ratio_is_left_out_of_the_relative_panel():
    table = PUBLISHED.assign(relative_tier_ratio=[5.0, np.nan, 6.0, 7.0, 8.0, np.inf])
    relative = in_relative_units(table)
    assert relative["system"].tolist() == ["chain"] * 3
    assert relative["value"].tolist() == [7, 8, np.inf]
    assert not {"positive_ratio", "definition"} & set(relative)


def test_the_separation_is_told_for_f_and_for_relative_changes():
    def tests(observations):
        return {
            "separation": vars(separation(observations)),
            "systems": vars(permutation_test(observations)),
            "classes": vars(permutation_test(observations, unit="class")),
        }

    relative = TRUE.assign(value=TRUE["relative_tier_ratio"] + 1e-9)
    result = separation_table(
        {"corrected": {**tests(TRUE), "relative": tests(relative)}}, {"corrected": TRUE}
    ).set_index("quantity")
    assert result["definitions"].tolist() == ["true", "true"]
    assert not result.loc["F", "separated"]
    assert result.loc["F", "smallest_deep"] == 30
    assert result.loc["F", "deep_below"] == 1
    assert result.loc["θ²F", "deep_below"] == 3
    assert result.loc["F", ["systems", "classes"]].tolist() == [2, 2]
