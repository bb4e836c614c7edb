"""Fractions of dead, rare, always-on, saturated and linear units."""

import numpy as np
import pytest
import torch

from fimtiers import torch_generators
from fimtiers.networks.activations import ACTIVATIONS
from fimtiers.networks.sampling import standard_normal
from fimtiers.records import FisherDiagonal, State
from fimtiers.statistics.unit_activity import unit_activity
from fimtiers.substrates import (
    gpt,
    layered_circuit,
    mamba,
    mlp,
    recurrent,
    resnet,
    tensor_network,
    transformer,
)

STRICT = ("dead_units", "rare_units", "always_on_units")
SMOOTH = ("saturated_units", "saturated_share", "linear_units")


def counts(kind, flat, linear, inputs):
    return {
        "unit_kind": (("unit",), np.array([kind] * len(flat))),
        "unit_inputs": ((), np.array(inputs)),
        "unit_flat": (("seed", "unit"), np.array([flat])),
        "unit_linear": (("seed", "unit"), np.array([linear])),
    }


def measure(substrate, **changes) -> tuple[State, FisherDiagonal]:
    settings = {name: schema["default"] for name, schema in substrate.SETTINGS.items()} | changes
    state = substrate.build_state(settings, np.arange(2))
    return state, substrate.fisher_diagonal(settings, state)


def test_relus_are_sorted_by_the_number_of_probes_they_are_on_for():
    on = np.array([0, 1, 9, 10, 999, 1000, 1000, 0])
    activity = unit_activity(counts("relu", 1000 - on, on, 1000))
    assert {name: float(value[0]) for name, value in activity.items()} == {
        "dead_units": 2 / 8,
        "rare_units": 2 / 8,
        "always_on_units": 2 / 8,
    }


def test_smooth_units_are_never_called_dead():
    activity = unit_activity(counts("tanh", [10, 5, 0], [0, 0, 10], 10))
    assert set(activity) == set(SMOOTH)
    assert activity["saturated_units"] == pytest.approx(1 / 3)
    assert activity["saturated_share"] == pytest.approx(1 / 2)
    assert activity["linear_units"] == pytest.approx(1 / 3)


def test_what_has_no_units_has_no_fractions():
    assert unit_activity({}) == {}


def test_more_inputs_than_there_are_is_refused():
    with pytest.raises(ValueError, match="flat for 5 and one linear for 0 of 4 inputs"):
        unit_activity(counts("relu", [5], [0], 4))


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh", "silu"])
def test_flat_and_linear_are_where_the_slope_is_near_zero_and_one(name):
    z = torch.linspace(-12, 12, 240_001, dtype=torch.float64, requires_grad=True)
    activation = ACTIVATIONS[name]
    function = {"relu": torch.relu, "tanh": torch.tanh}.get(name, activation.apply)
    value = function(z)
    (slope,) = torch.autograd.grad(value.sum(), z)
    seen = value.detach() if name in ("relu", "tanh") else z.detach()
    flat, linear = activation.flat(seen), activation.linear(seen)
    assert not (flat & linear).any()
    assert slope[flat].abs().max() <= 0.01 + 1e-6
    assert (slope[linear] - 1).abs().max() <= 0.01 + 1e-6
    outside = (slope.abs() < 0.0099) & ~flat
    # A smooth slope also passes through zero on its way below zero, which is not flat for good.
    assert z[outside].numel() == 0 or z[outside].min() > -2.5


@pytest.fixture(scope="module")
def perceptron():
    return measure(mlp, depth=8, probes=400)


def test_counts_of_a_perceptron_equal_those_of_plain_torch(perceptron):
    state, fisher = perceptron
    inputs = standard_normal(torch_generators.unpack(state.fixed["generator"]), 400, (16,))
    a, start, expected = inputs[1], 0, []
    for fan_in in [16, *[64] * 6]:
        weight = torch.from_numpy(state.theta[1, start : start + 64 * fan_in]).view(64, fan_in)
        start += 64 * fan_in
        a = torch.nn.functional.linear(a, weight, torch.from_numpy(state.theta[1, start:][:64]))
        start += 64
        expected.append((a > 0).sum(0).numpy())
        a = torch.relu(a)
    on = fisher.diagnostics["unit_linear"][1]
    assert on.shape == (2, 7 * 64)
    np.testing.assert_allclose(on[1], np.concatenate(expected), atol=1)


def test_units_of_deep_default_networks_are_mostly_dead_or_always_on(perceptron):
    diagnostics = dict(perceptron[1].diagnostics)
    for name in ("unit_flat", "unit_linear"):
        diagnostics[name] = (("seed", "unit"), diagnostics[name][1][:, -64:])
    diagnostics["unit_kind"] = (("unit",), diagnostics["unit_kind"][1][-64:])
    last = unit_activity(diagnostics)
    assert (last["dead_units"] + last["always_on_units"]).min() > 0.7


def test_dead_units_have_no_gradient(perceptron):
    state, fisher = perceptron
    dead = fisher.diagnostics["unit_flat"][1] == 400
    edges = np.cumsum([0] + [tensor.size for tensor in state.tensors])
    biases = [
        fisher.fim[:, start:stop]
        for tensor, start, stop in zip(state.tensors, edges[:-1], edges[1:], strict=True)
        if tensor.role == "bias"
    ]
    assert dead.any()
    assert (np.concatenate(biases[:-1], axis=1)[dead] == 0).all()


@pytest.mark.parametrize(
    ("substrate", "changes", "names", "units"),
    [
        (mlp, {"depth": 3}, STRICT, 128),
        (mlp, {"depth": 3, "activation": "tanh"}, SMOOTH, 128),
        (resnet, {"depth": 2, "batch": 4}, STRICT, 4 * 128),
        (transformer, {"depth": 2, "probes": 5}, SMOOTH, 2 * 128),
        (gpt, {"depth": 1, "probes": 5}, SMOOTH, 256),
        (recurrent, {"length": 3, "probes": 5}, SMOOTH, 64),
        (recurrent, {"length": 3, "probes": 5, "cell": "lstm"}, SMOOTH, 128),
        (mamba, {"depth": 1, "probes": 5}, SMOOTH, 64),
        (tensor_network, {"depth": 3}, SMOOTH, 7),
    ],
)  # fmt: skip
def test_every_family_with_units_counts_them(substrate, changes, names, units):
    diagnostics = measure(substrate, **{"probes": 20, **changes})[1].diagnostics
    activity = unit_activity(diagnostics)
    assert set(activity) == set(names)
    assert diagnostics["unit_kind"][1].shape == (units,)
    assert all(value.shape == (2,) for value in activity.values())


def test_a_linear_map_has_no_units():
    assert "unit_kind" not in measure(mlp, depth=1, probes=5)[1].diagnostics


def test_gates_far_from_the_inputs_are_constant():
    shallow, deep = (
        unit_activity(measure(layered_circuit, depth=depth)[1].diagnostics)["constant_units"]
        for depth in (2, 32)
    )
    assert (shallow == 0).all()
    assert (deep > 0.5).all()
