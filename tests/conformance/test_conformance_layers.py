"""Every layer of torch.nn with parameters has the diagonal of the definition, by every route."""

import pytest
import torch
from conformance_agreement import PRECISIONS, check
from conformance_draws import Draws
from conformance_layers import LAYERS
from conformance_problem import Problem
from conformance_profiles import examples
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", LAYERS)
@examples
@given(data=st.data())
def test_a_layer_has_the_diagonal_of_the_definition(name, precision, device, data):
    draws = Draws(data.draw)
    torch.manual_seed(draws.below(1 << 30, 1).item())
    model, inputs = LAYERS[name](draws)
    model.double()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.2 * draws.normal(*p.shape)  # no scale of 1, no shift of 0
    problem = Problem(model, *draws.front(inputs), draws.loss())
    check(problem, PRECISIONS[precision], draws, device)
