"""Figures of sweeps: every seed is drawn, and messages are made from the numbers."""

import numpy as np
import pandas as pd
import pytest

from fimtiers.plotting.depth_law import depth_law_message, describe_depth_law, draw_depth_law
from fimtiers.plotting.factor_words import change, written
from fimtiers.plotting.layer_levels import describe_layer_levels, draw_layer_levels, signed
from fimtiers.plotting.layout import Headline
from fimtiers.plotting.sweep_messages import (
    FOUND,
    MESSAGES,
    describe_sweep_panels,
    drawn_runs,
    sweep_message,
)
from fimtiers.plotting.sweep_panels import draw_sweep_panels
from fimtiers.plotting.theory_points import (
    describe_theory_points,
    draw_theory_points,
    theory_message,
    with_families,
)
from fimtiers.plotting.variance_split import describe_variance_split, draw_variance_split
from fimtiers.statistics.intervals import GeometricMeanInterval
from fimtiers.statistics.law_verdicts import FINDINGS, judge_sweeps
from fimtiers.statistics.level_drift import drift_of_sweeps
from fimtiers.statistics.prediction_errors import prediction_errors
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


@pytest.fixture(scope="module")
def laws(runs, fits):
    return judge_sweeps(runs, fits)


@pytest.mark.parametrize("figure", [*MESSAGES, "other"])
def test_every_figure_has_a_message_without_missing_numbers(figure, runs, laws):
    panels = {"first": ["steep", "flat"]}
    message = sweep_message(figure, runs, laws, panels, LABELS, threshold=100)
    assert "nan" not in message
    assert "–" not in message
    caption = describe_sweep_panels(message, runs, panels, LABELS)
    assert caption.startswith(f"{message}.")
    assert "Steep" in caption


def says(figure, panels, laws=None, threshold=100.0, seeds=4):
    """Return the message of a figure of made-up curves.

    A curve is its label, name, and ratios by position; seeds differ by `scatter`.
    """
    rows = []
    for shown in panels.values():
        for name, curve in shown.items():
            scatter = curve.get("scatter", 0.01)
            for position, ratio in curve["ratios"].items():
                for seed in range(seeds):
                    shifted = ratio * np.exp(scatter * (seed - 1.5) * np.log2(1 + position))
                    rows.append({
                        "sweep": name, "axis": curve.get("axis", "depth"), "position": position,
                        "seed": seed, "width": curve.get("width", 8),
                        "tier_ratio_published": shifted,
                        "probe_loss": curve.get("loss", {}).get(position, 0.1),
                        "first_training_loss": 0.5,
                    })  # fmt: skip
    names = {title: list(shown) for title, shown in panels.items()}
    labels = {name: name.title() for shown in names.values() for name in shown}
    return sweep_message(figure, pd.DataFrame(rows), laws, names, labels, threshold)


def findings(*found):
    names = [f"curve{number}" for number in range(len(found))]
    laws = pd.DataFrame({"sweep": names, "response": "log_tier_ratio_published", "finding": found})
    curves = {name: {"ratios": {1: 1.0, 2: 2.0}} for name in names}
    return says("substrates", {"all": curves}, laws)


def test_every_finding_has_its_words():
    assert set(FOUND) == {*FINDINGS, "sqrt_depth", "depth"}


def test_the_message_of_the_substrates_counts_findings_and_says_if_one_law_has_all():
    assert findings("sqrt_depth", "sqrt_depth") == "Of 2 curves √L alone describes all"
    assert findings("depth", "depth", "depth") == "Of 3 curves L alone describes all"
    mixed = findings("sqrt_depth", "depth", "depth", "tie", "rejected", "no_growth", "falls")
    assert mixed == (
        "No one law describes all 7 curves: √L alone describes 1; L alone describes 2; for 1 √L "
        "and L tie; for 1 the better of the two is rejected by the scatter of seeds; 1 do not "
        "grow; 1 fall"
    )


def training(factor, loss):
    before = {"ratios": {2: 10.0, 4: 10.0, 8: 10.0, 16: 10.0}}
    after = {"ratios": {2: 10 * factor, 4: 20 * factor, 8: 10.0}, "loss": loss}
    return says("training", {"net": {"before": before, "after": after}})


def test_the_training_message_says_where_networks_learn_and_by_what_the_ratio_changes():
    learned = {2: 0.05, 4: 0.25, 8: 0.495}
    start = "Where the loss falls, training multiplies T1/T3. net: "
    assert training(3, learned) == (
        f"{start}by 3.0 (3.0 to 3.0) to 6.0 (6.0 to 6.0), L = 2 to 4, loss down to 10 % to 50 %, "
        "1 of 3 depths learn nothing"
    )
    assert training(0.1, learned).startswith(f"{start}by 0.10 (0.10 to 0.10) to 0.20 (")
    assert training(3, {2: 0.5, 4: 0.5, 8: 0.5}) == f"{start}nothing is learned"


