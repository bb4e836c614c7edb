"""Reverse mode through any random circuit, against central differences and an identity."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fimtiers.substrates import boolean_circuit


@st.composite
def circuits(draw):
    """Logits, wiring and inputs of a random circuit."""
    gates, inputs = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    stream = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    wiring = np.array([stream.integers(0, inputs + gate, 2) for gate in range(gates)])
    return stream.standard_normal((gates, 3)), wiring, stream.random((3, inputs))


def output(logits, wiring, inputs):
    nodes = list(inputs.T)
    for (left, right), weights in zip(wiring, np.exp(logits), strict=True):
        a, b = nodes[left], nodes[right]
        kinds = np.stack([a * b, a + b - a * b, a + b - 2 * a * b])
        nodes.append(weights @ kinds / weights.sum())
    return nodes[-1]


@given(circuits())
@settings(max_examples=50, deadline=None)
def test_reverse_mode_is_the_limit_of_central_differences(circuit):
    logits, wiring, inputs = circuit
    gradient = boolean_circuit.reverse_mode(logits, wiring, inputs)
    for index in np.ndindex(logits.shape):
        shift = np.zeros_like(logits)
        shift[index] = 1e-5
        difference = output(logits + shift, wiring, inputs) - output(logits - shift, wiring, inputs)
        np.testing.assert_allclose(gradient[:, *index], difference / 2e-5, atol=1e-9)


@given(circuits())
@settings(max_examples=50, deadline=None)
def test_the_three_derivatives_of_a_gate_sum_to_zero(circuit):
    # A softmax does not notice a constant added to its logits.
    gradient = boolean_circuit.reverse_mode(*circuit)
    np.testing.assert_allclose(gradient.sum(axis=-1), 0, atol=1e-14)


@given(circuits())
@settings(max_examples=50, deadline=None)
def test_gates_outside_the_ancestor_cone_have_no_derivative(circuit):
    logits, wiring, inputs = circuit
    gradient = boolean_circuit.reverse_mode(logits, wiring, inputs)
    cone = boolean_circuit.ancestor_cone(wiring, inputs.shape[1])
    outside = np.setdiff1d(np.arange(len(wiring)), cone)
    assert (gradient[:, outside] == 0).all()
