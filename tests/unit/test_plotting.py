"""Every figure shows every system, hides no text behind another, and says what it shows."""

from itertools import combinations

import matplotlib.text
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from fimtiers.plotting.dichotomy import describe_dichotomy, draw_dichotomy
from fimtiers.plotting.invariants import describe_invariants, draw_invariants
from fimtiers.plotting.log_fisher import describe_log_fisher, draw_log_fisher, tabulate_log_fisher
from fimtiers.plotting.margin import describe_margin, draw_margin
from fimtiers.plotting.style import figure_style
from fimtiers.plotting.thresholds import accuracy_steps, describe_thresholds, draw_thresholds
from fimtiers.statistics.convergence import margin_by_probe_count
from fimtiers.statistics.intervals import panel_intervals
from fimtiers.statistics.thresholds import leave_one_system_out, roc_curve, threshold_sensitivity

CENTRES = {
    "circuit": 1e5,
    "untrained": 4e3,
    "trained": 300.0,
    "matrix": 80.0,
    "su2": 4.9,
    "automaton": 3.8,
    "springs": 3.6,
    "logistic": 3.1,
    "ising": 2.6,
    "u1": 2.5,
    "gaussian": 2.0,
    "ridge": 1.4,
    "linear": 1.1,
}
DEEP = ("circuit", "untrained", "trained")
GROUPS = {name: "deep" if name in DEEP else "rest" for name in CENTRES}
LABELS = {name: f"System {name}, as corrected" for name in CENTRES}
SEEDS = 6
FACTORS = (0.25, 0.5, 1.0, 4.0, 16.0, 64.0)
FIGURES = ("dichotomy", "log_fisher", "thresholds", "invariants", "margin")
PANELS = ("finite", "infinite")


def observations_of(panel):
    """A panel like the published one; in `infinite` every tier 3 of the circuit is zero."""
    rng = np.random.default_rng(7)
    rows = []
    for name, centre in CENTRES.items():
        spread = 2.0 if name == "circuit" else 0.2 if name in DEEP else 0.02
        # The stand-in for concentration falls from the steepest system to the flattest.
        rank = np.clip(0.9 * centre**-0.4 * np.exp(0.1 * rng.normal(size=SEEDS)), 0, 1)
        for seed, value in enumerate(centre * np.exp(spread * rng.normal(size=SEEDS))):
            rows.append(
                {
                    "system": name,
                    "group": GROUPS[name],
                    "point": "single",
                    "seed": seed,
                    "value": np.inf if panel == "infinite" and name == "circuit" else value,
                    "gini": 1 - rank[seed],
                    "effective_rank": rank[seed],
                    "top_mass": 0.9 - 0.88 * rank[seed] ** 0.3,
                }
            )
    return pd.DataFrame(rows)


def intervals_of(observations):
    return panel_intervals(observations, seed=1, confidence=0.95, resamples=200, threshold=100)


def diagonals_of(panel):
    rng = np.random.default_rng(3)
    for name, centre in CENTRES.items():
        fim = np.exp(np.log(centre) * 0.4 * rng.normal(size=(SEEDS, 400)))
        if panel == "infinite" and name == "circuit":
            fim[:, :350] = 0
        yield name, [fim]


def convergence_of(observations):
    """Tier ratios that fall with the number of probes."""
    blocks = [
        observations.assign(value=observations["value"] ** (1 + 0.1 / f), probe_factor=f)
        for f in FACTORS
    ]
    return pd.concat(blocks, ignore_index=True).assign(panel="published")


def margin_of(convergence):
    margin = margin_by_probe_count(convergence.assign(carried=False), by="probe_factor")
    return margin.assign(panel="published")


