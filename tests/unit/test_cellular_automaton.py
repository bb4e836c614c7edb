"""Cellular automaton: published values, rules with a known spread, and a slow implementation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fimtiers.substrates import cellular_automaton
from fimtiers.tiers import cut_tiers, published_top_mass, tier_ratio

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in cellular_automaton.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds):
    state = cellular_automaton.build_state(settings, np.array(seeds))
    return cellular_automaton.fisher_diagonal(settings, state)


def slow_evolution(bits, steps, rule):
    """Evolve cell by cell, on plain lists."""
    cells = list(map(int, bits))
    for _ in range(steps):
        size = len(cells)
        cells = [
            rule // 2 ** (4 * cells[i - 1] + 2 * cells[i] + cells[(i + 1) % size]) % 2
            for i in range(size)
        ]
    return np.array(cells)


def test_the_published_protocol_gives_the_published_tiers():
    table = pd.read_csv(PUBLISHED / "uniqueness_per_seed.csv").query(
        "system == 'cellular_automaton'"
    )
    result = fisher(settings(), table["seed"])
    tiers = cut_tiers(result.fim)
    np.testing.assert_allclose(tiers.tier1_mean, table["T1"], rtol=1e-8)
    np.testing.assert_allclose(tiers.tier3_mean, table["T3"], rtol=1e-8)
    np.testing.assert_allclose(tiers.ratio, table["tier_ratio"], rtol=1e-8)
    np.testing.assert_allclose(published_top_mass(result.fim), table["top_mass"], rtol=1e-6)


def test_repeated_horizons_leave_20_to_25_distinct_ones_of_32_as_published():
    result = fisher(settings(), range(6))
    distinct = result.diagnostics["distinct_horizons"][1]
    np.testing.assert_array_equal(distinct, [20, 24, 24, 25, 22, 25])


def test_rule_110_turns_its_neighbourhoods_as_in_wolframs_table():
    bits = np.array([0, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1], np.uint8)
    expected = [0, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1]
    np.testing.assert_array_equal(cellular_automaton.evolve(bits, 110), expected)


@pytest.mark.parametrize("rule", [30, 110, 150])
def test_the_damage_is_that_of_a_slow_evolution(rule, monkeypatch):
    monkeypatch.setattr(cellular_automaton, "BLOCK", 4)
    bits = np.random.default_rng(0).integers(0, 2, 11, dtype=np.uint8)
    damage = cellular_automaton.damage(bits, np.array([3, 8]), rule)
    for steps, row in zip((3, 8), damage, strict=True):
        for cell, distance in enumerate(row):
            flipped = bits.copy()
            flipped[cell] ^= 1
            ends = slow_evolution(bits, steps, rule), slow_evolution(flipped, steps, rule)
            assert distance == np.sum(ends[0] != ends[1])


def test_damage_does_not_spread_under_the_identity_rule():
    for protocol in ("published", "corrected"):
        assert (fisher(settings(rule=204, protocol=protocol), [0]).fim == 1).all()


def test_the_additive_rule_90_has_tier_ratio_exactly_one():
    # After h steps the damage is Pascal's triangle modulo 2: 2 to the number of ones in h.
    bits = np.random.default_rng(0).integers(0, 2, 200, dtype=np.uint8)
    damage = cellular_automaton.damage(bits, np.array([5, 8, 63]), 90)
    np.testing.assert_array_equal(damage, np.tile([[4], [2], [64]], 200))
    assert tier_ratio(fisher(settings(rule=90, cells=200), [0]).fim) == 1


def test_rotating_the_ring_rotates_the_damage():
    bits = np.random.default_rng(0).integers(0, 2, 40, dtype=np.uint8)
    horizons = np.array([10, 20])
    damage = cellular_automaton.damage(bits, horizons, 110)
    rotated = cellular_automaton.damage(np.roll(bits, 7), horizons, 110)
    np.testing.assert_array_equal(rotated, np.roll(damage, 7, axis=1))


def test_the_mean_of_squares_is_at_least_the_square_of_the_mean():
    # With one probe the two protocols agree: there is nothing to average.
    for probes, agree in ((1, True), (32, False)):
        published = fisher(settings(probes=probes), [0]).fim
        corrected = fisher(settings(probes=probes, protocol="corrected"), [0]).fim
        assert np.array_equal(published, corrected) == agree


def test_more_probes_keep_the_ones_already_taken():
    sums = [n * fisher(settings(probes=n, protocol="corrected"), [0, 1]).fim for n in (5, 6, 50)]
    assert (np.diff(sums, axis=0) > -1e-9).all()
