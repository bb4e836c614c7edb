"""Kinds, units, shards, ensembles, precision: what the numbers mean."""

import math
from itertools import pairwise

import pytest
import torch
from fisher_definition import assert_agrees, by_definition, wavy
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fimtiers.fisher import Categorical, Gaussian, diagonal, diagonal_ensemble, load, save

X = torch.randn(40, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
LABELS = torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(2))


def softmax_regression() -> nn.Module:
    return nn.Linear(5, 3).double()


def mlp(*widths: int) -> nn.Sequential:
    pairs = pairwise(widths)
    layers = [layer for a, b in pairs for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def cross_entropy(outputs, targets):
    return F.cross_entropy(outputs, targets, reduction="none")


def test_exact_fisher_of_softmax_regression_has_its_closed_form():
    model = softmax_regression()
    result = diagonal(model, Categorical(), (X, None), kind="exact")
    p = model(X).softmax(-1)
    expected = ((p * (1 - p)).T @ X.square()).detach() / len(X)
    torch.testing.assert_close(result["weight"], expected, rtol=1e-12, atol=0)
    assert result.n == len(X)


def test_empirical_fisher_of_softmax_regression_has_its_closed_form():
    model = softmax_regression()
    result = diagonal(model, cross_entropy, (X, LABELS))
    residual = model(X).softmax(-1) - F.one_hot(LABELS, 3)
    expected = (residual.square().T @ X.square()).detach() / len(X)
    torch.testing.assert_close(result["weight"], expected, rtol=1e-12, atol=0)


def test_monte_carlo_fisher_tends_to_the_exact_one():
    model = softmax_regression()
    exact = diagonal(model, Categorical(), (X, None), kind="exact")
    drawn = diagonal(model, Categorical(), (X, None), kind="mc", draws=200)
    assert drawn.n == 200 * len(X)
    torch.testing.assert_close(drawn["weight"], exact["weight"], rtol=0.07, atol=0)


def test_drawn_labels_do_not_depend_on_the_batch_size():
    model = softmax_regression()
    whole = diagonal(model, Categorical(), (X, None), kind="mc", seed=7)
    parts = diagonal(model, Categorical(), (X, None), kind="mc", seed=7, micro_batch=3)
    other = diagonal(model, Categorical(), (X, None), kind="mc", seed=8)
    torch.testing.assert_close(whole.flat(), parts.flat(), rtol=1e-12, atol=0)
    assert not torch.allclose(whole.flat(), other.flat())


def test_exact_gaussian_fisher_is_the_sum_of_squared_jacobians():
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    result = diagonal(model, Gaussian(scale=2.0), (X, None), kind="exact")
    expected = sum(
        by_definition(model, lambda o, _, k=k: o[:, k] / 2.0, X, None)["0.weight"] for k in range(3)
    )
    torch.testing.assert_close(result["0.weight"], expected, rtol=1e-12, atol=0)


def test_exact_fisher_of_sequences_averages_over_tokens():
    model = softmax_regression()
    sequences = X.view(8, 5, 5)
    sequence = diagonal(model, Categorical(), (sequences, None), kind="exact")
    token = diagonal(model, Categorical(), (sequences, None), kind="exact", unit="token")
    flat = diagonal(model, Categorical(), (X, None), kind="exact")
    torch.testing.assert_close(token["weight"], flat["weight"], rtol=1e-12, atol=0)
    torch.testing.assert_close(sequence["weight"], flat["weight"] / 5, rtol=1e-12, atol=0)


def test_each_token_is_a_sample_if_the_unit_is_the_token():
    model = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4)).double()
    sequences = X.view(8, 5, 5)
    result = diagonal(
        model, lambda o, _: (o.square() * torch.arange(4)).sum(-1), (sequences, None), unit="token"
    )
    alone = by_definition(model, lambda o, _: (o.square() * torch.arange(4)).sum(-1), X, None)
    assert result.n == 40
    torch.testing.assert_close(result["0.weight"], alone["0.weight"], rtol=1e-12, atol=0)