def draw(figure, panel):
    """One figure of the panel, and its caption."""
    observations = observations_of(panel)
    intervals = intervals_of(observations)
    if figure == "dichotomy":
        published = intervals[np.isfinite(intervals["high"])]
        drawn = draw_dichotomy(observations, intervals, published, LABELS, 100, "Subtitle")
        return drawn, describe_dichotomy(observations, intervals, 100, LABELS)
    if figure == "log_fisher":
        histogram, summary = tabulate_log_fisher(diagonals_of(panel))
        drawn = draw_log_fisher(histogram, summary, LABELS, GROUPS, observations, "Subtitle")
        return drawn, describe_log_fisher(summary, LABELS, observations)
    if figure == "thresholds":
        roc, dropped = roc_curve(observations), leave_one_system_out(observations)
        table = threshold_sensitivity(observations, [10, 30, 100, 300, 1000])
        drawn = draw_thresholds(roc, table, table, dropped, LABELS, 100, "Subtitle")
        return drawn, describe_thresholds(roc, table, dropped, LABELS, 100)
    if figure == "invariants":
        drawn = draw_invariants(observations, LABELS, "Subtitle")
        return drawn, describe_invariants(observations, LABELS)
    convergence = convergence_of(observations)
    margin = margin_of(convergence)
    drawn = draw_margin(margin, convergence, LABELS, "Subtitle")
    return drawn, describe_margin(margin, LABELS)


def drawn_texts(figure: Figure, monkeypatch):
    """Text and box in pixels of everything that is written when the figure is drawn."""
    seen = []
    original = matplotlib.text.Text.draw

    def record(text, renderer):
        seen.append(text)
        return original(text, renderer)

    with monkeypatch.context() as patch, figure_style():
        patch.setattr(matplotlib.text.Text, "draw", record)
        figure.canvas.draw()
        return [
            (text.get_text(), text.get_window_extent())
            for text in dict.fromkeys(seen)
            if text.get_visible() and text.get_text().strip()
        ]


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("name", FIGURES)
def test_no_text_covers_another_or_leaves_the_figure(name, panel, monkeypatch):
    figure, _ = draw(name, panel)
    check_texts(figure, monkeypatch)


def check_texts(figure, monkeypatch):
    texts = drawn_texts(figure, monkeypatch)
    assert texts
    width, height = figure.bbox.max
    for text, box in texts:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
    for (one, first), (other, second) in combinations(texts, 2):
        overlap_x = min(first.x1, second.x1) - max(first.x0, second.x0)
        overlap_y = min(first.y1, second.y1) - max(first.y0, second.y0)
        # Boxes are as high as the tallest letters, so up to two pixels are air.
        assert overlap_x <= 1 or overlap_y <= 2, (one, other)


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("name", FIGURES)
def test_every_system_is_named_in_its_figure(name, panel, monkeypatch):
    figure, _ = draw(name, panel)
    written = " ".join(text for text, _ in drawn_texts(figure, monkeypatch))
    assert [label for label in LABELS.values() if label not in written] == []


def test_every_finite_seed_is_a_dot_of_the_dichotomy():
    observations = observations_of("finite")
    figure, _ = draw("dichotomy", "finite")
    dots = np.concatenate([c.get_offsets()[:, 0] for c in figure.axes[0].collections])
    np.testing.assert_allclose(np.sort(dots), np.sort(observations["value"]))


def test_infinite_seeds_are_drawn_beyond_a_broken_axis_and_stated():
    figure, caption = draw("dichotomy", "infinite")
    values, strip = figure.axes
    assert sum(len(c.get_offsets()) for c in strip.collections) == SEEDS
    assert sum(len(c.get_offsets()) for c in values.collections) == SEEDS * (len(CENTRES) - 1)
    assert [tick.get_text() for tick in strip.get_xticklabels()] == ["∞"]
    assert f"{SEEDS} values are infinite" in caption


def test_infinite_seeds_are_drawn_hollow_over_their_positive_entries_and_stated():
    observations = observations_of("infinite").assign(definition="response")
    observations["positive_ratio"] = observations["value"].replace(np.inf, 700.0)
    intervals = intervals_of(observations)
    figure = draw_dichotomy(observations, intervals, intervals.iloc[:0], LABELS, 100, "Subtitle")
    dots = np.concatenate([c.get_offsets()[:, 0] for c in figure.axes[0].collections])
    assert (dots == 700.0).sum() == SEEDS
    caption = describe_dichotomy(observations, intervals, 100, LABELS)
    assert "700 to 700, geometric mean 700" in caption
    assert f"squared response for: {LABELS['circuit']}" in caption


def test_student_t_is_drawn_beside_the_bootstrap_and_is_what_is_written(monkeypatch):
    figure, _ = draw("dichotomy", "finite")
    row = intervals_of(observations_of("finite")).set_index("system").loc["su2"]
    drawn = [tuple(line.get_xdata()) for line in figure.axes[0].lines]
    assert (row["t_low"], row["t_high"]) in drawn
    assert (row["low"], row["high"]) in drawn
    written = [text for text, _ in drawn_texts(figure, monkeypatch)]
    assert any(f"({row['t_low']:.2f} – {row['t_high']:.2f})" in text for text in written)


