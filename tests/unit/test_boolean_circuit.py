"""Boolean circuit: published values, its causal cone, and reverse mode against autograd."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fimtiers.substrates import boolean_circuit
from fimtiers.tiers import cut_tiers, published_ratio, published_top_mass

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in boolean_circuit.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds):
    state = boolean_circuit.build_state(settings, np.array(seeds))
    return boolean_circuit.fisher_diagonal(settings, state)


def output(logits, wiring, inputs):
    """Value of the last gate for one input vector, by torch, gate by gate."""
    nodes = list(inputs)
    for (left, right), probability in zip(wiring, torch.softmax(logits, dim=-1), strict=True):
        a, b = nodes[left], nodes[right]
        kinds = torch.stack([a * b, a + b - a * b, a + b - 2 * a * b])
        nodes.append(probability @ kinds)
    return nodes[-1]


def test_the_published_protocol_gives_the_published_tiers():
    table = pd.read_csv(PUBLISHED / "uniqueness_per_seed.csv").query("system == 'boolean_circuit'")
    result = fisher(settings(), table["seed"])
    tiers = cut_tiers(result.fim)
    ratios = published_ratio(result.fim, "smallest_positive_floor")
    np.testing.assert_allclose(tiers.tier1_mean, table["T1"], rtol=1e-6)
    assert (tiers.tier3_mean == 0).all()
    np.testing.assert_allclose(ratios, table["tier_ratio"], rtol=1e-6)
    np.testing.assert_allclose(published_top_mass(result.fim), table["top_mass"], rtol=1e-6)


@pytest.mark.parametrize(
    ("gates", "probes", "mean", "variation"),
    [(128, 32, 1.014e8, 1.715), (128, 300, 5.18e7, 1.72), (333, 100, 7.592e7, 1.462)],
)
def test_the_published_verification_block_is_one_seed_of_three(gates, probes, mean, variation):
    result = fisher(settings(gates=gates, probes=probes), range(3))
    ratios = published_ratio(result.fim, "smallest_positive_floor")
    np.testing.assert_allclose(ratios.mean(), mean, rtol=1e-3)
    np.testing.assert_allclose(ratios.std(ddof=1) / ratios.mean(), variation, rtol=1e-3)


def test_only_a_small_cone_of_gates_reaches_the_output():
    result = fisher(settings(), range(6))
    cone = result.diagnostics["cone_size"][1]
    np.testing.assert_array_equal(cone, [13, 32, 17, 6, 9, 14])
    np.testing.assert_array_equal(result.diagnostics["output_depth"][1], [9, 12, 10, 4, 6, 6])
    np.testing.assert_array_equal(result.diagnostics["zero_fraction"][1], 1 - cone / 128)


def test_exact_gradients_have_the_tier_ratios_of_the_specification():
    result = fisher(settings(protocol="corrected"), range(6))
    ratios = published_ratio(result.fim, "smallest_positive_floor")
    np.testing.assert_allclose(ratios, [24807, 4.478e8, 2.047e6, 793.0, 4272, 9658], rtol=3e-4)
    within_cone = [
        published_ratio(fim[fim > 0], "smallest_tenth_floor").item() for fim in result.fim
    ]
    np.testing.assert_allclose(within_cone, [1839, 3.2e4, 2.7e4, 49, 245, 1139], rtol=0.02)


def test_reverse_mode_agrees_with_autograd_through_every_gate():
    chosen = settings(gates=20, inputs=3, probes=4, protocol="corrected")
    state = boolean_circuit.build_state(chosen, np.array([1, 2]))
    result = boolean_circuit.fisher_diagonal(chosen, state)
    for seed, row in enumerate(result.fim):
        stream = np.random.default_rng([1, 2][seed])
        logits = 0.3 * stream.standard_normal((20, 3)).astype(np.float32)
        np.testing.assert_allclose(state.theta[seed], logits.ravel(), rtol=1e-6)
        wiring = np.array([[stream.integers(0, 3 + j) for _ in range(2)] for j in range(20)])
        inputs = torch.tensor(stream.random((4, 3)).astype(np.float32).astype(np.float64))
        theta = torch.tensor(state.theta[seed].reshape(20, 3), dtype=torch.float64)
        expected = torch.zeros(20, 3, dtype=torch.float64)
        for x in inputs:
            theta.requires_grad_()
            (gradient,) = torch.autograd.grad(output(theta, wiring, x), theta)
            expected += gradient.square() / 4
        np.testing.assert_allclose(row, expected.numpy().ravel(), rtol=1e-12)


def test_a_gate_with_both_wires_on_one_node_passes_both_derivatives():
    logits = np.array([[0.3, -0.2, 0.1], [0.5, 0.0, -0.4]])
    wiring = np.array([[0, 1], [2, 2]])
    inputs = np.array([[0.3, 0.8]])
    theta = torch.tensor(logits, requires_grad=True)
    (expected,) = torch.autograd.grad(output(theta, wiring, torch.tensor(inputs[0])), theta)
    gradient = boolean_circuit.reverse_mode(logits, wiring, inputs)
    np.testing.assert_allclose(gradient[0], expected.numpy(), rtol=1e-13)


def test_a_single_gate_has_the_closed_form():
    logits, inputs = np.array([[0.3, -0.2, 0.1]]), np.array([[0.3, 0.8]])
    probability = np.exp(logits[0]) / np.exp(logits[0]).sum()
    kinds = np.array([0.24, 0.86, 0.62])
    expected = probability * (kinds - probability @ kinds)
    gradient = boolean_circuit.reverse_mode(logits, np.array([[0, 1]]), inputs)
    np.testing.assert_allclose(gradient[0, 0], expected, rtol=1e-13)


def test_evaluating_the_cone_alone_gives_the_forward_differences_of_the_whole_circuit():
    state = boolean_circuit.build_state(settings(gates=40), np.array([0]))
    result = boolean_circuit.fisher_diagonal(settings(gates=40, probes=5), state)
    stream = np.random.default_rng(0)
    stream.standard_normal((40, 3))
    wiring = np.array([[stream.integers(0, 8 + j) for _ in range(2)] for j in range(40)])
    inputs = stream.random((5, 8)).astype(np.float32)
    logits = state.theta[0].reshape(40, 3)
    whole = boolean_circuit.forward_difference(logits, wiring, inputs)
    np.testing.assert_array_equal(result.fim[0], np.mean(whole**2, axis=0).ravel())


def test_the_ancestor_cone_holds_every_gate_on_a_path_to_the_last_one():
    # Gates 0 and 2 feed gate 3; gate 1 feeds nothing. Nodes 0 and 1 are the inputs.
    wiring = np.array([[0, 1], [0, 1], [2, 0], [4, 4]])
    np.testing.assert_array_equal(boolean_circuit.ancestor_cone(wiring, 2), [0, 2, 3])


def test_more_probes_keep_the_ones_already_taken():
    for protocol in ("published", "corrected"):
        chosen = settings(gates=30, protocol=protocol)
        sums = [n * fisher(chosen | {"probes": n}, [0, 1]).fim for n in (5, 6, 50)]
        assert (np.diff(sums, axis=0) > -1e-12).all()
