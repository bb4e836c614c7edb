"""The check against the single-sample loop sees all parameters, large or small, and keeps none."""

import pytest
import torch
from fisher_definition import by_definition, wavy
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

from fimtiers.fisher import (
    Extractor,
    Gaussian,
    SampleCouplingError,
    chain,
    diagonal,
    diagonal_ensemble,
    engine,
)
from fimtiers.fisher.fallback import add_by_loop, loop_gradients
from fimtiers.fisher.loop_check import LoopCheck, differing
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.sums import TILE, Sums

WIDTH = 300  # its square exceeds what is compared at once
VECTORS = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(1))


def wide_layer(dtype: torch.dtype = torch.float32) -> nn.Linear:
    assert WIDTH**2 > TILE
    return nn.Linear(WIDTH, WIDTH, dtype=dtype)


def two(model: nn.Module) -> tuple[torch.Tensor, None]:
    return VECTORS[:2].to(next(model.parameters()).dtype), None


def checked(model: nn.Module, sums: Sums, masks=None) -> LoopCheck:
    check = LoopCheck(sums, masks or {})
    loop_gradients(
        model, Objective(wavy), two(model), dict(model.named_parameters()), check.receive
    )
    return check


def by_loop(model: nn.Module, dtype: torch.dtype = torch.float64) -> tuple[Sums, torch.Tensor]:
    sums = Sums({name: p.shape for name, p in model.named_parameters()}, dtype)
    return sums, add_by_loop(model, Objective(wavy), two(model), list(sums.totals), sums)


def sums_by_loop(model: nn.Module, dtype: torch.dtype = torch.float64) -> Sums:
    return by_loop(model, dtype)[0]


@pytest.mark.parametrize("sums_dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_difference_to_the_loop_is_the_norm_of_what_is_wrong(dtype, sums_dtype):
    model = wide_layer(dtype)
    sums = sums_by_loop(model, sums_dtype)
    norms = {name: float(sums.unscaled(name).norm()) for name in sums.totals}
    for name in norms:
        sums.totals[name] *= 1.25
    check = checked(model, sums)
    for name, norm in norms.items():
        left, found = check.differences()[name]
        assert found == pytest.approx(1.25 * norm, rel=1e-5)
        assert left == pytest.approx(0.25 * norm, rel=1e-4)


@pytest.mark.parametrize("sums_dtype", [torch.float64, torch.float32])
def test_sums_that_lack_what_the_loop_finds_differ(sums_dtype):
    model = wide_layer()
    sums = Sums({name: p.shape for name, p in model.named_parameters()}, sums_dtype)
    check = checked(model, sums)
    for left, found in check.differences().values():
        assert found == 0
        assert left > 0


def test_sums_of_what_the_loop_does_not_reach_differ():
    model = nn.ModuleDict({"used": nn.Linear(WIDTH, 3), "unused": wide_layer()})
    model.forward = model["used"].forward
    sums = Sums({name: p.shape for name, p in model.named_parameters()})
    sums.totals["unused.weight"][0, 0] = 2.0
    check = checked(model, sums)
    assert check.differences()["unused.weight"] == (2.0, 2.0)
    assert check.differences()["unused.bias"] == (0.0, 0.0)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_sums_that_are_no_numbers_never_agree(poison):
    model = wide_layer()
    sums = sums_by_loop(model)
    for total in sums.totals.values():
        total.view(-1)[0] = poison
    _, losses = by_loop(model)
    names = list(sums.totals)
    assert differing(model, Objective(wavy), two(model), losses, sums, {})[0] == names


def test_masked_entries_are_left_out():
    model = wide_layer()
    sums = sums_by_loop(model)
    sums.totals["weight"][3, 4] += 1.0
    mask = torch.zeros(WIDTH, WIDTH, dtype=torch.bool)
    mask[3, 4] = True
    left, found = checked(model, sums, {"weight": mask}).differences()["weight"]
    assert left <= 1e-6 * found


def test_a_large_gradient_of_the_loop_is_gone_when_the_next_comes():
    model = nn.Sequential(*[wide_layer() for _ in range(4)])
    weights = {name: p for name, p in model.named_parameters() if p.ndim == 2}
    received, alive = [], []

    def receive(gradients):
        for gradient in gradients.values():
            received.append(StorageWeakRef(gradient.untyped_storage()))
            alive.append(sum(not storage.expired() for storage in received))

    loop_gradients(model, Objective(wavy), two(model), weights, receive)
    assert alive == [1] * 2 * len(weights)


def test_a_large_parameter_used_twice_is_received_with_its_whole_gradient():
    layer = wide_layer(torch.float64)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    received = []
    data = two(model)
    loop_gradients(
        model,
        Objective(wavy),
        data,
        {"0.weight": layer.weight},
        lambda given: received.extend(given.values()),
    )
    for sample, gradient in zip(data[0].split(1), received, strict=True):
        (expected,) = torch.autograd.grad(wavy(model(sample), None), layer.weight)
        torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=0)


