"""The layered circuit: published per-seed values, exact gradients, wiring."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fimtiers.records import State
from fimtiers.substrates import layered_circuit
from fimtiers.tiers import log_moments, log_variance_between_groups, published_ratio

PUBLISHED = Path(__file__).parents[2] / "resources" / "published" / "depth_sweeps.csv"
DEPTHS = [2, 4, 8, 16, 32]


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in layered_circuit.SETTINGS.items()}
    return defaults | changed


def fisher(seeds=(0, 1, 2), **changed):
    chosen = settings(**changed)
    return layered_circuit.fisher_diagonal(
        chosen, layered_circuit.build_state(chosen, np.array(seeds))
    )


def published(depth, quantity):
    table = pd.read_csv(PUBLISHED)
    rows = (table["experiment"] == "V6.3") & (table["point"] == f"depth={depth}")
    return table[rows & (table["quantity"] == quantity)].sort_values("seed")["value"].to_numpy()


@pytest.mark.parametrize("depth", DEPTHS)
def test_forward_differences_have_the_published_tier_ratios(depth):
    fim = fisher(depth=depth, gradient="forward_difference").fim
    ratio = published_ratio(fim, "smallest_tenth_floor")
    np.testing.assert_allclose(ratio, published(depth, "tier_ratio_published"), rtol=1e-8)
    variance = log_moments(fim).variance
    np.testing.assert_allclose(variance, published(depth, "log_variance"), rtol=2e-7)


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_exact_gradient_moves_the_published_tier_ratios_by_less_than_a_thousandth(depth):
    ratio = published_ratio(fisher(depth=depth).fim, "smallest_tenth_floor")
    np.testing.assert_allclose(ratio, published(depth, "tier_ratio_published"), rtol=1e-3)


def slow_output(logits, wiring, inputs):
    """Evaluate one circuit for one input vector, gate by gate, as the definition says."""
    nodes = list(inputs)
    for layer_logits, layer_wires in zip(logits, wiring, strict=True):
        values = []
        for logit, (i, j) in zip(layer_logits, layer_wires, strict=True):
            p = np.exp(logit) / np.exp(logit).sum()
            a, b = nodes[i], nodes[j]
            values.append(p @ [a * b, a + b - a * b, a + b - 2 * a * b])
        nodes = values
    return np.mean(nodes)


@pytest.mark.parametrize("gradient", ["adjoint", "forward_difference"])
def test_gradients_equal_differences_of_a_circuit_evaluated_gate_by_gate(gradient):
    rng = np.random.default_rng(0)
    logits, inputs = rng.standard_normal((3, 4, 3)), rng.random((5, 2))
    wiring = rng.integers(0, 4, (3, 4, 2))
    wiring[1, 2] = 3  # both wires of this gate come from one node
    wires = wiring.copy()
    wires[0] %= 5
    step = layered_circuit.STEP if gradient == "forward_difference" else 1e-6
    expected = np.empty((3, 4, 3, 2))
    for probe in range(2):
        for index in np.ndindex(3, 4, 3):
            up, down = logits.copy(), logits.copy()
            up[index] += step
            if gradient == "adjoint":
                down[index] -= step
            change = [slow_output(one, wires, inputs[:, probe]) for one in (up, down)]
            expected[(*index, probe)] = (change[0] - change[1]) / (up - down)[index]
    slope = getattr(layered_circuit, gradient)(logits, wires, inputs)
    np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-10)


def test_forward_differences_approach_the_exact_gradient_at_first_order(monkeypatch):
    rng = np.random.default_rng(1)
    logits, wiring = rng.standard_normal((3, 4, 3)), rng.integers(0, 4, (3, 4, 2))
    inputs = rng.random((4, 6))
    exact = layered_circuit.adjoint(logits, wiring, inputs)
    errors = []
    for step in (1e-3, 1e-4):
        monkeypatch.setattr(layered_circuit, "STEP", step)
        errors.append(layered_circuit.forward_difference(logits, wiring, inputs) - exact)
    np.testing.assert_allclose(np.linalg.norm(errors[0]) / np.linalg.norm(errors[1]), 10, rtol=0.01)


@pytest.mark.parametrize("gradient", ["adjoint", "forward_difference"])
def test_a_gate_has_zero_fisher_information_exactly_if_no_path_leads_to_the_output(gradient):
    chosen = settings(depth=6, gradient=gradient)
    state = layered_circuit.build_state(chosen, np.arange(3))
    result = layered_circuit.fisher_diagonal(chosen, state)
    read = np.stack([layered_circuit.read_gates(w) for w in state.fixed["wiring"][1]])
    np.testing.assert_array_equal(result.fim.reshape(3, 6, 16, 3) > 0, read[..., None].repeat(3, 3))
    unread = result.diagnostics["unread_fraction"][1]
    np.testing.assert_allclose(unread, (result.fim == 0).mean(axis=1))


def test_the_published_circuits_have_the_recorded_numbers_of_unread_parameters():
    assert [(row == 0).sum() for row in fisher(depth=2).fim] == [6, 6, 12]
    assert [(row == 0).sum() for row in fisher(depth=32).fim] == [246, 285, 258]


def test_nodes_stay_between_0_and_1():
    chosen = settings(depth=8, logit_scale=5)
    state = layered_circuit.build_state(chosen, np.array([0]))
    inputs = np.random.default_rng(0).random((8, 50))
    nodes = layered_circuit.evaluate(
        state.theta.reshape(8, 16, 3), state.fixed["wiring"][1][0], inputs
    )
    for layer in nodes:
        assert layer.min() >= 0
        assert layer.max() <= 1


def test_a_logit_shift_common_to_the_kinds_of_a_gate_changes_nothing():
    chosen = settings(depth=5)
    state = layered_circuit.build_state(chosen, np.array([3]))
    shifted = State(state.theta + np.repeat(np.arange(80.0), 3), state.tensors, state.fixed)
    np.testing.assert_allclose(
        layered_circuit.fisher_diagonal(chosen, shifted).fim,
        layered_circuit.fisher_diagonal(chosen, state).fim,
        rtol=1e-9,
    )


def test_the_output_forgets_its_input_with_depth():
    shallow, deep = (fisher(depth=depth).diagnostics["output_spread"][1] for depth in (2, 32))
    np.testing.assert_allclose(shallow, 0.05, rtol=0.2)
    assert (deep < 1e-6).all()


def test_log_variance_at_depth_32_is_drift_between_layers():
    result = fisher(depth=32)
    layer = np.repeat([tensor.layer for tensor in result.tensors], 48)
    split = log_variance_between_groups(result.fim, layer)
    assert (split.between > 4 * split.within).all()
    assert ((split.within > 8) & (split.within < 10)).all()


def test_more_probes_continue_the_same_stream():
    chosen = settings(depth=3, probes=10)
    state = layered_circuit.build_state(chosen, np.array([0]))
    few = layered_circuit.fisher_diagonal(chosen, state).fim
    many = layered_circuit.fisher_diagonal(chosen | {"probes": 20}, state).fim
    assert (many >= few / 2 * (1 - 1e-12)).all()


def test_a_state_has_one_tensor_of_logits_per_layer():
    state = layered_circuit.build_state(settings(depth=2), np.arange(2))
    named = [(t.name, t.layer, t.role, t.shape) for t in state.tensors]
    assert named == [
        ("layers.0.logit", 0, "logit", (16, 3)),
        ("layers.1.logit", 1, "logit", (16, 3)),
    ]
    assert state.theta.shape == (2, 96)
