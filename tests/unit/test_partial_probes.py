"""F of the first quarter and half of the probes, kept as histograms, and ratios cut from these."""

import numpy as np
import pandas as pd
import pytest

from fimtiers.partial_probes import partial_counts, stretches, with_histograms
from fimtiers.records import FisherDiagonal, Tensor
from fimtiers.statistics.partial_ratios import partial_ratios, probe_limits
from fimtiers.substrates import (
    gpt,
    layered_circuit,
    mlp,
    observed_mlp,
    recurrent,
    resnet,
    tensor_network,
    transformer,
    u1_lattice,
)
from fimtiers.tiers import tier_ratio, zero_fraction


def diagonal(fim, partial, probes=100):
    tensors = (Tensor("all", 0, "weight", (fim.shape[1],)),)
    return FisherDiagonal(fim, tensors, probes, "test", "loss", partial=partial)


@pytest.mark.parametrize(
    ("probes", "expected"), [(1, []), (2, [1]), (3, [1]), (4, [1, 2]), (1000, [250, 500])]
)
def test_probes_are_cut_at_a_quarter_and_a_half(probes, expected):
    assert partial_counts(probes) == expected
    covered = [n for first, last in stretches(probes) for n in range(first, last)]
    assert covered == list(range(probes))


@pytest.mark.parametrize(
    ("substrate", "changes"),
    [
        (mlp, {"depth": 4}),
        (tensor_network, {"depth": 4}),
        (layered_circuit, {"depth": 3}),
        (transformer, {"depth": 1, "exact_zeros": True}),
        (gpt, {"depth": 1, "exact_zeros": True}),
        (recurrent, {"length": 3}),
        (resnet, {"depth": 1, "batch": 16}),
        (observed_mlp, {"depth": 3}),
        (u1_lattice, {"extent": 3, "thermalisation_sweeps": 5, "decorrelation_sweeps": 1}),
    ],
)  # fmt: skip
def test_partial_diagonals_are_those_of_fewer_probes(substrate, changes):
    settings = {name: schema["default"] for name, schema in substrate.SETTINGS.items()}
    settings |= {"probes": 24, **changes}
    state = substrate.build_state(settings, np.arange(2))
    partial = substrate.fisher_diagonal(settings, state).partial
    assert sorted(partial) == [6, 12]
    for probes, fim in partial.items():
        alone = substrate.fisher_diagonal({**settings, "probes": probes}, state).fim
        if substrate is not resnet:  # some of whose gradients are rounding
            np.testing.assert_allclose(fim, alone, rtol=2e-3, atol=1e-4 * alone.mean())
        np.testing.assert_allclose(tier_ratio(fim), tier_ratio(alone), rtol=1e-4)


@pytest.mark.parametrize("deviation", [0.1, 1, 4, 10])
@pytest.mark.parametrize("zeros", [0.0, 0.3])
def test_histograms_give_the_tier_ratio_to_a_thousandth(deviation, zeros):
    generator = np.random.default_rng(0)
    fim = np.exp(deviation * generator.standard_normal((3, 20_000)))
    fim[generator.random(fim.shape) < zeros] = 0
    kept = with_histograms(diagonal(fim, {25: fim, 50: 2 * fim}))
    assert not kept.partial
    columns = partial_ratios(kept)
    for divisor in (2, 4):
        ratio = columns[f"tier_ratio_of_probes_over_{divisor}"]
        np.testing.assert_allclose(ratio, tier_ratio(fim), rtol=1e-3)
        positive = columns[f"tier_ratio_positive_of_probes_over_{divisor}"]
        expected = [tier_ratio(row[row > 0]) for row in fim]
        np.testing.assert_allclose(positive, expected, rtol=1e-3)
        zero = columns[f"zero_fraction_of_probes_over_{divisor}"]
        np.testing.assert_allclose(zero, zero_fraction(fim))


@pytest.mark.parametrize("entries", [9, 21, 765])
def test_histograms_of_few_scattered_entries_are_nearly_exact(entries):
    fim = np.exp(3 * np.random.default_rng(1).standard_normal((2, entries)))
    columns = partial_ratios(with_histograms(diagonal(fim, {50: fim})))
    np.testing.assert_allclose(columns["tier_ratio_of_probes_over_2"], tier_ratio(fim), rtol=1e-3)


def test_equal_entries_have_ratio_one_and_half_zeros_an_infinite_one():
    fim = np.array([[3.0] * 200, [0.0] * 100 + [3.0] * 100])
    columns = partial_ratios(with_histograms(diagonal(fim, {50: fim})))
    np.testing.assert_array_equal(columns["tier_ratio_of_probes_over_2"], [1, np.inf])


def test_a_diagonal_without_probes_to_cut_has_no_partial_ratios():
    fim = np.ones((1, 10))
    assert set(partial_ratios(with_histograms(diagonal(fim, {})))) == {"probes"}


def test_noise_on_equal_parameters_is_extrapolated_away():
    generator = np.random.default_rng(2)
    squares = generator.standard_normal((4, 400, 5000)) ** 2
    ratios = [tier_ratio(squares[:, :n].mean(axis=1)) for n in (100, 200, 400)]
    runs = pd.DataFrame(
        {
            "sweep": "a", "label": "A", "axis": "depth", "position": 1, "probes": 400,
            "tier_ratio_of_probes_over_4": ratios[0], "tier_ratio_of_probes_over_2": ratios[1],
            "tier_ratio": ratios[2],
        }
    )  # fmt: skip
    (row,) = probe_limits(runs).to_dict("records")
    assert row["quarter"] > row["half"] > row["all"] > 1.2
    assert row["limit"] == pytest.approx(1, abs=0.05)
    assert row["beyond_seed_error"]


def test_an_infinite_ratio_has_an_infinite_limit():
    runs = pd.DataFrame(
        {
            "sweep": "a", "label": "A", "axis": "depth", "position": 1, "probes": 400,
            "tier_ratio_of_probes_over_4": [np.inf, 9.0], "tier_ratio_of_probes_over_2": [8.0, 8.0],
            "tier_ratio": [7.0, 7.0],
        }
    )  # fmt: skip
    (row,) = probe_limits(runs).to_dict("records")
    assert np.isinf(row["limit"])
