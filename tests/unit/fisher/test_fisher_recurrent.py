"""Recurrent networks, packed and not, against the definition: float64, to 1e-10."""

import copy

import pytest
import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from fimtiers.fisher import Diagonal, Extractor, diagonal

WIDTH, LENGTH, SAMPLES = 3, 5, 7
RANDOM = torch.Generator().manual_seed(0)
SEQUENCES = torch.randn(SAMPLES, LENGTH, WIDTH, generator=RANDOM, dtype=torch.float64)
TOKENS = torch.randint(0, 6, (SAMPLES, LENGTH), generator=RANDOM)
LENGTHS = torch.tensor([2, 5, 1, 4, 4, 3, 1])
SPLITS = [[1], [2], [7], [2, 2, 2, 1], [1, 4, 2], [5, 2]]
KINDS = [nn.LSTM, nn.GRU, nn.RNN]

Inputs = tuple[Tensor, Tensor]


def loss(outputs: Tensor, _) -> Tensor:
    return (torch.linspace(0.5, 1.5, outputs[0].numel(), dtype=outputs.dtype)
            * (outputs.square() + outputs.sin()).flatten(1)).mean(1)  # fmt: skip


def by_definition(model: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    model, (data, lengths) = copy.deepcopy(model), inputs
    parameters = dict(model.named_parameters())
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for n in range(len(data)):
        one = slice(n, n + 1)
        value = loss(model(data[one], lengths[one]), None).sum()
        gradients = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
        for name, gradient in zip(total, gradients, strict=True):
            if gradient is not None:
                total[name] += gradient.square()
    return {name: t / len(data) for name, t in total.items()}


def assert_exact(model: nn.Module, data=SEQUENCES, lengths=LENGTHS, splits=SPLITS) -> Diagonal:
    """Check batches of several sizes against the definition, and that no fallback was needed."""
    model = model.double()
    for sizes in splits:
        number = sum(sizes)
        expected = by_definition(model, (data[:number], lengths[:number]))
        parts = zip(data[:number].split(sizes), lengths[:number].split(sizes), strict=True)
        batches = [(part, None) for part in parts]
        for result in (diagonal(model, loss, batches), _second(model, batches)):
            for name, reference in expected.items():
                error = torch.linalg.vector_norm(result[name] - reference)
                assert error <= 1e-10 * torch.linalg.vector_norm(reference), (sizes, name, error)
            slow = [r for r in result.routes.values() if r.startswith(("vmap", "loop"))]
            assert not slow, result.routes
    return result


def _second(model: nn.Module, batches) -> Diagonal:
    extract = Extractor(model, loss)
    extract(batches)
    return extract(batches)


class Packed(nn.Module):
    """A recurrent network on packed sequences, and a head on what it gives."""

    def __init__(self, kind, returns="outputs", is_sorted=False, **options) -> None:
        super().__init__()
        options = {"batch_first": True, **options}
        self.network = kind(WIDTH, 4, **options)
        directions = 2 if self.network.bidirectional else 1
        self.head = nn.Linear(4 * directions, 2)
        self.returns, self.is_sorted = returns, is_sorted

    def forward(self, data: Tensor, lengths: Tensor) -> Tensor:
        first = self.network.batch_first
        data = data if first else data.transpose(0, 1)
        packed = pack_padded_sequence(data, lengths, first, enforce_sorted=self.is_sorted)
        outputs, state = self.network(packed)
        if self.returns == "state":
            states = state if isinstance(state, tuple) else (state,)
            directions = 2 if self.network.bidirectional else 1
            last = sum(states)[-directions:]
            return self.head(torch.cat(list(last), -1))
        padded, _ = pad_packed_sequence(outputs, first, total_length=LENGTH)
        return self.head(padded if first else padded.transpose(0, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("returns", ["outputs", "state"])
def test_packed_sequences(kind, returns):
    result = assert_exact(Packed(kind, returns))
    name = {nn.LSTM: "lstm", nn.GRU: "gru", nn.RNN: "rnn_tanh"}[kind]
    assert {r for n, r in result.routes.items() if n.startswith("network")} == {name}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("returns", ["outputs", "state"])
def test_packed_sequences_in_both_directions_and_two_layers(kind, returns):
    assert_exact(Packed(kind, returns, num_layers=2, bidirectional=True))


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_without_biases_and_time_first(kind):
    assert_exact(Packed(kind, bias=False, batch_first=False, bidirectional=True))


def test_packed_sequences_with_rectified_states():
    result = assert_exact(Packed(nn.RNN, "state", nonlinearity="relu"))
    assert result.routes["network.weight_hh_l0"] == "rnn_relu"


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_sorted_before(kind):
    lengths, order = LENGTHS.sort(descending=True)
    splits = [[1], [7], [3, 4], [2, 2, 3]]
    assert_exact(Packed(kind, is_sorted=True), SEQUENCES[order], lengths, splits)


@pytest.mark.parametrize("kind", KINDS)
def test_all_sequences_of_one_token_or_of_one_length(kind):
    model = Packed(kind, "state", bidirectional=True)
    assert_exact(model, lengths=torch.ones(SAMPLES, dtype=torch.long))
    assert_exact(model, lengths=torch.full((SAMPLES,), LENGTH))


def test_as_many_steps_as_samples():
    assert_exact(Packed(nn.GRU), SEQUENCES[:5], LENGTHS[:5], splits=[[5], [2, 3]])


@pytest.mark.parametrize("embed_packed", [True, False])
def test_embedding_before_and_after_packing(embed_packed):
    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(6, WIDTH, padding_idx=0)
            self.network = nn.LSTM(WIDTH, 4, bidirectional=True, batch_first=True)

        def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
            data = tokens if embed_packed else self.table(tokens)
            packed = pack_padded_sequence(data, lengths, True, enforce_sorted=False)
            if embed_packed:
                packed = PackedSequence(self.table(packed.data), *packed[1:])
            return self.network(packed)[1][0].transpose(0, 1)

    assert_exact(Embedded(), TOKENS)


def test_two_networks_in_a_row_share_one_packing():
    class Stacked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.GRU(WIDTH, 4, bidirectional=True, batch_first=True)
            self.between = nn.Linear(8, 5)
            self.second = nn.LSTM(5, 3, batch_first=True)

        def forward(self, data: Tensor, lengths: Tensor) -> Tensor:
            packed = pack_padded_sequence(data, lengths, True, enforce_sorted=False)
            packed = self.first(packed)[0]
            packed = PackedSequence(torch.tanh(self.between(packed.data)), *packed[1:])
            return self.second(packed)[1][0].transpose(0, 1)

    assert_exact(Stacked())


def test_one_network_on_two_packings():
    class Twice(Packed):
        def forward(self, data: Tensor, lengths: Tensor) -> Tensor:
            return super().forward(data, lengths) + super().forward(data.flip(0).flip(0), lengths)

    assert_exact(Twice(nn.GRU, "state"))


def test_learned_and_given_first_states():
    class Started(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.start = nn.Parameter(torch.randn(2, 1, 4))
            self.network = nn.LSTM(WIDTH, 4, bidirectional=True, batch_first=True)

        def forward(self, data: Tensor, lengths: Tensor) -> Tensor:
            h = self.start.expand(-1, len(data), -1).contiguous()
            c = data[:, :2].sum(2).t()[..., None].expand(-1, -1, 4).contiguous()
            packed = pack_padded_sequence(data, lengths, True, enforce_sorted=False)
            return self.network(packed, (h, c))[1][1].transpose(0, 1)

    assert_exact(Started())


def test_samples_along_another_axis_than_that_packed():
    class Crossed(nn.Module):
        """Packs steps as if they were sequences, and samples as if they were steps."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(WIDTH, 4)

        def forward(self, data: Tensor, lengths: Tensor) -> Tensor:
            whole = torch.full((data.shape[1],), len(data))
            packed = pack_padded_sequence(data, whole, batch_first=False)
            rows = torch.tanh(self.layer(packed.data))
            return rows.unflatten(0, (len(data), -1))

    for number in (LENGTH, 2):
        assert_exact(Crossed(), SEQUENCES, splits=[[number], [2, number], [number, 2]])
        assert_exact(Crossed(), SEQUENCES[:, :2], splits=[[2], [2, 2, 3]])


class Plain(nn.Module):
    """A recurrent network on sequences of one length."""

    def __init__(self, kind, **options) -> None:
        super().__init__()
        self.network = kind(WIDTH, 4, **options)

    def forward(self, data: Tensor, lengths: Tensor) -> Tensor:
        if self.network.batch_first:
            return self.network(data)[0]
        return self.network(data.transpose(0, 1))[0].transpose(0, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_sequences_of_one_length(kind, batch_first, bias):
    model = Plain(kind, batch_first=batch_first, bias=bias, num_layers=2, bidirectional=True)
    assert_exact(model)
    assert_exact(model, SEQUENCES[:, :1])
    assert_exact(model, SEQUENCES[:5], splits=[[5], [2, 3]])


def test_weights_made_of_other_parameters():
    class Made(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inputs = nn.Parameter(torch.randn(WIDTH, 12))
            self.up, self.down = nn.Parameter(torch.randn(12, 2)), nn.Parameter(torch.randn(2, 4))

        def forward(self, data: Tensor, lengths: Tensor) -> Tensor:
            weights = [self.inputs.t(), self.up.sin() @ self.down]
            start = data.new_zeros(1, len(data), 4)
            return torch.gru(data, start, weights, False, 1, 0.0, False, False, True)[0]

    assert_exact(Made())


def test_some_weights_frozen():
    model = Plain(nn.LSTM, batch_first=True).double()
    model.network.weight_ih_l0.requires_grad_(False)
    model.network.bias_hh_l0.requires_grad_(False)
    result = diagonal(model, loss, ((SEQUENCES, LENGTHS), None))
    model.network.weight_ih_l0.requires_grad_(True)
    model.network.bias_hh_l0.requires_grad_(True)
    expected = by_definition(model, (SEQUENCES, LENGTHS))
    assert set(result.sums) == {"network.weight_hh_l0", "network.bias_ih_l0"}
    for name in result.sums:
        assert torch.allclose(result[name], expected[name], rtol=1e-10)


def test_network_used_twice():
    class Twice(Plain):
        def forward(self, data: Tensor, lengths: Tensor) -> Tensor:
            return super().forward(data, lengths) * super().forward(data.flip(1), lengths)

    assert_exact(Twice(nn.LSTM, batch_first=True))


def test_two_packings_of_as_many_rows():
    class Pair(nn.Module):
        """Packs two orders of the same lengths before either of them is used."""

        def __init__(self) -> None:
            super().__init__()
            self.network = nn.GRU(WIDTH, 4, batch_first=True)

        def forward(self, data: Tensor, lengths: Tensor) -> Tensor:
            other = (lengths * 2) % 5 + 1
            packed = [
                pack_padded_sequence(data, those, True, enforce_sorted=False)
                for those in (lengths, other)
            ]
            first, second = (self.network(one)[1].transpose(0, 1) for one in packed)
            return first * second

    lengths = torch.tensor([2, 5, 1, 3, 4, 4, 2])
    equal = [n for n in range(2, 8) if lengths[:n].sum() == ((lengths[:n] * 2) % 5 + 1).sum()]
    assert equal  # in some batches only
    splits = [[7], *([n] for n in equal), [2, equal[-1]], [3, 4]]
    assert_exact(Pair(), lengths=torch.cat([lengths, lengths]), data=torch.cat([SEQUENCES] * 2),
                 splits=[s for s in splits if sum(s) <= 14])  # fmt: skip


def test_layer_on_packed_rows_and_on_rows_picked_by_a_mask():
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(WIDTH, 4)

        def forward(self, data: Tensor, lengths: Tensor) -> Tensor:
            packed = pack_padded_sequence(data, lengths, True, enforce_sorted=False)
            rows = PackedSequence(torch.tanh(self.layer(packed.data)), *packed[1:])
            padded, _ = pad_packed_sequence(rows, True, total_length=LENGTH)
            valid = torch.arange(LENGTH) < lengths[:, None]
            picked = torch.sin(self.layer(data[valid]))
            return padded + padded.new_zeros(padded.shape).masked_scatter(valid[..., None], picked)

    assert_exact(Both())


def test_packed_sequences_under_activation_checkpointing():
    class Checkpointed(Packed):
        def forward(self, data: Tensor, lengths: Tensor) -> Tensor:
            run = super().forward
            return torch.utils.checkpoint.checkpoint(run, data, lengths, use_reentrant=False)

    assert_exact(Checkpointed(nn.LSTM), splits=[[7], [2, 5]])
