"""Figures of sweeps: every seed is drawn, and messages are made from the numbers."""

import numpy as np
import pandas as pd
import pytest

from fimtiers.plotting.depth_law import depth_law_message, describe_depth_law, draw_depth_law
from fimtiers.plotting.layer_levels import describe_layer_levels, draw_layer_levels
from fimtiers.plotting.layout import Headline
from fimtiers.plotting.sweep_messages import (
    MESSAGES,
    best_law,
    describe_sweep_panels,
    sweep_message,
)
from fimtiers.plotting.sweep_panels import draw_sweep_panels
from fimtiers.plotting.theory_points import describe_theory_points, draw_theory_points, finite_runs
from fimtiers.plotting.variance_split import describe_variance_split, draw_variance_split
from fimtiers.statistics.sweep_fits import fit_sweeps
from fimtiers.theory.log_normal import log_tier_ratio, small_variance_log_ratio

DEPTHS = (2, 4, 8, 16)
LABELS = {"steep": "Steep", "flat": "Flat"}


@pytest.fixture(scope="module")
def runs():
    """`steep` grows like e^L, `flat` like e^√L with scatter; half of F is zero at depth 16."""
    rng = np.random.default_rng(0)
    rows = []
    for sweep, power in (("steep", 1.0), ("flat", 0.5)):
        for depth in DEPTHS:
            for seed in range(3):
                log_ratio = 2 * depth**power + 0.05 * rng.normal()
                variance = float(depth)
                rows.append({
                    "sweep": sweep, "label": LABELS[sweep], "axis": "depth", "position": depth,
                    "depth": depth, "width": 8, "seed": seed, "fit_from": 0,
                    "tier_ratio": np.exp(log_ratio), "tier_ratio_positive": np.exp(log_ratio),
                    "tier_ratio_published": np.exp(log_ratio), "quantile_ratio": np.exp(log_ratio),
                    "tier3_substituted": int(depth == 16), "log_variance": variance,
                    "log_variance_between_layers": 0.9 * variance,
                    "log_variance_within_layers": 0.1 * variance,
                    "predicted_sqrt_variance": float(small_variance_log_ratio(variance)),
                    "predicted_log_normal": float(log_tier_ratio(variance)),
                    "predicted_layer_mixture": log_ratio, "untrained_over_trained": depth,
                    "probe_loss": 0.5 if depth > 4 else 0.1, "first_training_loss": 0.5,
                })  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def fits(runs):
    return fit_sweeps(runs)


def test_every_seed_of_every_sweep_is_a_dot(runs):
    figure = draw_sweep_panels(runs, {"a": ["steep"], "b": ["flat"]}, LABELS, Headline("m", "s"))
    for axes in figure.axes:
        dots = sum(len(collection.get_offsets()) for collection in axes.collections)
        assert dots == len(DEPTHS) * 3


def test_seeds_with_a_substituted_tier_3_are_hollow(runs):
    figure = draw_sweep_panels(runs, {"a": ["steep"]}, LABELS, Headline("m", "s"))
    filled, hollow = figure.axes[0].collections[:2]
    assert len(hollow.get_offsets()) == 3
    np.testing.assert_array_equal(hollow.get_facecolor()[0, :3], [1, 1, 1])
    assert len(filled.get_offsets()) == 9


def test_panels_that_overlap_share_their_scale(runs):
    figure = draw_sweep_panels(runs, {"a": ["steep"], "b": ["flat"]}, LABELS, Headline("m", "s"))
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim()


def test_a_sweep_without_runs_is_refused_by_name(runs):
    with pytest.raises(ValueError, match="no run of other"):
        draw_sweep_panels(runs, {"a": ["other"]}, {"other": "Other"}, Headline("m", "s"))


def test_the_best_law_of_each_sweep_is_the_one_that_made_it(fits):
    assert best_law(fits, "steep") == "depth"
    assert best_law(fits, "flat") == "sqrt_depth"
    assert best_law(fits, "absent") == "none"


def test_a_curve_that_falls_is_said_to_fall(runs):
    falling = runs.assign(tier_ratio_published=1 / runs["tier_ratio_published"])
    assert best_law(fit_sweeps(falling), "steep") == "falls"


@pytest.mark.parametrize("figure", [*MESSAGES, "other"])
def test_every_figure_has_a_message_without_missing_numbers(figure, runs, fits):
    panels = {"first": ["steep", "flat"]}
    message = sweep_message(figure, runs, fits, panels, LABELS, threshold=100)
    assert "nan" not in message
    caption = describe_sweep_panels(message, runs, panels, LABELS)
    assert caption.startswith(f"{message}.")
    assert "Steep" in caption


def test_the_training_message_tells_networks_that_learn_from_those_that_do_not(runs, fits):
    message = sweep_message("training", runs, fits, {"a": ["flat", "steep"]}, LABELS, 100)
    assert "a, divides it by 2.00 to 4.00, and nothing is learned from depth 8 on" in message


def test_the_depth_law_names_the_law_that_predicts_the_held_out_depth(runs, fits):
    message = depth_law_message(fits, ["steep", "flat"], LABELS)
    assert "Steep: L misses depth 16" in message
    assert "Flat: √L misses depth 16" in message
    assert "Akaike weight" in describe_depth_law(fits, ["steep"], LABELS)
    figure = draw_depth_law(runs, fits, ["steep", "flat"], LABELS, "subtitle")
    assert len(figure.axes) == 3


def test_the_share_between_layers_is_computed_at_the_largest_depth(runs):
    panels = {"net": ["steep"]}
    assert "90 % (net)" in describe_variance_split(runs, panels)
    assert len(draw_variance_split(runs, panels, "subtitle").axes) == 1


def test_runs_without_a_finite_ratio_are_no_points_of_the_theory(runs):
    infinite = runs.copy()
    infinite.loc[0, "tier_ratio"] = np.inf
    panels = {"nets": ["steep", "flat"]}
    assert len(finite_runs(infinite, panels)) == len(runs) - 1
    assert "mixture of layers 0.00" in describe_theory_points(infinite, panels)
    assert len(draw_theory_points(infinite, panels, "subtitle").axes) == 2


def test_the_drift_is_the_slope_of_the_hidden_layers():
    level = [9.0, -2.0, -4.0, -6.0, 5.0]  # the first and last matrix have another shape
    layers = pd.DataFrame(
        {"sweep": "net", "layer": range(5), "role": "weight", "log_of_mean": level,
         "predicted": [-1.5 * layer for layer in range(5)]}
    )  # fmt: skip
    caption = describe_layer_levels(layers, {"torch": ["net"]}, {"net": "Net"})
    assert "−2.00 nats per layer with torch (theory −1.50)" in caption
    assert draw_layer_levels(layers, {"torch": ["net"]}, {"net": "Net"}, "subtitle").axes
