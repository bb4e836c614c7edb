"""A plateau and a drift are told from a constant step, and measured with intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fimtiers.records import Tensor
from fimtiers.statistics.layer_levels import layer_levels
from fimtiers.statistics.level_drift import (
    drift_of_sweeps,
    equal_means_p,
    measure_drift,
    predicted_levels,
    steps_of_sweeps,
)
from fimtiers.theory.mean_field import layer_profile

LAYERS = np.arange(2.0, 20)


def levels(shape, seeds=5, noise=0.1, rng=None):
    rng = rng or np.random.default_rng(0)
    return shape(LAYERS) + noise * rng.standard_normal((seeds, len(LAYERS)))


def plateau(layer):
    return -3 + 1.8 * np.maximum(0, layer - 5.5)


def line(layer):
    return 1.8 * layer


def test_onset_and_slope_that_made_the_levels_are_found():
    drift = measure_drift(levels(plateau, noise=0), LAYERS)
    assert (drift.onset, drift.slope) == pytest.approx((5.5, 1.8), abs=1e-3)
    assert drift.share_of_misfit < 1e-6


def test_the_intervals_cover_onset_and_slope():
    rng = np.random.default_rng(3)
    fits = [measure_drift(levels(plateau, rng=rng), LAYERS) for _ in range(60)]
    for name, true in (("onset", 5.5), ("slope", 1.8)):
        covered = sum(getattr(f, f"{name}_low") <= true <= getattr(f, f"{name}_high") for f in fits)
        assert stats.binom.cdf(covered, 60, 0.95) > 1e-3


def test_a_constant_step_is_rejected_for_a_plateau_and_not_for_a_line():
    bent, straight = (measure_drift(levels(shape), LAYERS) for shape in (plateau, line))
    assert bent.steps_equal_p < 1e-6
    assert straight.steps_equal_p > 0.01
    assert straight.line_low < 1.8 < straight.line_high
    assert straight.share_of_misfit > 0.5


def test_the_test_of_equal_means_is_the_one_of_a_two_way_layout():
    """Compared with the difference of two least-squares fits, with and without columns."""
    values = np.random.default_rng(4).normal(size=(4, 6)) + np.arange(6) / 4
    row, column = np.indices(values.shape).reshape(2, -1)
    rows, columns = np.eye(4)[row], np.eye(6)[column][:, 1:]
    y = values.ravel()

    def misfit(design):
        return np.sum((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2)

    full, without = misfit(np.hstack([rows, columns])), misfit(rows)
    expected = stats.f.sf((without - full) / 5 / (full / 15), 5, 15)
    assert equal_means_p(values) == pytest.approx(expected)


def test_levels_that_cannot_be_measured_are_refused():
    with pytest.raises(ValueError, match="at least 5 layers"):
        measure_drift(np.ones((2, 4)), np.arange(4.0))
    with pytest.raises(ValueError, match="not finite"):
        measure_drift(np.full((2, 18), -np.inf), LAYERS)


def table(shape, predicted, first=9.0, last=-4.0):
    """Return levels of two seeds with a first and a last matrix that have another shape."""
    rows = []
    for seed in range(2):
        values = [first, *shape(LAYERS), last]
        theory = [first, *predicted(LAYERS), last]
        for layer, (value, expected) in enumerate(zip(values, theory, strict=True)):
            rows.append({
                "sweep": "net", "label": "Net", "position": 20, "seed": seed, "layer": layer,
                "log_of_mean": value + 0.01 * seed * (-1) ** layer, "predicted": expected,
            })  # fmt: skip
    return pd.DataFrame(rows)


def test_only_hidden_layers_make_the_drift_and_all_are_compared_with_theory():
    steep = 2.5 * LAYERS
    row = drift_of_sweeps(table(plateau, lambda _: steep, first=50)).iloc[0]
    assert row["layers"] == 18
    assert row["slope"] == pytest.approx(1.8, abs=0.01)
    assert row["predicted_line"] == pytest.approx(2.5)
    away = np.abs(plateau(LAYERS) - steep)
    assert row["furthest"] == pytest.approx(away.max(), abs=0.01)
    assert row["furthest_layer"] == LAYERS[away.argmax()]


def test_a_few_layers_are_compared_with_theory_and_have_no_drift():
    few = table(plateau, line).query("layer < 5")
    row = drift_of_sweeps(few).iloc[0]
    assert np.isnan([row["slope"], row["onset"], row["predicted_line"]]).all()
    assert row["furthest"] > 0


def test_steps_lead_to_the_layers_that_they_name():
    steps = steps_of_sweeps(table(plateau, line)).set_index("layer")
    assert steps.loc[4, "step"] == pytest.approx(0, abs=0.02)
    assert steps.loc[12, "step"] == pytest.approx(1.8, abs=0.02)
    assert steps.loc[12, "predicted"] == pytest.approx(1.8)
    assert steps["hidden"].sum() == 17
    assert not steps.loc[[2, 20], "hidden"].any()


def test_levels_are_taken_of_weight_matrices_seed_by_seed():
    tensors = (
        Tensor("0.weight", 0, "weight", (4, 3)),
        Tensor("0.bias", 0, "bias", (4,)),
        Tensor("1.weight", 1, "weight", (2, 4)),
    )
    fim = np.ones((2, 24))
    fim[1, :12] = np.exp(2)
    fim[:, 16:20] = 0
    found = layer_levels(fim, tensors, [7, 8]).set_index(["layer", "seed"])
    assert found.loc[(0, 8), "log_mean"] == pytest.approx(2)
    assert found.loc[(1, 7), "log_mean"] == pytest.approx(0)
    assert found.loc[(1, 7), "log_of_mean"] == pytest.approx(np.log(0.5))
    assert found.loc[(1, 7), ["fan_in", "fan_out"]].tolist() == [4, 2]
    assert layer_levels(fim[:, 12:16], tensors[1:2], [7, 8]).empty


def test_the_prediction_is_that_of_mean_field_theory_for_the_shapes_of_the_matrices():
    sizes = [16, 64, 64, 8]
    rows = pd.DataFrame(
        [{"seed": seed, "layer": layer, "fan_in": sizes[layer], "fan_out": sizes[layer + 1]}
         for seed in (0, 1) for layer in (2, 0, 1)]
    )  # fmt: skip
    theory = layer_profile(sizes, "relu", "he_normal").log_weight_fisher
    expected = theory[rows["layer"].to_numpy()]
    np.testing.assert_array_equal(predicted_levels(rows, "relu", "he_normal"), expected)
