"""Numbers are written as a reader writes them; labels move as little as they must."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from fimtiers.plotting.layout import add_axes, spread, text_width, wrap
from fimtiers.plotting.style import (
    COLOURS,
    decades,
    figure_style,
    format_number,
    format_percent,
    power_of_ten,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.00"),
        (0.99999, "1.00"),
        (1.0329, "1.03"),
        (85.9826, "86.0"),
        (99.96, "100"),
        (3756.7, "3757"),
        (88440.4, "8.84 × 10⁴"),
        (0.0123, "0.0123"),
        (2.5e-7, "2.50 × 10⁻⁷"),
        (0.0, "0"),
        (np.inf, "∞"),
        (np.nan, "–"),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0, "0 %"),
        (1e-6, "0.1 %"),
        (0.13, "13 %"),
        (0.9999, "99.9 %"),
        (0.998, "99.8 %"),
        (1, "100 %"),
    ],
)
def test_a_percentage_is_rounded_to_none_or_all_only_if_it_is(fraction, text):
    assert format_percent(fraction) == text


def test_powers_of_ten_are_written_in_full_near_one():
    assert [power_of_ten(n) for n in (-2, -1, 0, 3, 4, 12)] == [
        "10⁻²", "0.1", "1", "1000", "10⁴", "10¹²",
    ]  # fmt: skip


@pytest.mark.parametrize(("high", "expected"), [(1e4, "1000"), (9.0, "5")])
def test_a_short_logarithmic_axis_has_more_ticks(high, expected):
    figure = Figure()
    axes = figure.add_subplot(xscale="log", xlim=(0.9, high))
    decades(axes.xaxis)
    figure.draw_without_rendering()
    assert expected in [tick.get_text() for tick in axes.get_xticklabels()]


def test_spread_leaves_positions_that_are_apart():
    np.testing.assert_array_equal(spread([0.9, 0.1, 0.5], 0.2, 0, 1), [0.9, 0.1, 0.5])


def test_spread_moves_equal_positions_apart_symmetrically():
    np.testing.assert_allclose(spread([0.5, 0.5, 0.5], 0.1, 0, 1), [0.4, 0.5, 0.6])


def test_spread_without_room_is_even():
    np.testing.assert_allclose(spread([0.5] * 5, 1.0, 0, 1), [0, 0.25, 0.5, 0.75, 1])


def test_wrapped_lines_fit_and_lose_no_word():
    text = "Every deep value exceeds every other, at the closest by a factor of 1.03"
    lines = wrap(text, 2.0, 10)
    assert " ".join(lines) == text
    assert len(lines) > 1
    assert max(text_width(line, 10) for line in lines) <= 2.0


def test_the_width_of_a_text_is_that_of_the_renderer():
    figure = Figure(dpi=200)
    with figure_style():
        text = figure.text(0, 0, "Random matrix, symmetric derivative", size=9)
    width = text.get_window_extent().width / figure.dpi
    assert text_width(text.get_text(), 9) == pytest.approx(width, rel=0.03)


def test_axes_stand_where_they_are_put_in_inches():
    figure = Figure(figsize=(8, 4))
    axes = add_axes(figure, 1, 0.5, 7, 3)
    np.testing.assert_allclose(axes.get_position().bounds, (1 / 8, 1 / 8, 6 / 8, 2.5 / 4))
    with pytest.raises(ValueError, match="no area"):
        add_axes(figure, 7, 0.5, 7, 3)


def test_the_groups_differ_in_lightness_for_readers_without_colour():
    def luminance(colour):
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return channels @ (0.2126, 0.7152, 0.0722)

    assert abs(luminance(COLOURS["deep"]) - luminance(COLOURS["rest"])) > 0.05
