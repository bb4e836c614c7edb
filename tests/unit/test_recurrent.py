"""Recurrent cells over time: published per-seed values, and torch's own cells as a reference."""

import numpy as np
import pytest
import torch

from fimtiers.networks.modules import fill
from fimtiers.substrates import recurrent
from fimtiers.tiers import published_ratio, zero_fraction

PUBLISHED = {  # cell: length: tier ratio for seeds 0, 1, 2, to four digits
    "rnn": {
        2: [76.60, 73.24, 75.07],
        4: [49.20, 45.87, 48.75],
        8: [45.44, 43.61, 45.15],
        16: [46.59, 43.87, 45.54],
        32: [45.82, 43.41, 46.85],
    },
    "lstm": {
        2: [2.429e5, 2.153e5, 2.385e5],
        4: [1.188e5, 1.165e5, 1.266e5],
        8: [9.355e4, 9.149e4, 9.796e4],
        16: [8.941e4, 9.535e4, 9.757e4],
        32: [8.878e4, 9.374e4, 9.676e4],
    },
}
SLOPES = {"rnn": -0.0829, "lstm": -0.1673}
MEAN_LOGS = {
    "rnn": [4.3170, 3.8695, 3.8006, 3.8138, 3.8141],
    "lstm": [12.3541, 11.6998, 11.4542, 11.4515, 11.4407],
}
PARAMETERS = {"rnn": 6288, "lstm": 22_032}


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in recurrent.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds):
    return recurrent.fisher_diagonal(settings, recurrent.build_state(settings, np.array(seeds)))


@pytest.mark.parametrize("cell", PUBLISHED)
def test_each_length_has_the_published_tier_ratios_and_slope(cell):
    logs = []
    for length, expected in PUBLISHED[cell].items():
        result = fisher(settings(cell=cell, length=length), range(3))
        assert result.fim.shape[1] == PARAMETERS[cell]
        values = published_ratio(result.fim, "smallest_tenth_floor")
        assert [f"{value:.3e}" for value in values] == [f"{value:.3e}" for value in expected]
        logs.append(np.log(values).mean())
    np.testing.assert_allclose(logs, MEAN_LOGS[cell], atol=5.1e-5)
    slope, _ = np.polyfit(np.sqrt(list(PUBLISHED[cell])), logs, 1)
    assert slope == pytest.approx(SLOPES[cell], abs=5.1e-5)


@pytest.mark.parametrize("cell", PUBLISHED)
def test_the_unrolled_cell_equals_torchs_cell(cell):
    changed = settings(cell=cell, dim=3, width=5)
    state = recurrent.build_state(changed, np.array([0]))
    network = fill(lambda: recurrent._network(changed), state.theta[0], torch.float32)
    x = torch.randn(2, 6, 3)
    memory = None
    for step in x.unbind(1):
        memory = network.cell(step, memory)
    hidden = memory[0] if cell == "lstm" else memory
    torch.testing.assert_close(network(x), network.head(hidden))


@pytest.mark.parametrize("cell", PUBLISHED)
def test_after_one_step_the_recurrent_weights_have_not_been_used(cell):
    result = fisher(settings(cell=cell, length=1, probes=10), [0])
    roles = np.repeat([t.role for t in result.tensors], [t.size for t in result.tensors])
    assert not result.fim[0, roles == "recurrent_weight"].any()
    assert zero_fraction(result.fim)[0] >= (roles == "recurrent_weight").mean() > 0.5


def test_both_biases_of_an_rnn_have_the_same_fisher_diagonal():
    result = fisher(settings(length=4, probes=20), [0])
    roles = np.repeat([t.role for t in result.tensors], [t.size for t in result.tensors])
    np.testing.assert_allclose(
        result.fim[0, roles == "input_bias"], result.fim[0, roles == "recurrent_bias"], rtol=1e-5
    )
