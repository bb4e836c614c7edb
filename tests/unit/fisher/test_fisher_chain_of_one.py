"""Single networks run as chains: by hand where nothing else would notice, or else as always."""

import weakref
from itertools import pairwise

import pytest
import torch
from fisher_definition import assert_agrees, wavy
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations
from torch.overrides import TorchFunctionMode

from fimtiers.fisher import (
    Categorical,
    Extractor,
    SampleCouplingError,
    diagonal,
    diagonal_ensemble,
)
from fimtiers.fisher import chain as chains
from fimtiers.fisher.compiled import Compiled, suits
from fimtiers.fisher.layerwise import Layerwise
from fimtiers.fisher.links import links_of
from fimtiers.fisher.sums import Sums

X = torch.randn(300, 6, generator=torch.Generator().manual_seed(1))
LABELS = torch.randint(0, 3, (300,), generator=torch.Generator().manual_seed(2))


def cross_entropy(outputs, targets):
    return F.cross_entropy(outputs, targets, reduction="none")


def network(*functions: nn.Module) -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 16), *functions, nn.Linear(16, 16, bias=False), nn.Tanh(),
                         nn.Linear(16, 3))  # fmt: skip


def rectifier(*widths: int) -> nn.Sequential:
    torch.manual_seed(4)
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def assert_taken(result) -> None:
    assert set(result.routes.values()) == {chains.ROUTE}


def by_loop(model, loss, inputs):
    """Mean of squared gradients of the model itself: a copy would not be hooked alike."""
    named = dict(model.named_parameters())
    total = {name: torch.zeros_like(p, dtype=torch.float64) for name, p in named.items()}
    for x in inputs:
        gradients = torch.autograd.grad(loss(model(x[None]), None).sum(), list(named.values()))
        for name, gradient in zip(named, gradients, strict=True):
            total[name] += gradient.double().square() / len(inputs)
    return total


def assert_like_loop(result, model, loss, inputs) -> None:
    for name, reference in by_loop(model, loss, inputs).items():
        assert (result[name] - reference).norm() <= 1e-5 * reference.norm(), name


def assert_general(result) -> None:
    assert chains.ROUTE not in result.routes.values()


@pytest.mark.parametrize(
    "functions",
    [
        (nn.ReLU(),), (nn.ReLU(inplace=True),), (nn.Tanh(),), (nn.Sigmoid(),), (nn.GELU(),),
        (nn.ELU(inplace=True),), (nn.LeakyReLU(0.3),), (nn.Softplus(), nn.ReLU()),
        (nn.ReLU(), nn.Sigmoid()), (nn.Identity(), nn.SiLU()), (),
    ],
    ids=str,
)  # fmt: skip
def test_chains_agree_with_the_definition(functions):
    assert_taken(assert_agrees(network(*functions), X))


def test_functions_of_the_inputs_and_of_the_outputs():
    model = nn.Sequential(nn.Tanh(), nn.Sequential(nn.Linear(6, 4)), nn.ReLU(), nn.Sigmoid())
    assert_taken(assert_agrees(model, X))


@pytest.mark.parametrize("widths", [(6, 96, 96, 3), (6, 37, 100, 65, 10), (6, 256, 32, 3)])
def test_compiled_chains_agree_with_the_definition(widths):
    model = rectifier(*widths)
    links = links_of([model])
    assert suits(links, Sums({}), len(X))
    assert_taken(assert_agrees(model, X))


