"""Fractions of dead, rare, intermittent and always-on units."""

import numpy as np
import pytest
import torch

from fimtiers import torch_generators
from fimtiers.networks.sampling import standard_normal
from fimtiers.records import Tensor
from fimtiers.statistics.unit_activity import count_active, silent_fraction, unit_activity
from fimtiers.substrates import mlp


def test_units_are_sorted_by_the_number_of_probes_they_are_on_for():
    activity = unit_activity([np.array([[0, 1, 9, 10, 999, 1000, 1000, 0]])], 1000)
    assert activity.dead == pytest.approx(2 / 8)
    assert activity.rare == pytest.approx(2 / 8)
    assert activity.intermittent == pytest.approx(2 / 8)
    assert activity.always_on == pytest.approx(2 / 8)


@pytest.mark.parametrize("probes", [1, 2, 50, 1000])
@pytest.mark.parametrize("rarely", [0.0, 0.01, 1.0])
def test_the_fractions_sum_to_one(probes, rarely):
    active = [np.random.default_rng(0).integers(0, probes + 1, (3, 40)) for _ in range(2)]
    activity = unit_activity(active, probes, rarely)
    total = activity.dead + activity.rare + activity.intermittent + activity.always_on
    np.testing.assert_allclose(total, np.ones((3, 2)))


@pytest.fixture(scope="module")
def perceptron():
    settings = {name: schema["default"] for name, schema in mlp.SETTINGS.items()}
    settings |= {"depth": 8, "probes": 400}
    state = mlp.build_state(settings, np.arange(2))
    streams = torch_generators.unpack(state.fixed["generator"])
    inputs = standard_normal(streams, 400, (16,)).numpy()
    return state, inputs, mlp.fisher_diagonal(settings, state).fim


def test_counts_equal_those_of_plain_torch(perceptron):
    state, inputs, _ = perceptron
    counts = count_active(state.theta, state.tensors, inputs)
    assert len(counts) == 7
    a, start = torch.from_numpy(inputs[1]), 0
    for count, fan_in in zip(counts, [16, *[64] * 6], strict=True):
        weight = torch.from_numpy(state.theta[1, start : start + 64 * fan_in]).view(64, fan_in)
        start += 64 * fan_in
        a = torch.nn.functional.linear(a, weight, torch.from_numpy(state.theta[1, start:][:64]))
        start += 64
        np.testing.assert_allclose(count[1], (a > 0).sum(0), atol=1)
        a = torch.relu(a)


def test_units_of_deep_default_networks_are_mostly_dead_or_always_on(perceptron):
    state, inputs, _ = perceptron
    activity = unit_activity(count_active(state.theta, state.tensors, inputs), 400)
    assert (activity.intermittent[:, 0] == 1).all()
    assert (activity.dead + activity.always_on)[:, -1].min() > 0.7


def test_every_dead_unit_is_silent(perceptron):
    state, inputs, fim = perceptron
    dead = unit_activity(count_active(state.theta, state.tensors, inputs), 400).dead
    silent = silent_fraction(fim, state.tensors)
    assert silent.shape == (2, 8)
    assert (silent[:, :-1] >= dead).all()
    assert (silent[:, -1] == 0).all()


def test_impossible_arguments_are_refused_by_value():
    with pytest.raises(ValueError, match="on for 5 of 4 probes"):
        unit_activity([np.array([5])], 4)
    with pytest.raises(ValueError, match="0 layers"):
        unit_activity([], 4)
    tensor = Tensor("a", 0, "weight", (2, 2))
    with pytest.raises(ValueError, match=r"roles \['weight'\]"):
        count_active(np.ones((1, 4)), (tensor,), np.ones((1, 3, 2)))
    with pytest.raises(ValueError, match=r"tensors \['a'\]"):
        silent_fraction(np.ones((1, 4)), (tensor,))
