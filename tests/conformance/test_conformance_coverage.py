"""No layer of torch.nn and no rule is left out, those that come anew included."""

import inspect

import pytest
from conformance_layers import LAYERS
from conformance_parameterless import ABSTRACT, WITHOUT_PARAMETERS
from conformance_rules import OPERATIONS
from torch import nn

from fimtiers.fisher.rules import DECOMPOSITIONS, RULES

MODULES = {
    name: kind
    for name, kind in vars(nn).items()
    if inspect.isclass(kind) and issubclass(kind, nn.Module)
}


@pytest.mark.parametrize("name", MODULES)
def test_every_layer_of_torch_is_tested_or_has_no_parameters(name):
    known = [name in LAYERS, name in WITHOUT_PARAMETERS, name in ABSTRACT]
    assert sum(known) == 1, f"torch.nn.{name} needs a recipe in conformance_layers"


@pytest.mark.parametrize("name", WITHOUT_PARAMETERS)
def test_what_is_said_to_have_no_parameters_has_none(name):
    layer = MODULES[name](*WITHOUT_PARAMETERS[name])
    assert not list(layer.parameters()), f"torch.nn.{name} needs a recipe in conformance_layers"


@pytest.mark.parametrize("name", LAYERS)
def test_no_recipe_is_of_a_layer_that_torch_lacks(name):
    assert name in MODULES


@pytest.mark.parametrize("name", sorted({*RULES, *DECOMPOSITIONS, *OPERATIONS}))
def test_every_rule_is_tested(name):
    assert name in RULES or name in DECOMPOSITIONS, f"the engine has no rule for {name}"
    assert name in OPERATIONS, f"{name} needs a recipe in conformance_rules"