def test_trained_networks_are_drawn_beside_untrained_ones_of_the_same_depths(runs):
    longer = pd.concat([runs, runs[runs["sweep"] == "steep"].assign(position=32)])
    panels = {"a": ["steep", "flat"]}
    assert drawn_runs("training", longer, panels)["position"].max() == 16
    assert drawn_runs("widths", longer, panels)["position"].max() == 32


def test_the_message_of_widths_has_a_direction_only_where_the_interval_has_one():
    def widths(last, scatter=0.01):
        curve = {"ratios": {16: 100.0, 256: last}, "axis": "width", "scatter": scatter}
        return says("widths", {"all": {"net": curve}})

    start = "Tier ratio from 16 to 256 units per layer: Net "
    assert widths(10).startswith(f"{start}falls by a factor 10 (")
    assert widths(1000).startswith(f"{start}grows by a factor 10 (")
    assert "falls by a factor 1.5 (" in widths(67, scatter=2)
    assert widths(67, scatter=2).endswith("not told from 1")


def test_the_message_of_initialisations_says_whether_the_intervals_are_apart():
    def growth(first, second):
        panels = {
            "one": {"a": {"ratios": {2: 1.0, 12: first}}},
            "other": {"b": {"ratios": {2: 1.0, 12: second}}},
        }
        return says("activations", panels)

    assert growth(1000.0, 10.0).endswith(": more with one than with other for every curve")
    assert growth(10.0, 1000.0).endswith(": more with other than with one for every curve")
    assert growth(10.0, 10.1).endswith(": the intervals overlap")


def test_the_message_of_gpts_compares_head_and_depth_both_ways():
    def heads(by_head, by_depth):
        curves = {
            "a": {"ratios": {1: 100.0, 12: 100 * by_depth}},
            "b": {"ratios": {1: 100 * by_head, 12: 100 * by_head * by_depth}},
            "wide": {"ratios": {1: 1e9}, "width": 64},
        }
        return says("gpt", {"all": curves})

    assert "moves the tier ratio more than depth" in heads(50, 2)
    assert "moves the tier ratio less than depth" in heads(2, 50)
    assert "by up to a factor 50 (" in heads(50, 2)


def test_the_message_of_resnets_says_what_more_inputs_do():
    def batches(more):
        curves = {"two": {"ratios": {1: 9.0, 32: 1e6}}, "many": {"ratios": {1: 9.0, 32: more}}}
        return says("resnet", {"all": curves})

    assert "falls by a factor 1000" in batches(1e3)
    assert "grows by a factor 1000" in batches(1e9)
    assert "At depth 32" in batches(1e3)


def test_the_message_of_probes_counts_both_directions():
    def probes(few, seeds=4):
        curves = {
            name: {"ratios": {50: value, 2000: 100.0}, "axis": "probes"}
            for name, value in zip("ab", few, strict=True)
        }
        return says("probes", {"all": curves}, seeds=seeds)

    assert "is higher for 2 and lower for 0 of 2 curves" in probes([150.0, 120.0])
    assert "is higher for 0 and lower for 1 of 2 curves" in probes([50.0, 100.0])
    assert "times as high, in single seeds and so without intervals" in probes([150.0, 120.0], 1)


def test_the_message_of_a_family_has_the_ends_with_intervals_and_tells_them_apart():
    curves = {"low": {"ratios": {2: 1.0, 24: 30.0}}, "top": {"ratios": {2: 1.0, 24: 9000.0}}}
    message = says("initialisations", {"all": curves})
    assert "a tier ratio of 9000 (" in message
    assert "with Top and 30 (" in message
    assert message.endswith("with Low")
    same = {
        "low": {"ratios": {24: 30.0}, "scatter": 1},
        "top": {"ratios": {24: 31.0}, "scatter": -1},
    }
    assert says("initialisations", {"all": same}).endswith("with Low, not told apart")


def test_networks_are_below_the_threshold_only_with_their_whole_interval():
    def below(ratio, scatter):
        curves = {"net": {"ratios": {3: ratio}, "scatter": scatter}}
        return says("activation_training", {"trained": curves})

    assert below(50.0, 0.01) == (
        "Of 1 deep networks 1 are below 100 and 0 are not told from it: below are 1 trained (Net)"
    )
    assert below(90.0, 1) == "Of 1 deep networks 0 are below 100 and 1 are not told from it"
    assert below(500.0, 0.01) == "Of 1 deep networks 0 are below 100 and 0 are not told from it"


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        ((27.0, 4.0, 179.0), "grows by a factor 27 (4.0 to 179)"),
        ((0.05, 0.01, 0.25), "falls by a factor 20 (4.0 to 100)"),
        ((3.7, 0.99, 13.8), "grows by a factor 3.7 (0.99 to 14), not told from 1"),
        ((0.25, 0.1, 1.25), "falls by a factor 4.0 (0.80 to 10), not told from 1"),
        ((3.7, np.nan, np.nan), "grows by a factor 3.7 (no interval), not told from 1"),
        ((np.nan, np.nan, np.nan), "is infinite at one end"),
    ],
)
def test_a_factor_has_a_direction_only_if_its_interval_has(factor, text):
    assert change(GeometricMeanInterval(5, *factor)) == text
    assert np.isnan(factor[0]) or written(GeometricMeanInterval(5, *factor))


