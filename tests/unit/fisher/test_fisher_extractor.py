"""An extractor prepared once gives what one-shot calls give, whatever changes in between."""

import gc
from itertools import pairwise

import pytest
import torch
from fisher_definition import by_definition, wavy
from torch import nn

from fimtiers.fisher import Categorical, Extractor, SampleCouplingError, diagonal, extractor

VECTORS = torch.randn(30, 6, generator=torch.Generator().manual_seed(1))
SEQUENCES = torch.randn(8, 5, 6, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def calibrations(monkeypatch):
    """The batches that extractors were calibrated on."""
    batches, calibrate = [], extractor.calibrate

    def counted(model, objective, names, batch, *options):
        batches.append(batch)
        return calibrate(model, objective, names, batch, *options)

    monkeypatch.setattr(extractor, "calibrate", counted)
    return batches


def mlp(*widths: int) -> nn.Sequential:
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*layers[:-1])


def assert_like_one_shot(extract: Extractor, data) -> None:
    found, expected = extract(data), diagonal(extract.model, wavy, data)
    assert found.n == expected.n
    assert found.routes == expected.routes
    assert found.symmetric.keys() == expected.symmetric.keys()
    assert torch.equal(found.flat(), expected.flat())


class Experts(nn.Module):
    """Tokens gathered by the sign of their first entry, two linear maps."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList([nn.Linear(6, 4), nn.Linear(6, 4)])

    def forward(self, x):
        rows = x.flatten(0, 1)
        mixed = torch.zeros(len(rows), 4, dtype=x.dtype)
        for number, expert in enumerate(self.experts):
            (mine,) = torch.where((rows[:, 0] > 0) == bool(number))
            mixed = mixed.index_add(0, mine, torch.tanh(expert(rows[mine])))
        return mixed.view(*x.shape[:2], 4)


def routed(*counts: int) -> torch.Tensor:
    """Sequences of which so many tokens go to the second expert."""
    x = torch.randn(len(counts), 5, 6, generator=torch.Generator().manual_seed(sum(counts)))
    x[..., 0] = -1
    for sample, count in enumerate(counts):
        x[sample, :count, 0] = 1
    return x.double()


def test_changed_weights_give_their_own_values_without_preparation(calibrations):
    model = mlp(6, 8, 3)
    extract = Extractor(model, wavy)
    extract((VECTORS, None))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        wavy(model(VECTORS), None).mean().backward()
        optimiser.step()
        optimiser.zero_grad()
        found = extract((VECTORS, None))
        expected = by_definition(model, wavy, VECTORS, None)
        for name, reference in expected.items():
            torch.testing.assert_close(found[name], reference, rtol=1e-4, atol=1e-12)
    assert len(calibrations) == 1


def test_calls_equal_one_shot_calls_to_the_last_bit():
    extract = Extractor(mlp(6, 8, 3), wavy)
    for samples in (30, 7, 1, 2, 30):
        assert_like_one_shot(extract, (VECTORS[:samples], None))


def test_results_of_earlier_calls_are_left_alone():
    extract = Extractor(mlp(6, 8, 3), wavy)
    first = extract((VECTORS, None))
    kept = first.flat().clone()
    extract((10 * VECTORS, None))
    assert torch.equal(first.flat(), kept)


@pytest.mark.parametrize(
    ("model", "data"),
    [(mlp(6, 8, 3), VECTORS), (mlp(6, 8, 3), SEQUENCES), (Experts(), routed(1, 2, 3).float())],
    ids=["chain", "tokens", "gathered rows"],
)
def test_nothing_holds_on_to_the_sums_of_a_result(model, data):
    extract = Extractor(model, wavy)
    extract((data, None))
    found = extract((data, None))
    places = {total.data_ptr() for total in found.sums.values()}
    assert {x.data_ptr() for x in tensors()} >= places
    del found
    assert not places & {x.data_ptr() for x in tensors()}


def tensors() -> list[torch.Tensor]:
    gc.collect()
    alive = [x for x in gc.get_objects() if type(x) in (torch.Tensor, nn.Parameter)]
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return [x for x in alive if x.layout == torch.strided and not wrapped(x)]


def test_drawn_labels_begin_anew_with_each_call():
    extract = Extractor(nn.Linear(6, 3), Categorical(), kind="mc", seed=3)
    first, second = (extract((VECTORS, None)).flat() for _ in range(2))
    assert torch.equal(first, second)


def test_another_number_of_samples_needs_no_preparation(calibrations):
    extract = Extractor(mlp(6, 8, 3), wavy)
    extract((VECTORS, None))
    extract([(VECTORS[:4], None), (VECTORS[4:9], None)])
    assert len(calibrations) == 1


def switch_mode(model):
    model.eval()


def move_weights(model):
    model[0].weight.data = model[0].weight.data.clone()


def replace_weights(model):
    model[0].weight = nn.Parameter(torch.ones(8, 6))


def replace_layer(model):
    model[1] = nn.ReLU()


def freeze(model):
    model[0].bias.requires_grad_(False)


def widen(model):
    model.double()


@pytest.mark.parametrize(
    "change", [switch_mode, move_weights, replace_weights, replace_layer, freeze, widen]
)
def test_a_changed_model_is_prepared_for_anew(change, calibrations):
    model = mlp(6, 8, 3)
    extract = Extractor(model, wavy)
    extract((VECTORS, None))
    change(model)
    data = VECTORS.to(model[0].weight.dtype), None
    found = extract(data)
    assert len(calibrations) == 2
    expected = diagonal(model, wavy, data)
    assert list(found.sums) == list(expected.sums)
    assert torch.equal(found.flat(), expected.flat())


@pytest.mark.parametrize(
    "data", [SEQUENCES, SEQUENCES[:, :3], SEQUENCES.double()], ids=["rank", "length", "dtype"]
)
def test_data_of_another_kind_are_prepared_for_anew(data, calibrations):
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8)).to(data.dtype)
    extract = Extractor(model, wavy)
    extract((SEQUENCES[:, 0].to(data.dtype), None))
    assert_like_one_shot(extract, (data, None))
    assert len(calibrations) == 3, "two by the extractor, one by the one-shot call"


def test_dropout_switched_on_later_is_refused():
    model = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.3)).eval()
    extract = Extractor(model, wavy)
    extract((VECTORS, None))
    model.train()
    with pytest.raises(SampleCouplingError, match="Dropout '1'"):
        extract((VECTORS, None))


def test_rows_gathered_otherwise_than_before_are_looked_for_again():
    model = Experts().double()
    extract = Extractor(model, wavy)
    # One row of each sample for the second expert, then as many rows as samples, of a few.
    for counts in ((1, 1, 1, 1), (2, 2, 0, 0), (0, 4, 0, 0), (5, 5, 5, 5), (0, 0, 0, 0)):
        x = routed(*counts)
        expected = by_definition(model, wavy, x, None)
        for found in (extract((x, None)), diagonal(model, wavy, (x, None))):
            for name, reference in expected.items():
                torch.testing.assert_close(found[name], reference, rtol=1e-10, atol=1e-20)


def test_the_route_of_an_expert_does_not_depend_on_the_last_batch():
    extract = Extractor(Experts().double(), wavy)
    found = extract([(routed(1, 2, 3), None), (routed(0, 0, 0), None)])
    assert found.routes["experts.1.weight"] == "linear"
    assert found.n == 6


def test_a_branch_switched_off_at_first_is_located_when_it_wakes_up():
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.gain = nn.Linear(6, 6), nn.Parameter(torch.zeros(6))

        def forward(self, x):
            time_first = torch.tanh(self.inner(x.transpose(0, 1)))
            return x + self.gain * time_first.transpose(0, 1)

    for x in (SEQUENCES.double(), SEQUENCES[:2, :2].double()):
        model = Residual().double()
        extract = Extractor(model, wavy)
        assert not extract((x, None))["inner.weight"].any()
        with torch.no_grad():
            model.gain.normal_()
        found = extract((x, None))
        expected = by_definition(model, wavy, x, None)
        for name, reference in expected.items():
            torch.testing.assert_close(found[name], reference, rtol=1e-10, atol=1e-20)


def test_symmetric_entries_are_found_whenever_their_branch_is_awake():
    attention = nn.MultiheadAttention(6, 2, batch_first=True)
    nn.init.normal_(attention.in_proj_bias)
    output = attention.out_proj.weight.detach().clone()

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def forward(self, x):
            return x + self.attention(x, x, x)[0]

    nn.init.zeros_(attention.out_proj.weight)
    extract = Extractor(Model(), wavy)
    assert not extract((SEQUENCES, None)).symmetric
    with torch.no_grad():
        attention.out_proj.weight.copy_(output)
    mask = extract((SEQUENCES, None)).symmetric["attention.in_proj_bias"]
    assert mask[6:12].all()
    assert mask.sum() == 6


def test_sums_can_be_put_in_files_call_by_call(tmp_path):
    extract = Extractor(mlp(6, 8, 3), wavy)
    in_memory = extract((VECTORS, None))
    in_files = extract((VECTORS, None), directory=tmp_path)
    assert torch.equal(in_memory.flat(), in_files.flat())
    assert (tmp_path / "0.weight.bin").stat().st_size == 8 * 48


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_are_taken_even_where_they_are_switched_off(context):
    model = mlp(6, 8, 3)
    extract = Extractor(model, wavy)
    expected = extract((VECTORS, None))
    with context():
        prepared, once = extract((VECTORS, None)), diagonal(model, wavy, (VECTORS, None))
    assert torch.equal(prepared.flat(), expected.flat())
    assert torch.equal(once.flat(), expected.flat())