@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e15])
@pytest.mark.parametrize("samples", [1, 2, 127, 300])
def test_compiled_and_layerwise_passes_are_the_same(scale, samples):
    members = [rectifier(6, 20, 33, 5), rectifier(6, 20, 33, 5)]
    nn.init.zeros_(members[1][0].bias)
    links, named = links_of(members), dict(members[0].named_parameters())
    gradient = torch.randn(2, samples, 5, generator=torch.Generator().manual_seed(5)) * scale
    gradient[:, : samples // 2] = 0  # the first samples say nothing about the scale
    found = []
    for kind in (Compiled, Layerwise):
        runner = kind(links, frozenset(named))
        sums = Sums({name: torch.Size((2, *p.shape)) for name, p in named.items()})
        runner.begin(slice(0, 2))
        outputs = runner.outputs(X[:samples])
        expected = torch.cat([model(X[:samples]) for model in members])
        torch.testing.assert_close(outputs, expected.detach())
        runner.add_squares(gradient, False, sums)
        found.append(sums.totals)
    for name, total in found[0].items():
        peak = found[1][name].max()
        assert peak > 0
        torch.testing.assert_close(total / peak, found[1][name] / peak, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("kind", "functions"),
    [
        (Compiled, (nn.ReLU(),)), (Layerwise, (nn.ReLU(),)), (Layerwise, (nn.GELU(),)),
        (Layerwise, (nn.Sigmoid(), nn.ELU())), (Layerwise, (nn.ELU(), nn.Sigmoid())),
    ],
)  # fmt: skip
def test_the_first_samples_of_the_first_network_alone(kind, functions):
    def members():
        torch.manual_seed(6)
        sizes = ((6, 20), (20, 33), (33, 5))
        return [
            nn.Sequential(
                *(layer for a, b in sizes for layer in (nn.Linear(a, b), *functions))
            )[: -len(functions)]
            for _ in range(2)
        ]  # fmt: skip

    links, named = links_of(members()), dict(members()[0].named_parameters())
    gradient = torch.randn(2, 50, 5, generator=torch.Generator().manual_seed(7))
    cut = torch.zeros_like(gradient)
    cut[:1, :2] = gradient[:1, :2]
    runner = kind(links, frozenset(named))
    runner.begin(slice(0, 2))
    runner.outputs(X[:50])
    alone, masked, whole = (
        Sums({name: torch.Size((2, *p.shape)) for name, p in named.items()}) for _ in range(3)
    )
    runner.add_squares(gradient[:1, :2], True, alone)
    runner.add_squares(cut, True, masked)
    runner.add_squares(gradient, False, whole)
    for name in named:
        peak = masked.totals[name].max()
        assert peak > 0
        assert not alone.totals[name][1].any()
        torch.testing.assert_close(
            alone.totals[name] / peak, masked.totals[name] / peak, rtol=1e-5, atol=1e-8
        )
        assert whole.totals[name][1].any()


def test_dead_units_have_exact_zeros():
    model = rectifier(6, 96, 96, 3)
    nn.init.constant_(model[0].bias[:10], -100.0)
    result = diagonal(model, wavy, (X, None))
    assert_taken(result)
    assert not result["0.weight"][:10].any()
    assert result["0.weight"][10:].any()


@pytest.mark.parametrize("kind", ["mc", "exact"])
def test_batches_run_in_parts_give_the_same(kind, monkeypatch):
    model = rectifier(6, 96, 96, 3)
    whole = diagonal(model, Categorical(), (X, None), kind=kind)
    monkeypatch.setattr(chains, "BUFFER_BYTES", 100 * 4 * 131)
    monkeypatch.setattr(chains, "BUFFER_PER_PARAMETER", 0)
    parts = diagonal(model, Categorical(), (X, None), kind=kind)
    assert_taken(parts)
    assert parts.n == whole.n
    torch.testing.assert_close(parts.flat(), whole.flat(), rtol=1e-5, atol=1e-12)


def test_sums_in_float32_and_in_files(tmp_path):
    model = rectifier(6, 96, 96, 3)
    expected = diagonal(model, wavy, (X, None)).flat()
    single = diagonal(model, wavy, (X, None), accumulate=torch.float32)
    stored = diagonal(model, wavy, (X, None), directory=tmp_path)
    torch.testing.assert_close(single.flat().double(), expected, rtol=1e-5, atol=1e-12)
    assert torch.equal(stored.flat(), expected)


@pytest.mark.parametrize("names", [["2.weight"], ["2.bias", "4.bias"], ["0.bias"]])
def test_some_parameters_of_a_compiled_chain(names):
    model = rectifier(6, 96, 96, 3)
    everything = diagonal(model, wavy, (X, None))
    result = diagonal(model, wavy, (X, None), parameters=names)
    assert list(result) == names
    for name in names:
        assert torch.equal(result[name], everything[name])


def hook_a_layer(model):
    model[0].register_forward_hook(lambda module, inputs, output: 2 * output)


def hook_the_model_before(model):
    model.register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],))


def hook_the_backward_pass(model):
    model[1].register_full_backward_hook(lambda module, before, after: None)


def replace_forward(model):
    forward = model[1].forward
    model[1].forward = lambda x: 2 * forward(x)


def replace_forward_of_the_model(model):
    forward = model.forward
    model.forward = lambda x: 2 * forward(x)


def derive_a_class(model):
    class Doubled(nn.ReLU):
        def forward(self, x):
            return 2 * super().forward(x)

    model[1].__class__ = Doubled


def normalise_a_weight(model):
    parametrizations.weight_norm(model[2])


def derive_a_parameter(model):
    class Marked(nn.Parameter):
        pass

    model[0].weight = Marked(model[0].weight.detach().clone())