def test_the_title_of_the_distributions_is_of_the_values_that_the_dichotomy_shows():
    values = observations_of("finite")
    _, caption = draw("log_fisher", "finite")
    deep, rest = (np.log10(values.loc[values["group"] == g, "value"]) for g in ("deep", "rest"))
    assert f"by at least {deep.min():.2f} decades in a deep seed" in caption
    assert f"by at most {rest.max():.2f} in any other" in caption
    assert "† is not the ratio of the marked means" in caption


def test_every_seed_is_on_the_axis_of_the_third_statistic():
    figure, _ = draw("invariants", "finite")
    _, line = figure.axes
    dots = np.concatenate([c.get_offsets()[:, 0] for c in line.collections])
    np.testing.assert_allclose(np.sort(dots), np.sort(observations_of("finite")["gini"]))


def test_a_panel_without_infinite_values_has_no_broken_axis():
    figure, caption = draw("dichotomy", "finite")
    assert len(figure.axes) == 1
    assert "infinite" not in caption


def test_the_message_of_the_dichotomy_is_the_margin_or_the_overlap():
    apart = pd.DataFrame(
        {"system": ["a", "a", "b"], "group": ["deep", "deep", "rest"], "value": [8.0, 6.0, 3.0]}
    )
    intervals = pd.DataFrame({"system": ["a", "b"]})
    assert "by a factor of 2.00" in describe_dichotomy(apart, intervals, 5, {})
    overlapping = apart.assign(value=[8.0, 2.0, 3.0])
    text = describe_dichotomy(overlapping, intervals, 5, {"b": "Chain"})
    assert "1 of 2 deep values do not exceed the largest other, 3.00 (Chain)" in text


def test_the_bins_of_a_system_and_its_zeros_add_up_to_all_parameters():
    histogram, summary = tabulate_log_fisher(diagonals_of("infinite"))
    total = histogram.groupby("system")["fraction"].sum()
    zeros = summary.set_index("system")["zero_fraction"]
    np.testing.assert_allclose(total + zeros, 1)
    assert zeros["circuit"] == 350 / 400


def test_the_tiers_of_the_histogram_have_their_sizes():
    histogram, _ = tabulate_log_fisher([("a", [np.arange(1.0, 201.0)[None]])])
    sizes = histogram.groupby("tier")["fraction"].sum()
    np.testing.assert_allclose(sizes[["bottom 50 %", "middle", "top 1 %"]], [0.5, 0.49, 0.01])


def test_a_uniform_diagonal_lies_in_the_bin_at_its_own_mean():
    histogram, summary = tabulate_log_fisher([("ring", [np.full((2, 100), 0.3)])])
    assert set(histogram["low"]) == {0.0}
    assert summary["log10_ratio"].item() == pytest.approx(0, abs=1e-15)


def test_a_scale_does_not_move_the_histogram():
    fim = np.exp(np.random.default_rng(0).normal(size=(3, 300)))
    one, _ = tabulate_log_fisher([("a", [fim])])
    other, _ = tabulate_log_fisher([("a", [fim * 1e-30])])
    pd.testing.assert_frame_equal(one, other)


def test_a_diagonal_of_zeros_has_no_unit():
    with pytest.raises(ValueError, match="'dead'"):
        tabulate_log_fisher([("dead", [np.zeros((1, 5))])])


def test_an_infinite_tier_ratio_is_stated_with_its_system():
    _, caption = draw("log_fisher", "infinite")
    assert "Tier 3 is exactly zero" in caption
    assert LABELS["circuit"] in caption


def test_accuracy_steps_agree_with_counting():
    observations = observations_of("infinite")
    steps = accuracy_steps(roc_curve(observations))
    deep = observations.loc[observations["group"] == "deep", "value"]
    rest = observations.loc[observations["group"] == "rest", "value"]
    for _, step in steps.iterrows():
        high = step["high"] if np.isfinite(step["high"]) else step["low"] * 2
        threshold = (step["low"] + high) / 2
        assert step["sensitivity"] == pytest.approx((deep > threshold).mean())
        assert step["specificity"] == pytest.approx((rest <= threshold).mean())


