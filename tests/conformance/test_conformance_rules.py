"""Every rule and decomposition has the diagonal of the definition, by every route."""

import pytest
import torch
from conformance_agreement import PRECISIONS, check
from conformance_draws import Draws
from conformance_problem import Problem
from conformance_profiles import examples
from conformance_rules import OPERATIONS
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", OPERATIONS)
@examples
@given(data=st.data())
def test_a_rule_has_the_diagonal_of_the_definition(name, precision, device, data):
    draws = Draws(data.draw)
    torch.manual_seed(draws.below(1 << 30, 1).item())
    model, inputs = OPERATIONS[name](draws)
    problem = Problem(model.double(), *draws.front(inputs), draws.loss())
    check(problem, PRECISIONS[precision], draws, device)