def test_shards_add_up_to_one_pass(tmp_path):
    model = mlp(5, 8, 3).double()
    whole = diagonal(model, cross_entropy, (X, LABELS))
    paths = []
    for number, part in enumerate((slice(0, 13), slice(13, 20), slice(20, 40))):
        paths.append(tmp_path / f"{number}.safetensors")
        save(diagonal(model, cross_entropy, (X[part], LABELS[part])), paths[-1])
    merged = load(*paths)
    assert merged.n == whole.n
    assert list(merged.sums) == list(whole.sums)
    assert merged.routes == whole.routes
    torch.testing.assert_close(merged.flat(), whole.flat(), rtol=1e-13, atol=0)


def test_shards_of_float32_sums_add_up_across_scales(tmp_path):
    model = mlp(5, 8, 3)
    options = {"accumulate": torch.float32}
    small, large = X.float()[:20] * 1e-12, X.float()[20:]
    parts = [diagonal(model, wavy, (x, None), **options) for x in (small, large)]
    for number, part in enumerate(parts):
        save(part, tmp_path / str(number))
    merged = load(tmp_path / "0", tmp_path / "1")
    whole = diagonal(model, wavy, (torch.cat([small, large]), None))
    torch.testing.assert_close(merged.flat().double(), whole.flat(), rtol=1e-5, atol=1e-30)


def test_a_foreign_file_is_not_a_shard(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "x")
    with pytest.raises(ValueError, match="format None"):
        load(tmp_path / "x")


def test_diagonals_of_different_kinds_do_not_add_up():
    model = softmax_regression()
    a = diagonal(model, Categorical(), (X, LABELS))
    b = diagonal(model, Categorical(), (X, LABELS), kind="exact")
    with pytest.raises(ValueError, match="do not add up"):
        a.merge(b)


def test_batches_of_a_list_are_one_data_set():
    model = mlp(5, 8, 3).double()
    whole = diagonal(model, cross_entropy, (X, LABELS))
    batches = [(X[i : i + 7], LABELS[i : i + 7]) for i in range(0, 40, 7)]
    torch.testing.assert_close(
        diagonal(model, cross_entropy, batches).flat(), whole.flat(), rtol=1e-12, atol=0
    )


def test_an_ensemble_equals_its_members():
    torch.manual_seed(3)
    models = [mlp(5, 32, 32, 3) for _ in range(4)]
    together = diagonal_ensemble(models, cross_entropy, (X.float(), LABELS), micro_batch=17)
    for model, result in zip(models, together, strict=True):
        alone = diagonal(model, cross_entropy, (X.float(), LABELS))
        assert result.n == alone.n
        torch.testing.assert_close(result.flat(), alone.flat(), rtol=1e-5, atol=1e-12)


def test_an_ensemble_of_transformers_equals_its_members():
    models = [nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True).double() for _ in range(3)]
    x = torch.randn(6, 5, 4, dtype=torch.float64)
    for model, result in zip(models, diagonal_ensemble(models, wavy, (x, None)), strict=True):
        alone = diagonal(model, wavy, (x, None))
        for name in alone.sums:
            keep = ~alone.symmetric.get(name, torch.zeros_like(alone[name], dtype=torch.bool))
            torch.testing.assert_close(result[name][keep], alone[name][keep], rtol=1e-9, atol=0)


def test_models_of_different_shape_are_no_ensemble():
    with pytest.raises(ValueError, match=r"model 1 differs from model 0 in \['0.bias'"):
        diagonal_ensemble([mlp(5, 8, 3), mlp(5, 9, 3)], cross_entropy, (X.float(), LABELS))


def test_the_key_bias_of_attention_is_flagged_and_nothing_else_is():
    attention = nn.MultiheadAttention(6, 2, batch_first=True)
    nn.init.normal_(attention.in_proj_bias)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def forward(self, x):
            return self.attention(x, x, x)[0]

    for dtype in (torch.float32, torch.float64):
        x = torch.randn(8, 7, 6, dtype=dtype)
        result = diagonal(Model().to(dtype), wavy, (x, None))
        assert list(result.symmetric) == ["attention.in_proj_bias"]
        expected = torch.zeros(18, dtype=torch.bool)
        expected[6:12] = True
        assert torch.equal(result.symmetric["attention.in_proj_bias"], expected)


