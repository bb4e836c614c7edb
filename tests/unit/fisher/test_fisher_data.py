"""Data as people have them: mappings, loaders, labels inside; what is no batch is named."""

from collections import UserDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, TensorDataset
from transformers import BatchEncoding, GPT2Config, GPT2LMHeadModel

from fimtiers.fisher import Categorical, diagonal

X = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
Y = torch.arange(8) % 3


def squares(outputs, _):
    return outputs.square().flatten(1).mean(1)


def classes(outputs, labels):
    return F.cross_entropy(outputs, labels, reduction="none")


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(DataLoader([{"a": v, "b": v} for v in X], 4), id="dictionaries"),
        pytest.param({"a": X, "b": X}, id="dictionary"),
        pytest.param(DataLoader(TensorDataset(X, Y, Y), 4), id="three tensors"),
        pytest.param(DataLoader(TensorDataset(X), 4), id="one tensor"),
        pytest.param(X, id="tensor"),
        pytest.param([X, Y], id="list of tensors"),
        pytest.param(TensorDataset(X, Y), id="data set"),
        pytest.param((X, Y, Y), id="triple"),
        pytest.param(3, id="number"),
    ],
)
def test_what_is_no_pair_is_named(linear, data):
    with pytest.raises((TypeError, ValueError), match="a pair"):
        diagonal(linear, squares, data)


@pytest.mark.parametrize(
    ("targets", "error"),
    [
        (Y.numpy(), TypeError),
        (Y.tolist(), TypeError),
        ((Y, np.ones(8)), TypeError),
        (3.0, TypeError),
        (torch.cat([Y, Y]), ValueError),
        (Y[:1], ValueError),
        (torch.tensor(3), ValueError),
    ],
)
def test_targets_that_cannot_be_cut_by_sample_are_refused(linear, targets, error):
    with pytest.raises(error, match="targets"):
        diagonal(linear, squares, (X, targets), micro_batch=4)


def test_lengths_are_compared_before_the_model_runs():
    class Never(nn.Linear):
        def forward(self, *_):
            raise AssertionError("ran")

    edges = torch.zeros(2, 9, dtype=torch.long)
    with pytest.raises(ValueError, match=r"lengths \[2, 8\]"):
        diagonal(Never(4, 3), squares, ((X, edges), None))
    with pytest.raises(TypeError, match="numpy array"):
        diagonal(Never(4, 3), squares, (X.numpy(), None))
    with pytest.raises(ValueError, match="without axes"):
        diagonal(Never(4, 3), squares, ((X, torch.tensor(1.0)), None))


def test_models_and_parameters_of_other_kinds_are_named(linear):
    with pytest.raises(TypeError, match="model is a function"):
        diagonal(lambda x: x, squares, (X, None))
    with pytest.raises(TypeError, match=r"expected names, as model\.named_parameters"):
        diagonal(linear, squares, (X, None), parameters=linear.parameters())
    with pytest.raises(TypeError, match="loss is a str"):
        diagonal(linear, "mse", (X, None))
    with pytest.raises(TypeError, match="returns a float"):
        diagonal(linear, lambda o, _: 1.0, (X, None))
    with pytest.raises(ValueError, match="micro_batch is 0"):
        diagonal(linear, squares, (X, None), micro_batch=0)


def test_empty_batches_add_nothing(linear):
    expected = diagonal(linear, classes, (X, Y))
    found = diagonal(
        linear, classes, [(X[:0], Y[:0]), (X[:5], Y[:5]), (X[:0], Y[:0]), (X[5:], Y[5:])]
    )
    assert found.n == 8
    torch.testing.assert_close(found.flat(), expected.flat())
    for nothing in ((X[:0], Y[:0]), [], [(X[:0], Y[:0])]):
        with pytest.raises(ValueError, match="data holds no sample"):
            diagonal(linear, classes, nothing)


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.readout = nn.Embedding(9, 4), nn.Linear(4, 3)

    def forward(self, input_ids=None, attention_mask=None):
        return self.readout((self.table(input_ids) * attention_mask[..., None]).mean(1))


