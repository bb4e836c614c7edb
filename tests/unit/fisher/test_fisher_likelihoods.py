"""Likelihoods: which axis is the class, what has no label, and expectations over labels."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fimtiers.fisher import Bernoulli, Categorical, Gaussian, Masked, diagonal


def seeded(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).double()


def slow(model, losses, n, weights=None):
    """Σ_k w_k g_k² / n over scalar losses, one backward pass each."""
    total = [torch.zeros_like(p) for p in model.parameters()]
    for k, loss in enumerate(losses):
        gradients = torch.autograd.grad(
            loss, list(model.parameters()), retain_graph=True, materialize_grads=True
        )
        for t, g in zip(total, gradients, strict=True):
            t += g.square() * (1.0 if weights is None else float(weights[k])) / n
    return torch.cat([t.flatten() for t in total])


def assert_close(found, expected):
    torch.testing.assert_close(found.flat(), expected, rtol=1e-9, atol=1e-24)


@pytest.mark.parametrize("size", [(4, 4), (3, 5)])
def test_classes_of_images_lie_along_axis_one(size):
    torch.manual_seed(0)
    model = nn.Conv2d(2, 4, 3, padding=1).double()
    x, y = seeded(5, 2, *size), torch.arange(5 * size[0] * size[1]).view(5, *size) % 4
    expected = diagonal(
        model, lambda o, t: F.cross_entropy(o, t, reduction="none").mean((1, 2)), (x, y)
    )
    assert_close(diagonal(model, Categorical(), (x, y)), expected.flat())
    assert_close(diagonal(model, Categorical(axis=1), (x, y)), expected.flat())
    last = nn.Sequential(model, nn.Flatten(2), Transposed()).double()
    assert_close(diagonal(last, Categorical(), (x, y)), expected.flat())
    assert diagonal(model, Categorical(), (x, y), unit="token").n == y.numel()


class Transposed(nn.Module):
    def forward(self, x):
        return x.transpose(1, 2)


def test_an_axis_of_classes_that_does_not_show_is_asked_for():
    torch.manual_seed(0)
    model = nn.Conv1d(2, 4, 1).double()
    x, y = seeded(5, 2, 4), torch.arange(20).view(5, 4) % 4
    with pytest.raises(ValueError, match=r"Categorical\(axis=-1\) or Categorical\(axis=1\)"):
        diagonal(model, Categorical(), (x, y))
    expected = diagonal(model, lambda o, t: F.cross_entropy(o, t, reduction="none").mean(1), (x, y))
    assert_close(diagonal(model, Categorical(axis=1), (x, y)), expected.flat())
    with pytest.raises(ValueError, match=r"do not fit logits of 2 samples, 4 tokens and 3 classes"):
        diagonal(nn.Conv1d(2, 4, 1).double(), Categorical(), (seeded(5, 2, 3), y[:, :3]))


def test_outputs_without_classes_are_refused():
    class Flat(nn.Linear):
        def forward(self, x):
            return super().forward(x).flatten()

    with pytest.raises(ValueError, match=r"no axis of classes.*Bernoulli"):
        diagonal(Flat(3, 1), Categorical(), (torch.randn(6, 3), torch.ones(6).long()))


@pytest.mark.parametrize("kind", ["empirical", "exact"])
def test_one_logit_is_that_of_the_second_class(kind):
    torch.manual_seed(0)
    model, x, y = nn.Linear(3, 1).double(), seeded(6, 3), torch.arange(6) % 2
    found = diagonal(model, Categorical(), (x, y), kind=kind)
    expected = diagonal(model, Bernoulli(), (x, y.double()[:, None]), kind=kind)
    assert float(found.flat().min()) > 0
    assert_close(found, expected.flat())


def test_bernoulli_against_sums_over_both_labels():
    torch.manual_seed(0)
    model, x = nn.Linear(3, 2).double(), seeded(6, 3)
    y = (torch.arange(12).view(6, 2) % 3 == 0).double()
    given = F.binary_cross_entropy_with_logits(model(x), y, reduction="none").sum(1)
    assert_close(diagonal(model, Bernoulli(), (x, y)), slow(model, given, 6))
    losses, weights = [], []
    for logit in model(x).flatten():
        for label in (0.0, 1.0):
            losses.append(F.binary_cross_entropy_with_logits(logit, logit.new_tensor(label)))
            weights.append((-losses[-1]).exp())
    assert_close(
        diagonal(model, Bernoulli(), (x, None), kind="exact"), slow(model, losses, 6, weights)
    )
    drawn = diagonal(model, Bernoulli(), (x, None), kind="mc", draws=2000, seed=3)
    exact = diagonal(model, Bernoulli(), (x, None), kind="exact")
    assert drawn.n == 12000
    torch.testing.assert_close(drawn.flat(), exact.flat(), rtol=0.1, atol=0)


def test_bernoulli_of_outputs_without_a_component_axis():
    class Flat(nn.Linear):
        def forward(self, x):
            return super().forward(x).flatten()

    torch.manual_seed(0)
    model, x, y = Flat(3, 1).double(), seeded(6, 3), (torch.arange(6) % 2).double()
    losses = F.binary_cross_entropy_with_logits(model(x), y, reduction="none")
    assert_close(diagonal(model, Bernoulli(), (x, y)), slow(model, losses, 6))
    with pytest.raises(ValueError, match="do not fit outputs of"):
        diagonal(model, Bernoulli(), (x, torch.ones(6, 2)))


def tagger():
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(9, 4), nn.Tanh(), nn.Linear(4, 5)).double()


IDS = torch.arange(24).view(4, 6) % 9
LABELS = torch.arange(24).view(4, 6) % 5
MASK = torch.arange(24).view(4, 6) % 4 > 0


def token_losses(model):
    return F.cross_entropy(model(IDS).flatten(0, 1), LABELS.flatten(), reduction="none").view(4, 6)


@pytest.mark.parametrize("how", ["ignore_index", "other index", "mask"])
@pytest.mark.parametrize("micro_batch", [None, 1, 3])
def test_tokens_without_a_label_count_nowhere(how, micro_batch):
    model, likelihood = tagger(), Categorical()
    if how == "mask":
        targets = Masked(LABELS, MASK)
    else:
        ignored = -100 if how == "ignore_index" else 4242
        targets, likelihood = LABELS.where(MASK, ignored), Categorical(ignore_index=ignored)
    data, options = (IDS, targets), {"micro_batch": micro_batch}
    losses = token_losses(model)
    tokens = diagonal(model, likelihood, data, unit="token", **options)
    assert tokens.n == int(MASK.sum())
    assert_close(tokens, slow(model, losses[MASK], tokens.n))
    sequences = diagonal(model, likelihood, data, **options)
    assert sequences.n == 4
    means = torch.stack([row[mask].mean() for row, mask in zip(losses, MASK, strict=True)])
    assert_close(sequences, slow(model, means, 4))


@pytest.mark.parametrize("unit", ["sequence", "token"])
def test_expectations_and_draws_keep_to_the_tokens_with_a_label(unit):
    model, mask = tagger(), MASK
    targets = LABELS.where(mask, -100)
    logits = model(IDS)
    losses, weights = [], []
    for n in range(4):
        tokens = mask[n].nonzero().flatten()
        for t in tokens:
            for label in range(5):
                log_p = logits[n, t].log_softmax(0)[label]
                losses.append(log_p if unit == "token" else log_p / len(tokens))
                weights.append(log_p.detach().exp())
    count = int(mask.sum()) if unit == "token" else 4
    exact = diagonal(model, Categorical(), (IDS, targets), kind="exact", unit=unit)
    assert exact.n == count
    assert_close(exact, slow(model, losses, count, weights))
    drawn = diagonal(model, Categorical(), (IDS, targets), kind="mc", unit=unit, draws=400, seed=2)
    assert drawn.n == 400 * count
    assert float(drawn.flat().sum() / exact.flat().sum()) == pytest.approx(1, abs=0.15)
    unused = ~torch.isin(torch.arange(9), IDS[mask])
    assert not drawn["0.weight"][unused].any()


def test_a_sample_without_any_label_is_no_sample():
    model = tagger()
    targets = LABELS.clone()
    targets[2] = -100
    found = diagonal(model, Categorical(), (IDS, targets))
    kept = torch.tensor([0, 1, 3])
    expected = diagonal(model, Categorical(), (IDS[kept], LABELS[kept]))
    assert found.n == 3
    assert_close(found, expected.flat())
    with pytest.raises(ValueError, match="no token of the data has a label"):
        diagonal(model, Categorical(), (IDS, torch.full_like(LABELS, -100)))


def test_gaussian_with_masked_tokens():
    torch.manual_seed(0)
    model, x, y = nn.Linear(3, 2).double(), seeded(4, 5, 3), seeded(4, 5, 2)
    mask = torch.arange(20).view(4, 5) % 3 > 0
    losses = ((model(x) - y) / 0.5).square().sum(2) / 2
    means = torch.stack([row[m].mean() for row, m in zip(losses, mask, strict=True)])
    assert_close(diagonal(model, Gaussian(0.5), (x, Masked(y, mask))), slow(model, means, 4))


def test_a_tuple_of_outputs_has_no_likelihood():
    class Two(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    with pytest.raises(TypeError, match="returns a tuple"):
        diagonal(Two(3, 2), Categorical(), (torch.randn(4, 3), torch.zeros(4).long()))
