"""Intervals of points and factors of sweeps: Student's t beside the bootstrap, paired by seed."""

import numpy as np
import pandas as pd
import pytest

from fimtiers.statistics.intervals import log_t_interval
from fimtiers.statistics.prediction_errors import NEAR, prediction_errors
from fimtiers.statistics.sweep_intervals import factor_of_seeds, sweep_factors, sweep_intervals


def runs_of(sweep, ratio, positions=(2, 4, 8), seeds=4, **columns):
    rows = []
    for position in positions:
        for seed in range(seeds):
            value = ratio(position, seed)
            rows.append({
                "sweep": sweep, "label": sweep.title(), "axis": "depth", "position": position,
                "seed": seed, "tier_ratio": value, "tier_ratio_positive": value,
                "tier_ratio_published": value, **columns,
            })  # fmt: skip
    return pd.DataFrame(rows)


def test_every_point_has_students_t_beside_the_bootstrap():
    runs = runs_of("net", lambda position, seed: position * np.exp(seed))
    table = sweep_intervals(runs).set_index(["position", "ratio"])
    row = table.loc[(4, "tier_ratio_published")]
    student = log_t_interval(4 * np.exp(np.arange(4.0)))
    assert (row["t_low"], row["t_high"]) == pytest.approx((student.low, student.high))
    assert row["t_low"] < row["bootstrap_low"] < row["geometric_mean"]
    assert row["geometric_mean"] < row["bootstrap_high"] < row["t_high"]


def test_an_infinite_seed_makes_the_mean_infinite_and_leaves_no_interval_of_students():
    runs = runs_of("net", lambda position, seed: np.inf if seed == 0 else 3.0)
    row = sweep_intervals(runs).iloc[0]
    assert np.isinf(row["geometric_mean"])
    assert np.isnan(row["t_low"])
    assert sweep_factors(runs, {}).empty


def test_factors_go_from_every_position_to_the_last_and_are_paired_by_seed():
    runs = runs_of("net", lambda position, seed: position**2 * np.exp(3 * seed))
    table = sweep_factors(runs, {}).query("ratio == 'tier_ratio_published'").set_index("start")
    assert table["factor"].to_dict() == pytest.approx({2: 16, 4: 4})
    assert table.loc[2, ["low", "high"]].tolist() == pytest.approx([16, 16])


def test_factors_of_training_compare_equal_positions_and_say_what_is_left_of_the_loss():
    trained = runs_of("after", lambda position, seed: 6.0 * position, positions=(4, 8))
    losses = np.tile([0.1, 0.2, 0.3, 0.4], 2)
    trained = trained.assign(probe_loss=losses, first_training_loss=0.5)
    before = runs_of("before", lambda position, seed: 2.0 * position, positions=(2, 4, 8, 16))
    table = sweep_factors(pd.concat([trained, before]), {"after": "before"})
    training = table[(table["kind"] == "training") & (table["ratio"] == "tier_ratio")]
    assert training["position"].tolist() == [4, 8]
    assert training["factor"].tolist() == pytest.approx([3, 3])
    assert training[["loss_left", "loss_left_low", "loss_left_high"]].iloc[0].tolist() == (
        pytest.approx([0.5, 0.2, 0.8])
    )


def test_seeds_that_only_one_side_has_are_left_out():
    above = pd.DataFrame({"seed": [0, 1, 2], "ratio": [2.0, 4.0, 1e9]})
    below = pd.DataFrame({"seed": [1, 0], "ratio": [2.0, 1.0]})
    factor = factor_of_seeds(above, below, "ratio")
    assert (factor.n, factor.geometric_mean) == (2, pytest.approx(2))


def predictions(errors, variance=1.0):
    """Return the table for one sweep whose √v law is off by these errors."""
    runs = pd.DataFrame(
        {
            "sweep": "net",
            "label": "Net",
            "tier_ratio": np.exp(2.0),
            "log_variance": variance,
            "predicted_sqrt_variance": 2 + errors,
            "predicted_log_normal": 2.0,
            "predicted_layer_mixture": np.nan,
        }
    )
    return prediction_errors(runs).set_index("prediction")


def test_a_law_holds_for_a_sweep_if_the_median_error_is_a_factor_of_two_or_less():
    near = predictions(np.array([0.1, -0.69, 5.0]))
    assert near.loc["sqrt_variance", ["median", "worst"]].tolist() == pytest.approx([0.69, 5])
    assert near["holds"].to_dict() == {
        "sqrt_variance": True,
        "log_normal": True,
        "layer_mixture": False,
    }
    assert 0.69 < NEAR < 0.7
    assert not predictions(np.array([0.1, 0.7, 5.0])).loc["sqrt_variance", "holds"]


def test_small_and_large_variances_are_kept_apart():
    errors = np.array([0.0, 4.0])
    table = predictions(errors, variance=np.array([3.0, 3.1])).loc[["sqrt_variance"]]
    assert table.set_index("variance")["holds"].to_dict() == {"small": True, "large": False}


def test_tables_without_rows_still_have_their_columns():
    runs = runs_of("net", lambda position, seed: 1.0, positions=(2,))
    assert sweep_factors(runs, {}).columns.tolist()[:3] == ["sweep", "label", "axis"]
    empty = predictions(np.array([0.0]), variance=0.0)
    assert empty.empty
    assert "holds" in empty