def test_no_square_underflows_in_a_deep_shrunken_network():
    torch.manual_seed(0)
    model = mlp(8, *[16] * 39, 4)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(0.3 if p.ndim > 1 else 1e-3)
    x = torch.randn(50, 8)
    expected = by_definition(model, lambda o, _: o.sum(1), x, None)
    result = diagonal(model, lambda o, _: o.sum(1), (x, None))
    gradients = math.sqrt(min(float(f[f > 0].min()) for f in expected.values() if f.any()))
    assert gradients < 1e-19, "the case must be one in which float32 squares underflow"
    for name, reference in expected.items():
        error = torch.linalg.vector_norm(
            result[name] / reference.max() - reference / reference.max()
        )
        assert error <= 1e-4 * torch.linalg.vector_norm(reference / reference.max()), name
        assert int(((result[name] == 0) & (reference > 0)).sum()) == 0, name


def test_exact_zeros_are_kept_and_counted():
    torch.manual_seed(0)
    model = mlp(8, *[6] * 12, 4).double()
    x = torch.randn(20, 8, dtype=torch.float64)
    expected = by_definition(model, wavy, x, None)
    result = diagonal(model, wavy, (x, None))
    assert sum(result.zeros.values()) > 0
    for name, reference in expected.items():
        assert torch.equal(result[name] == 0, reference == 0), name
        assert result.zeros[name] == int((reference == 0).sum())


def test_half_precision_weights_give_float32_squares():
    torch.manual_seed(0)
    model = mlp(16, 64, 64, 4)
    x = torch.randn(64, 16)
    expected = diagonal(model, wavy, (x, None))
    half = diagonal(model.bfloat16(), wavy, (x.bfloat16(), None), accumulate=torch.float32)
    assert half.sums["0.weight"].dtype == torch.float32
    for name in expected.sums:
        error = torch.linalg.vector_norm(half[name] - expected[name])
        assert error <= 0.1 * torch.linalg.vector_norm(expected[name]), name


def test_sums_can_live_in_files(tmp_path):
    model = mlp(5, 8, 3).double()
    expected = diagonal(model, cross_entropy, (X, LABELS))
    stored = diagonal(model, cross_entropy, (X, LABELS), directory=tmp_path / "sums")
    assert torch.equal(stored.flat(), expected.flat())
    assert sorted(p.name for p in (tmp_path / "sums").iterdir()) == [
        "0.bias.bin", "0.weight.bin", "2.bias.bin", "2.weight.bin",
    ]  # fmt: skip


def test_inputs_may_be_tuples_or_dictionaries():
    model = nn.Bilinear(5, 5, 2).double()
    result = diagonal(model, wavy, ((X, X.flip(0)), None))
    assert result.n == 40
    gpt_like = nn.Linear(5, 2).double()
    by_name = diagonal(gpt_like, wavy, ({"input": X}, None))
    torch.testing.assert_close(by_name.flat(), diagonal(gpt_like, wavy, (X, None)).flat())


def test_a_batch_of_one_sample_works():
    assert_agrees(mlp(5, 6, 2), X[:1].float())


def test_samples_that_mix_are_noticed_even_where_labels_are_smallest():
    from fimtiers.fisher.layout import Block, Ragged, find_layout, label_weights

    plain = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
    weights = label_weights(16, plain)
    labelled = weights[0].unsqueeze(1) * plain
    order = torch.randperm(16, generator=torch.Generator().manual_seed(2))
    assert find_layout(plain, [labelled], weights, 16)[0] == Block(0)
    assert isinstance(find_layout(plain[order], [labelled[order]], weights, 16)[0], Ragged)
    labelled[0] = 1.5 * plain[0]  # half of it belongs to the second sample
    assert find_layout(plain, [labelled], weights, 16)[0] is None