@pytest.mark.parametrize(
    "change",
    [
        hook_a_layer, hook_the_model_before, hook_the_backward_pass, replace_forward,
        replace_forward_of_the_model, derive_a_class, normalise_a_weight, derive_a_parameter,
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [False, True], ids=["from the first call", "later"])
def test_what_would_not_be_run_by_hand_is_not_bypassed(change, before):
    model = rectifier(6, 96, 96, 3)
    extract = Extractor(model, wavy)
    if before:
        assert_taken(extract((X, None)))
    change(model)
    result = extract((X, None))
    assert_general(result)
    assert_like_loop(result, model, wavy, X)


def test_hooks_of_all_modules_are_not_bypassed():
    extract = Extractor(rectifier(6, 96, 96, 3), wavy)
    expected = extract((X, None))
    handle = nn.modules.module.register_module_forward_hook(lambda module, inputs, output: None)
    try:
        result = extract((X, None))
    finally:
        handle.remove()
    assert_general(result)
    torch.testing.assert_close(result.flat(), expected.flat(), rtol=1e-4, atol=1e-12)


def test_modes_are_not_bypassed():
    class Seen(TorchFunctionMode):
        calls = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.calls += func is F.linear
            return func(*args, **(kwargs or {}))

    extract = Extractor(rectifier(6, 96, 96, 3), wavy)
    assert_taken(extract((X, None)))
    with Seen() as seen:
        assert_general(extract((X, None)))
    assert seen.calls == 3


def test_autocast_is_not_bypassed():
    extract = Extractor(rectifier(6, 96, 96, 3), wavy)
    exact = extract((X, None))
    with torch.autocast("cpu", torch.bfloat16):
        result = extract((X, None))
    assert_general(result)
    assert not torch.allclose(result.flat(), exact.flat(), rtol=1e-4, atol=0)


def test_batches_of_another_shape_are_not_taken_for_vectors():
    model = rectifier(6, 64, 3)
    result = diagonal(model, wavy, [(X[:200], None), (X[200:].view(20, 5, 6), None)])
    assert result.n == 220
    assert "linear" in result.routes["0.weight"].split(", ")
    parts = [diagonal(model, wavy, (x, None)) for x in (X[:200], X[200:].view(20, 5, 6))]
    expected = sum(part.flat() * part.n for part in parts) / 220
    torch.testing.assert_close(result.flat(), expected, rtol=1e-5, atol=1e-12)


def test_a_loss_may_change_outputs_in_place():
    assert_taken(assert_agrees(rectifier(6, 64, 3), X, loss=lambda o, y: wavy(o.mul_(2), y)))


def test_a_loss_may_be_made_of_parameters():
    model = rectifier(6, 8, 3)

    def penalised(outputs, targets):
        return wavy(outputs, targets) + model[0].bias.square().sum()

    result = diagonal(model, penalised, (X[:9], None))
    assert_general(result)
    assert_like_loop(result, model, penalised, X[:9])


def test_a_loss_that_later_meets_a_parameter_starts_again():
    model, penalty = rectifier(6, 8, 3), [0.0]

    def penalised(outputs, targets):
        own = wavy(outputs, targets)
        return own + penalty[0] * model[0].bias.square().sum() if penalty[0] else own

    extract = Extractor(model, penalised)
    assert_taken(extract((X[:9], None)))
    penalty[0] = 1.0
    result = extract((X[:9], None))
    assert_general(result)
    assert torch.equal(result.flat(), diagonal(model, penalised, (X[:9], None)).flat())


def test_a_random_loss_is_refused_by_name():
    with pytest.raises(SampleCouplingError, match="dropout"):
        diagonal(rectifier(6, 8, 3), lambda o, y: wavy(F.dropout(o, 1e-9), y), (X, None))


def test_functions_of_different_settings_are_not_stacked():
    members = [nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(s), nn.Linear(8, 3)) for s in (0.1, 0.9)]
    together = diagonal_ensemble(members, cross_entropy, (X, LABELS))
    for model, result in zip(members, together, strict=True):
        alone = diagonal(model, cross_entropy, (X, LABELS))
        torch.testing.assert_close(result.flat(), alone.flat(), rtol=1e-5, atol=1e-12)


def test_ensembles_take_gradients_even_where_they_are_switched_off():
    members = [rectifier(6, 96, 96, 3), rectifier(6, 96, 96, 3)]
    expected = diagonal_ensemble(members, cross_entropy, (X, LABELS))
    with torch.no_grad():
        found = diagonal_ensemble(members, cross_entropy, (X, LABELS))
    assert torch.equal(found[1].flat(), expected[1].flat())


def test_an_ensemble_needs_data():
    with pytest.raises(ValueError, match="no sample"):
        diagonal_ensemble([rectifier(6, 8, 3)], cross_entropy, [])


@pytest.mark.parametrize(
    "model", [rectifier(6, 96, 96, 3), network(nn.GELU())], ids=["compiled", "layerwise"]
)
def test_data_are_let_go_after_a_call(model):
    extract, inputs = Extractor(model, wavy), X.clone()
    assert_taken(extract((inputs, None)))
    alive = weakref.ref(inputs)
    del inputs
    assert alive() is None