def test_the_depth_law_says_what_was_found_and_which_law_predicts_better(runs, fits, laws):
    message = depth_law_message(fits, laws, ["steep", "flat"], LABELS)
    assert message.startswith("Steep: L describes it; L misses depth 16")
    assert "Flat: √L describes it; √L misses depth 16" in message
    turned = laws.assign(finding="rejected", held_out_closer="tie")
    message = depth_law_message(fits, turned, ["steep"], LABELS)
    assert message.startswith("Steep: the better one, L, is rejected; L misses")
    assert message.endswith(", a tie")
    assert "lack of fit p" in describe_depth_law(fits, laws, ["steep"], LABELS)


def test_the_errors_of_the_depth_law_name_their_response(runs, fits, laws):
    figure = draw_depth_law(runs, fits, laws, ["steep", "flat"], LABELS, "subtitle")
    names = [label.get_text() for label in figure.axes[2].get_yticklabels()]
    assert len(set(names)) == len(names) == 8
    assert "Steep, √L, positive F" in names


def test_the_share_between_layers_is_computed_at_the_largest_depth(runs):
    panels = {"net": ["steep"]}
    assert "90 % (net)" in describe_variance_split(runs, panels)
    assert len(draw_variance_split(runs, panels, "subtitle").axes) == 1


def test_runs_without_a_finite_ratio_are_no_points_of_the_theory(runs):
    infinite = runs.copy()
    infinite.loc[0, "tier_ratio"] = np.inf
    panels = {"nets": ["steep", "flat"]}
    assert len(with_families(infinite, panels)) == len(runs) - 1
    predictions = prediction_errors(infinite)
    caption = describe_theory_points(predictions, panels, LABELS)
    assert "mixture of layers, beyond, median error (worst), nats: Steep 0.0 (0.0)" in caption
    assert len(draw_theory_points(infinite, predictions, panels, "subtitle").axes) == 2


def test_the_theory_message_counts_the_sweeps_for_which_a_law_holds():
    def message(*holds):
        kinds = {"variance": ["small", "small", "large"], "sweep": ["a", "b", "a"]}
        tables = [
            pd.DataFrame({**kinds, "prediction": name, "holds": holds})
            for name in ("sqrt_variance", "log_normal", "layer_mixture")
        ]
        return theory_message(pd.concat(tables), {"all": ["a", "b"]})

    assert "√v law 2 of 2 while Var[ln F] ≤ 3 and 1 of 1 beyond" in message(True, True, True)
    assert "√v law 1 of 2 while Var[ln F] ≤ 3 and 0 of 1 beyond" in message(True, False, False)
    assert message(True, False, False).endswith("mixture of layers 1 and 0")


def levels(measured, predicted):
    """Return levels of two seeds of a net with five hidden layers."""
    rows = [
        {"sweep": "net", "label": "Net", "position": 7, "seed": seed, "layer": layer,
         "log_of_mean": level, "predicted": theory}
        for seed in range(2)
        for layer, (level, theory) in enumerate(zip(measured, predicted, strict=True))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_message_of_the_levels_says_whether_theory_gives_them():
    level = [9.0, *(-2.0 * np.arange(5)), 5.0]  # the first and last matrix have another shape
    panels, labels = {"torch": ["net"]}, {"net": "Net, torch"}
    near = levels(level, np.array(level) + 0.3)
    far = levels(level, np.array(level) + np.arange(7))
    captions = [
        describe_layer_levels(drift_of_sweeps(rows), panels, labels) for rows in (near, far)
    ]
    assert captions[0].startswith("Mean-field theory gives every level to 0.3 nats with torch.")
    assert captions[1].startswith(
        "Mean-field theory misses levels by up to 6.0 nats with torch (Net)"
    )
    assert "Net −2.00 (−2.00 to −2.00, theory −1.00)" in captions[1]
    assert draw_layer_levels(near, drift_of_sweeps(near), panels, labels, "subtitle").axes


def test_a_slope_of_nothing_has_no_sign():
    assert [signed(value) for value in (-0.004, 0.004, 1.416, -1.0)] == [
        "0.00", "0.00", "+1.42", "−1.00"
    ]  # fmt: skip