def test_the_loop_leaves_a_model_without_hooks_and_gradients():
    model = nn.Sequential(wide_layer(), nn.Linear(WIDTH, 3))
    diagonal(model, wavy, (VECTORS, None))
    assert all(p.grad is None and not p._backward_hooks for p in model.parameters())


@pytest.mark.parametrize("rows", [7, 400])
def test_sparse_gradients_of_the_loop_are_compared_too(rows):
    model = nn.Sequential(nn.Embedding(rows, WIDTH, sparse=True), nn.Linear(WIDTH, 3)).double()
    words = torch.tensor([[1, 1, 2], [3, 0, 1], [6, 5, 5]])
    found = diagonal(model, wavy, (words, None))
    for name, expected in by_definition(model, wavy, words, None).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-6, atol=1e-20)
    assert not any(route.startswith(("vmap", "loop")) for route in found.routes.values())


class Wrong(chain.Layerwise):
    """Code that gives other gradients than the model has."""

    def add_squares(self, gradient, again, sums):
        super().add_squares(2 * gradient, again, sums)


def test_a_chain_is_checked_on_the_code_that_its_batches_use(monkeypatch):
    model = nn.Sequential(nn.Linear(WIDTH, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    data = VECTORS.double(), None
    expected = diagonal(model, wavy, data)
    assert set(expected.routes.values()) == {chain.ROUTE}
    monkeypatch.setattr(chain, "Compiled", Wrong)
    monkeypatch.setattr(chain, "suits", lambda links, sums, samples: samples == len(VECTORS))
    extract = Extractor(model, wavy)
    for found in (diagonal(model, wavy, data), extract(data), extract(data)):
        assert chain.ROUTE not in found.routes.values()
        assert found.n == expected.n
        torch.testing.assert_close(found.flat(), expected.flat(), rtol=1e-10, atol=1e-20)


def test_chains_that_are_wrong_together_are_computed_one_by_one(monkeypatch):
    models = [nn.Sequential(nn.Linear(WIDTH, 8), nn.Tanh(), nn.Linear(8, 3)) for _ in range(2)]
    expected = [diagonal(model, wavy, (VECTORS, None)).flat() for model in models]
    monkeypatch.setattr(chain, "Layerwise", Wrong)
    for found, own in zip(diagonal_ensemble(models, wavy, (VECTORS, None)), expected, strict=True):
        assert chain.ROUTE not in found.routes.values()
        torch.testing.assert_close(found.flat(), own, rtol=1e-5, atol=1e-12)


def test_a_chain_confirms_its_losses_among_all_samples():
    model = nn.Sequential(nn.Linear(WIDTH, 8), nn.Tanh(), nn.Linear(8, 3))

    def relative(outputs, targets):
        return wavy(outputs, targets) * (1.0 if len(outputs) < len(VECTORS) else 1.1)

    with pytest.raises(SampleCouplingError, match="one by one"):
        diagonal(model, relative, (VECTORS, None))
    extract = Extractor(model, relative)
    for _ in range(2):
        with pytest.raises(SampleCouplingError, match="one by one"):
            extract((VECTORS, None))


def test_rows_that_a_view_shows_to_lie_sample_by_sample_need_no_labelled_pass(monkeypatch):
    class HeadsThenRows(nn.Module):
        """Mixes tokens head by head and projects them as rows, as GPT-2 does."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(8, 3, dtype=torch.float64))

        def forward(self, x):
            heads = torch.empty_strided((len(x), 2, 5, 4), (40, 4, 8, 1), dtype=x.dtype)
            heads = heads.copy_(x.unflatten(-1, (2, 4)).transpose(1, 2))
            rows = heads.transpose(1, 2).reshape(-1, 8)
            assert not rows._base.is_contiguous()
            return (rows @ self.weight).view(len(x), 5, 3)

    def labelled(*_):
        raise AssertionError("a labelled pass ran")

    model, x = HeadsThenRows(), torch.randn(6, 5, 8, dtype=torch.float64)
    monkeypatch.setattr(engine, "Labels", labelled)
    found = diagonal(model, wavy, (x, None))
    expected = by_definition(model, wavy, x, None)
    torch.testing.assert_close(found["weight"], expected["weight"], rtol=1e-10, atol=0)


def deep(dtype: torch.dtype = torch.float32) -> nn.Module:
    """A model that is no chain, with a large parameter."""
    return nn.Sequential(wide_layer(dtype), nn.LayerNorm(WIDTH, dtype=dtype), nn.Tanh())


@pytest.mark.parametrize("passes", [None, 2, 3])
@pytest.mark.parametrize("sums_dtype", [torch.float64, torch.float32])
def test_sums_are_as_they_were_after_the_check(sums_dtype, passes):
    model = wide_layer()
    sums = sums_by_loop(model, sums_dtype)
    before = {name: total.clone() for name, total in sums.totals.items()}
    check = LoopCheck(sums, {}, passes)
    loop_gradients(
        model, Objective(wavy), two(model), dict(model.named_parameters()), check.receive
    )
    for left, found in check.differences().values():
        assert left <= 1e-6 * found
    for name, total in sums.totals.items():
        assert torch.equal(total, before[name])


@pytest.mark.parametrize("micro_batch", [None, 1, 2])
@pytest.mark.parametrize("samples", [1, 2, 3, 5])
def test_each_sample_counts_once_in_a_first_call(monkeypatch, samples, micro_batch):
    sizes = []
    add = engine.Engine.add

    def noted(self, batch, guessing=False):
        sizes.append(len(batch[0]))
        return add(self, batch, guessing)

    monkeypatch.setattr(engine.Engine, "add", noted)
    model, x = deep(torch.float64), VECTORS[:samples].double()
    extract = Extractor(model, wavy, micro_batch=micro_batch)
    first = extract((x, None))
    assert sum(sizes) == samples
    later = extract((x, None))
    assert first.n == later.n == samples
    exact = by_definition(model, wavy, x, None)
    for name, values in exact.items():
        torch.testing.assert_close(first[name], later[name], rtol=1e-12, atol=1e-20)
        torch.testing.assert_close(first[name], values, rtol=1e-10, atol=1e-16)


def test_labels_drawn_in_a_first_call_are_those_of_later_ones():
    extract = Extractor(deep(), Gaussian(1.0), kind="mc", seed=3)
    first, later = extract((VECTORS, None)), extract((VECTORS, None))
    for name in ("0.weight", "1.bias"):
        assert torch.equal(first[name], later[name])


def test_a_batch_after_the_first_one_counts_too():
    model = deep(torch.float64)
    batches = [(VECTORS[:2].double(), None), (VECTORS[2:].double(), None)]
    found = diagonal(model, wavy, batches)
    exact = by_definition(model, wavy, VECTORS.double(), None)
    assert found.n == len(VECTORS)
    for name, values in exact.items():
        torch.testing.assert_close(found[name], values, rtol=1e-10, atol=1e-16)
