"""Embedding bags of every kind against the definition: float64, to 1e-10."""

import pytest
import torch
from fisher_definition import by_definition, wavy
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fimtiers.fisher import Diagonal, diagonal

ROWS, WIDTH, PADDING = 7, 3, 2
TOKENS = torch.randint(0, ROWS, (7, 4), generator=torch.Generator().manual_seed(0))
TOKENS[0] = TOKENS[0, 0]
TOKENS[1, :2] = PADDING
SPLITS = [[1], [2], [7], [2, 2, 2, 1], [1, 2, 4], [5, 2]]
MODES = ["sum", "mean", "max"]


def assert_exact(model: nn.Module, inputs: Tensor = TOKENS, splits=SPLITS) -> Diagonal:
    """Check batches of several sizes against the definition, and that no fallback was needed."""
    model = model.double()
    for sizes in splits:
        batches = inputs[: sum(sizes)].split(sizes)
        expected = by_definition(model, wavy, inputs[: sum(sizes)], None)
        result = diagonal(model, wavy, [(batch, None) for batch in batches])
        for name, reference in expected.items():
            error = torch.linalg.vector_norm(result[name] - reference)
            assert error <= 1e-10 * torch.linalg.vector_norm(reference), (sizes, name, error)
        slow = [r for r in result.routes.values() if r.startswith(("vmap", "loop"))]
        assert not slow, result.routes
    return result


class Bag(nn.Module):
    """An embedding bag, called by a function of (bag, tokens), and a head."""

    def __init__(self, call=None, **options) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(ROWS, WIDTH, **options)
        self.call = call or (lambda bag, tokens: bag(tokens))
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(torch.tanh(self.call(self.bag, tokens)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [None, PADDING, PADDING - ROWS])
def test_bags_of_one_size(mode, padding):
    result = assert_exact(Bag(mode=mode, padding_idx=padding))
    assert result.routes["bag.weight"] == "embedding_bag"
    if padding is not None:
        assert not result["bag.weight"][padding].any()


def ragged(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Return tokens in a row, and where those of each sample begin; some samples have none."""
    kept = tokens >= tokens[:, :1]
    kept[:, 0] = tokens[:, 1] != 4
    kept[:, 1:] &= kept[:, :1]
    sizes = kept.sum(1)
    return tokens[kept], sizes.cumsum(0) - sizes


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [None, PADDING])
def test_bags_of_several_sizes(mode, padding):
    def call(bag, tokens):
        return bag(*ragged(tokens))

    assert any(len(ragged(TOKENS[n : n + 1])[0]) == 0 for n in range(len(TOKENS)))
    assert_exact(Bag(call, mode=mode, padding_idx=padding))


@pytest.mark.parametrize("mode", MODES)
def test_offsets_with_the_last_one(mode):
    def call(bag, tokens):
        flat, offsets = ragged(tokens)
        return bag(flat, torch.cat([offsets, offsets.new_tensor([len(flat)])]))

    assert_exact(Bag(call, mode=mode, include_last_offset=True))


@pytest.mark.parametrize("padding", [None, PADDING])
@pytest.mark.parametrize("flat", [True, False])
def test_weights_of_tokens(flat, padding):
    def call(bag, tokens):
        if not flat:
            return bag(tokens, per_sample_weights=torch.sin(tokens.double() + 1))
        flattened, offsets = ragged(tokens)
        return bag(flattened, offsets, torch.cos(flattened.double()))

    assert_exact(Bag(call, mode="sum", padding_idx=padding))


def test_weights_of_tokens_that_are_computed():
    class Weighted(Bag):
        def __init__(self) -> None:
            super().__init__(mode="sum")
            self.score = nn.Linear(1, 1)

        def forward(self, tokens: Tensor) -> Tensor:
            weights = self.score(tokens.double().unsqueeze(-1)).sigmoid().squeeze(-1)
            return self.head(torch.tanh(self.bag(tokens, per_sample_weights=weights)))

    assert_exact(Weighted())


@pytest.mark.parametrize("mode", MODES)
def test_several_bags_of_a_sample(mode):
    def call(bag, tokens):
        return bag(tokens.view(-1, 2)).unflatten(0, (len(tokens), 2))

    assert_exact(Bag(call, mode=mode))


@pytest.mark.parametrize("mode", MODES)
def test_bags_gathered_by_a_mask(mode):
    def call(bag, tokens):
        kept = torch.ones(len(tokens), 2, dtype=torch.bool)
        kept[:, 1] = tokens[:, 0] > 3
        found = torch.tanh(bag(tokens.view(-1, 2, 2)[kept]))
        placed = found.new_zeros(*kept.shape, WIDTH)
        return placed.masked_scatter(kept.unsqueeze(2), found)

    assert_exact(Bag(call, mode=mode))


@pytest.mark.parametrize("mode", MODES)
def test_as_many_tokens_as_samples_and_as_many_rows(mode):
    assert_exact(Bag(mode=mode), TOKENS[:4], splits=[[4], [2, 2], [3, 1]])
    assert_exact(Bag(mode=mode), TOKENS[:, :1])


def test_bag_of_a_table_that_is_sparse():
    assert_exact(Bag(mode="sum", sparse=True))


@pytest.mark.parametrize("mode", MODES)
def test_table_shared_with_an_embedding_and_a_head(mode):
    class Shared(Bag):
        def forward(self, tokens: Tensor) -> Tensor:
            mixed = torch.tanh(self.bag(tokens)) + F.embedding(tokens[:, 0], self.bag.weight)
            return F.linear(mixed, self.bag.weight)

    model = Shared(mode=mode)
    del model.head
    routes = assert_exact(model).routes
    assert routes == {"bag.weight": "embedding, embedding_bag, linear"}


def test_scaled_table():
    def call(bag, tokens):
        return F.embedding_bag(tokens, bag.weight * 0.5, mode="mean")

    assert_exact(Bag(call))


def test_float32_squares_of_small_gradients():
    model = Bag(mode="mean")
    exact = by_definition(model, lambda o, t: 1e-18 * wavy(o, t), TOKENS, None)
    result = diagonal(model, lambda o, t: 1e-18 * wavy(o, t), (TOKENS, None))
    for name, reference in exact.items():
        assert torch.allclose(result[name], reference, rtol=1e-4, atol=0)
