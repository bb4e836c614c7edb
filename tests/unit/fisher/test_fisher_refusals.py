"""What couples samples is refused by name, and wrong routes are not taken."""

import pytest
import torch
from fisher_definition import wavy
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fimtiers.fisher import Categorical, SampleCouplingError, diagonal
from fimtiers.fisher.rules import RULES

VECTORS = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))


class Function(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.function = function

    def forward(self, x):
        return self.function(self.layer(x))


def test_batch_norm_in_train_mode_is_refused_by_name():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    with pytest.raises(SampleCouplingError, match="BatchNorm1d '1'"):
        diagonal(model, wavy, (VECTORS, None))


def test_batch_norm_without_running_statistics_is_refused_even_in_eval():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)).eval()
    with pytest.raises(SampleCouplingError, match="BatchNorm1d '1'"):
        diagonal(model, wavy, (VECTORS, None))


def test_dropout_in_train_mode_is_refused_by_name():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.3))
    with pytest.raises(SampleCouplingError, match=r"Dropout '1' with p = 0\.3"):
        diagonal(model, wavy, (VECTORS, None))
    diagonal(model.eval(), wavy, (VECTORS, None))


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x: F.dropout(x, 0.2), "dropout"),
        (lambda x: F.batch_norm(x, None, None, training=True), "batch_norm"),
        (lambda x: x + torch.randn_like(x), "randn_like"),
        (lambda x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None], None, 0.1),
         "scaled_dot_product_attention"),
    ],
)  # fmt: skip
def test_random_and_coupling_functions_are_refused_by_name(function, name):
    with pytest.raises(SampleCouplingError, match=name):
        diagonal(Function(function), wavy, (VECTORS, None))


def test_samples_coupled_by_hand_are_noticed():
    with pytest.raises(SampleCouplingError, match="one by one"):
        diagonal(Function(lambda x: x - x.mean(0)), wavy, (VECTORS, None))


def test_a_wrong_rule_is_not_used(monkeypatch):
    model = Function(torch.tanh)
    expected = diagonal(model, wavy, (VECTORS, None))
    right = RULES["linear"]

    def wrong(tape, func, data, weight, bias=None):
        return 2 * right(tape, func, data, weight, bias) - func(data, weight.value, bias.value)

    monkeypatch.setitem(RULES, "linear", wrong)
    result = diagonal(model, wavy, (VECTORS, None))
    assert result.routes["layer.weight"] == "vmap (refused by the check against the loop)"
    torch.testing.assert_close(result.flat(), expected.flat(), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "true"}, "kind 'true'; allowed: empirical, mc, exact"),
        ({"unit": "word"}, "unit 'word'; allowed: sequence, token"),
        ({"parameters": ["layer.scale"]}, "layer.scale"),
        ({"accumulate": torch.float16}, "torch.float16"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        diagonal(Function(torch.tanh), wavy, (VECTORS, None), **options)


def test_drawn_labels_need_a_likelihood():
    with pytest.raises(TypeError, match="needs a likelihood"):
        diagonal(Function(torch.tanh), wavy, (VECTORS, None), kind="mc")


def test_a_loss_reduced_over_samples_is_refused():
    with pytest.raises(ValueError, match="do not reduce over samples"):
        diagonal(Function(torch.tanh), lambda o, _: o.mean(), (VECTORS, None))


def test_data_that_can_be_walked_only_once_are_refused():
    with pytest.raises(TypeError, match="walked only once"):
        diagonal(Function(torch.tanh), Categorical(), iter([(VECTORS, None)]))