def test_the_message_of_the_thresholds_is_the_perfect_window():
    values = {"system": ["a", "a", "b", "c"], "group": ["deep", "deep", "rest", "rest"]}
    perfect = pd.DataFrame({**values, "value": [8.0, 6.0, 3.0, 1.0]})
    empty = pd.DataFrame(columns=["threshold", "threshold_low", "threshold_high"])
    text = describe_thresholds(roc_curve(perfect), empty, empty, {}, 5)
    assert text == "Only a threshold from 3.00 to 6.00 (a factor of 2.00) tells all values apart."
    mixed = perfect.assign(value=[8.0, 2.0, 3.0, 1.0])
    assert "No threshold" in describe_thresholds(roc_curve(mixed), empty, empty, {}, 5)


def test_an_inversion_is_counted_in_both_statistics():
    seeds = pd.DataFrame(
        {
            "system": ["net", "net", "matrix"],
            "group": ["deep", "deep", "rest"],
            "gini": [0.9, 0.7, 0.6],
            "effective_rank": [0.01, 0.25, 0.18],
            "top_mass": [0.8, 0.12, 0.18],
        }
    )
    text = describe_invariants(seeds, {"net": "Net", "matrix": "Matrix"})
    assert "1 of 2 deep seeds are less concentrated than some other seed by effective" in text
    assert "1 by top mass, 0 by the Gini coefficient" in text
    assert "one and the same other seed by rank and top mass: 1 (Net)." in text
    assert "1 of 2 deep seeds fit" in text


def margins(**columns):
    table = {
        "panel": ["published"] * 3 + ["corrected"] * 2,
        "probe_factor": [0.25, 1.0, 64.0, 1.0, 16.0],
        "margin_ratio": [1.2, 1.03, 0.9, 2.5, 2.4],
        "smallest_deep": [120.0, 103.0, 90.0, 50.0, 48.0],
        "largest_rest": [100.0, 100.0, 100.0, 20.0, 20.0],
        "smallest_deep_system": "a",
        "largest_rest_system": "b",
        "smallest_deep_carried": False,
        "largest_rest_carried": False,
    }
    return pd.DataFrame({**table, **columns})


def test_the_message_of_the_margin_speaks_of_every_panel():
    text = describe_margin(margins(), {"a": "A", "b": "B"})
    assert "1.03 in “published” (0.90 at 64 times the probes)" in text
    assert "2.50 in “corrected” (2.40 at 16 times the probes)" in text


def test_a_margin_whose_end_was_measured_at_another_number_of_probes_is_neither_drawn_nor_told():
    table = margins(smallest_deep_carried=[False, False, True, False, True])
    text = describe_margin(table, {"a": "A", "b": "B"})
    assert "64 times" not in text
    assert "2.50 in “corrected”." in text
    convergence = convergence_of(observations_of("finite"))
    both = pd.concat([convergence, convergence.assign(panel="corrected")])
    figure = draw_margin(table, both, {**LABELS, "a": "A", "b": "B"}, "Subtitle")
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert {tuple(line.get_xdata()) for line in dots} == {(0.25, 1.0)}


def test_numbers_of_many_factors_of_probes_do_not_collide(monkeypatch):
    observations = observations_of("finite")
    factors = 2.0 ** np.arange(-8, 7)
    blocks = [observations.assign(probe_factor=factor, panel="published") for factor in factors]
    convergence = pd.concat(blocks, ignore_index=True)
    margin = margin_of(convergence)
    figure = draw_margin(margin, convergence, LABELS, "Subtitle")
    check_texts(figure, monkeypatch)
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert "1" in ticks
    assert "1/256" in ticks or "1/128" in ticks


def test_a_figure_of_nothing_is_refused():
    nothing = pd.DataFrame()
    with pytest.raises(ValueError, match="no observations"):
        draw_dichotomy(nothing, nothing, nothing, {}, 100, "")
    with pytest.raises(ValueError, match="no systems"):
        draw_log_fisher(nothing, nothing, {}, {}, nothing, "")
    with pytest.raises(ValueError, match="ROC curve is empty"):
        draw_thresholds(nothing, nothing, nothing, nothing, {}, 100, "")
    with pytest.raises(ValueError, match="no observations"):
        draw_invariants(nothing, {}, "")
    with pytest.raises(ValueError, match="no margin"):
        draw_margin(nothing, nothing, {}, "")