@pytest.mark.parametrize("kind", [dict, UserDict, BatchEncoding])
def test_mappings_are_inputs_by_keyword_with_labels_inside_or_beside(kind):
    ids = torch.arange(48).view(8, 6) % 9
    inputs = {"input_ids": ids, "attention_mask": torch.ones(8, 6)}
    expected = diagonal(Tokens(), classes, (inputs, Y)).flat()
    for data in ((kind(inputs), Y), kind({**inputs, "labels": Y}), [kind({**inputs, "labels": Y})]):
        assert torch.equal(diagonal(Tokens(), classes, data).flat(), expected)


def test_a_loader_of_dictionaries_with_labels():
    ids = torch.arange(48).view(8, 6) % 9
    rows = [
        {"input_ids": i, "attention_mask": torch.ones(6), "labels": y}
        for i, y in zip(ids, Y, strict=True)
    ]
    found = diagonal(Tokens(), classes, DataLoader(rows, 3))
    inputs = {"input_ids": ids, "attention_mask": torch.ones(8, 6)}
    expected = diagonal(Tokens(), classes, (inputs, Y))
    assert found.n == 8
    torch.testing.assert_close(found.flat(), expected.flat())


def language_model():
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=50,
        n_positions=16,
        n_embd=16,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config).double().eval()


def test_the_loss_a_language_model_computes_itself_is_taken_sample_by_sample():
    model = language_model()
    ids = torch.arange(60).view(6, 10) * 7 % 50
    labels = ids.clone()
    labels[0, 5:] = labels[3, :4] = -100
    batch = BatchEncoding({"input_ids": ids, "labels": labels})
    own = diagonal(model, lambda outputs, _: outputs.loss, [batch])
    shifted = diagonal(model, Categorical(shift=True), [batch])
    expected = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for n in range(6):
        model.zero_grad()
        model(input_ids=ids[n : n + 1], labels=labels[n : n + 1]).loss.backward()
        for name, p in model.named_parameters():
            expected[name] += p.grad.square() / 6
    assert own.n == shifted.n == 6
    assert not [r for r in shifted.routes.values() if r.startswith(("vmap", "loop"))]
    for name, f in expected.items():
        keep = ~own.symmetric.get(name, torch.zeros_like(f, dtype=torch.bool))
        torch.testing.assert_close(own[name][keep], f[keep], rtol=1e-9, atol=1e-24)
        # The model takes its own loss of float32 logits.
        torch.testing.assert_close(shifted[name][keep], f[keep], rtol=1e-4, atol=1e-12)
    tokens = diagonal(model, Categorical(shift=True), [batch], unit="token")
    assert tokens.n == int((labels[:, 1:] != -100).sum())


def test_losses_of_all_tokens_in_one_axis_need_a_word():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    x, y = torch.randn(6, 7, 4), torch.arange(42).view(6, 7) % 3

    def flat(outputs, labels):
        return F.cross_entropy(outputs.flatten(0, 1), labels.flatten(), reduction="none")

    def by_sample(outputs, labels):
        return flat(outputs, labels).view(len(labels), -1)

    with pytest.raises(ValueError, match="flattened=True"):
        diagonal(model, flat, (x, y))
    mean = diagonal(model, lambda o, t: by_sample(o, t).mean(1), (x, y))
    found = diagonal(model, flat, (x, y), flattened=True)
    torch.testing.assert_close(found.flat(), mean.flat())
    found = diagonal(model, flat, (x, y), flattened=True, unit="token")
    expected = diagonal(model, by_sample, (x, y), unit="token")
    assert found.n == expected.n == 42
    torch.testing.assert_close(found.flat(), expected.flat())
    with pytest.raises(ValueError, match=r"needs \(sample · token,\)"):
        diagonal(model, lambda o, t: flat(o, t)[:-1], (x, y), flattened=True)


def test_tensors_made_in_inference_mode_and_names_with_slashes(linear, tmp_path):
    with torch.inference_mode():
        x = X.clone()
    assert torch.equal(
        diagonal(linear, squares, (x, None)).flat(), diagonal(linear, squares, (X, None)).flat()
    )

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.p = nn.ParameterDict({"q/k": torch.ones(4, 2)})

        def forward(self, x):
            return x.tanh() @ self.p["q/k"]

    found = diagonal(Named(), squares, (X, None), directory=tmp_path / "sums")
    assert torch.equal(found.flat(), diagonal(Named(), squares, (X, None)).flat())
    assert [path.name for path in (tmp_path / "sums").iterdir()] == ["p.q%2Fk.bin"]
