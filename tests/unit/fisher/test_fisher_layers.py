"""Cases that other packages get wrong, refuse or leave out, each against the definition."""

import pytest
import torch
from fisher_definition import assert_agrees, by_definition, wavy
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fimtiers.fisher import diagonal

CONVOLUTION = 1e-4
VECTORS = torch.randn(9, 6, generator=torch.Generator().manual_seed(1))
SEQUENCES = torch.randn(7, 5, 6, generator=torch.Generator().manual_seed(2))
TOKENS = torch.randint(0, 11, (6, 8), generator=torch.Generator().manual_seed(3))
IMAGES = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(4))


def no_fallback(result) -> None:
    assert not [r for r in result.routes.values() if r.startswith(("vmap", "loop"))]


class Lambda(nn.Module):
    """A module from a function of (self, input) and submodules or parameters."""

    def __init__(self, function, **parts) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def test_linear_and_layer_norm_on_sequences():
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3))
    no_fallback(assert_agrees(model, SEQUENCES))


def test_embedding_with_repeated_tokens():
    model = nn.Sequential(nn.Embedding(11, 6), nn.Linear(6, 4))
    no_fallback(assert_agrees(model, TOKENS))


@pytest.mark.parametrize("padding", [3, -1])
def test_embedding_padding_row_takes_no_gradient(padding):
    model = nn.Sequential(nn.Embedding(11, 6, padding_idx=padding), nn.Linear(6, 4))
    result = assert_agrees(model, TOKENS)
    no_fallback(result)
    assert not result["0.weight"][padding].any()


def test_tied_embedding_and_head():
    def forward(self, x):
        return F.linear(torch.tanh(self.table(x)), self.table.weight)

    result = assert_agrees(Lambda(forward, table=nn.Embedding(11, 6)), TOKENS)
    no_fallback(result)
    assert result.routes["table.weight"] == "embedding, linear"


def test_position_table_indexed_once_and_broadcast():
    def forward(self, x):
        return self.head(self.table(x) + self.position(torch.arange(x.shape[1])))

    model = Lambda(
        forward, table=nn.Embedding(11, 6), position=nn.Embedding(8, 6), head=nn.Linear(6, 3)
    )
    no_fallback(assert_agrees(model, TOKENS))


def test_linear_layer_used_three_times():
    def forward(self, x):
        return self.layer(torch.tanh(self.layer(torch.tanh(self.layer(x)))))

    result = assert_agrees(Lambda(forward, layer=nn.Linear(6, 6)), VECTORS)
    assert result.routes["layer.weight"] == "linear × 3"


def test_raw_parameters_as_scale_matrix_and_class_token():
    def forward(self, x):
        x = torch.cat([self.token.expand(len(x), -1, -1), x * self.scale], 1) + self.position
        return (x @ self.matrix).mean(1)

    model = Lambda(
        forward,
        token=nn.Parameter(torch.randn(1, 1, 6)),
        scale=nn.Parameter(torch.randn(6)),
        position=nn.Parameter(torch.randn(1, 6, 6)),
        matrix=nn.Parameter(torch.randn(6, 4)),
    )
    no_fallback(assert_agrees(model, SEQUENCES))


def test_transposed_weight_in_a_functional_call():
    model = Lambda(
        lambda self, x: F.linear(x, self.weight.t()), weight=nn.Parameter(torch.randn(6, 4))
    )
    no_fallback(assert_agrees(model, VECTORS))


def test_in_place_relu_directly_after_a_layer():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))
    no_fallback(assert_agrees(model, VECTORS))


def test_convolution_with_few_output_positions():
    model = nn.Sequential(nn.Conv2d(4, 6, 5), nn.ReLU(), nn.Conv2d(6, 3, 3), nn.Flatten())
    no_fallback(assert_agrees(model, IMAGES, tolerance=CONVOLUTION))


def test_grouped_and_dilated_convolution():
    model = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2, dilation=2, padding=2), nn.Flatten())
    no_fallback(assert_agrees(model, IMAGES, tolerance=CONVOLUTION))


def test_batch_norm_in_eval():
    model = nn.Sequential(
        nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 3)
    )
    model(IMAGES)
    no_fallback(assert_agrees(model.eval(), IMAGES, tolerance=CONVOLUTION))


def test_group_norm():
    model = nn.Sequential(nn.Conv2d(4, 6, 3), nn.GroupNorm(3, 6), nn.Flatten())
    no_fallback(assert_agrees(model, IMAGES, tolerance=CONVOLUTION))


@pytest.mark.parametrize("batch_first", [True, False])
def test_multihead_attention(batch_first):
    def forward(self, x):
        y = x if batch_first else x.transpose(0, 1)
        y = self.attention(y, y, y)[0]
        return y if batch_first else y.transpose(0, 1)

    model = Lambda(forward, attention=nn.MultiheadAttention(6, 2, batch_first=batch_first))
    no_fallback(assert_agrees(model, SEQUENCES))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_networks(kind):
    network = kind(6, 4, num_layers=2, bidirectional=True, batch_first=True)
    no_fallback(assert_agrees(Lambda(lambda self, x: self.net(x)[0], net=network), SEQUENCES))


# Further traps.


def test_class_token_and_position_table_of_one_sum_do_not_share_a_gradient():
    def forward(self, x):
        return self.head(torch.cat([self.token.expand(len(x), 1, -1), x], 1) + self.position)[:, 0]

    model = Lambda(
        forward,
        token=nn.Parameter(torch.randn(1, 1, 6)),
        position=nn.Parameter(torch.randn(1, 6, 6)),
        head=nn.Linear(6, 3),
    )
    no_fallback(assert_agrees(model, SEQUENCES))


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_over_one_to_three_axes(dimension, transposed):
    name = f"Conv{'Transpose' if transposed else ''}{dimension}d"
    options = {"output_padding": 1} if transposed else {}
    layer = getattr(nn, name)(4, 6, 3, stride=2, padding=1, dilation=2, groups=2, **options)
    images = torch.randn(3, 4, *(7, 6, 5)[:dimension])
    no_fallback(assert_agrees(nn.Sequential(layer, nn.Flatten()), images, tolerance=CONVOLUTION))


def test_same_padding_and_circular_padding():
    model = nn.Sequential(
        nn.Conv2d(4, 4, 4, padding="same"), nn.Conv2d(4, 2, 3, padding=1, padding_mode="circular")
    )
    no_fallback(assert_agrees(model, IMAGES, tolerance=CONVOLUTION))


def test_convolution_over_frames_folded_into_the_batch():
    def forward(self, x):
        frames = self.convolution(x.flatten(0, 1))
        return frames.unflatten(0, (len(x), -1)).flatten(1)

    model = Lambda(forward, convolution=nn.Conv2d(4, 3, 3))
    frames = torch.randn(4, 3, 4, 6, 6)
    no_fallback(assert_agrees(model, frames, tolerance=CONVOLUTION))


@pytest.mark.parametrize("norm", [nn.RMSNorm(8), nn.InstanceNorm1d(5, affine=True)])
def test_other_norms(norm):
    no_fallback(assert_agrees(nn.Sequential(nn.Linear(6, 8), norm, nn.Tanh()), SEQUENCES))


def test_conv1d_of_gpt2_which_folds_tokens_into_the_batch():
    def forward(self, x):
        return torch.addmm(self.bias, x.view(-1, 6), self.weight).view(*x.shape[:2], 4)

    model = Lambda(
        forward, weight=nn.Parameter(torch.randn(6, 4)), bias=nn.Parameter(torch.randn(4))
    )
    no_fallback(assert_agrees(model, SEQUENCES))


@pytest.mark.parametrize(
    ("equation", "shape"),
    [("bti,io->bto", (6, 4)), ("bti,tio->bto", (5, 6, 4)), ("oi,bti->bot", (4, 6)),
     ("bti,ihd->bhtd", (6, 2, 3))],
)  # fmt: skip
def test_einsum(equation, shape):
    def forward(self, x):
        return torch.einsum(
            equation, *((self.weight, x) if equation[0] == "o" else (x, self.weight))
        )

    model = Lambda(forward, weight=nn.Parameter(torch.randn(shape)))
    no_fallback(assert_agrees(model, SEQUENCES))


def test_matrix_on_the_left():
    model = Lambda(lambda self, x: self.mix @ x, mix=nn.Parameter(torch.randn(3, 5)))
    no_fallback(assert_agrees(model, SEQUENCES))


def test_one_weight_cut_into_three():
    def forward(self, x):
        q, k, v = (F.linear(x, w) for w in self.weight.chunk(3))
        return F.scaled_dot_product_attention(q, k, v)

    no_fallback(assert_agrees(Lambda(forward, weight=nn.Parameter(torch.randn(18, 6))), SEQUENCES))


def test_experts_with_gathered_tokens():
    def forward(self, x):
        tokens = x.reshape(-1, 6)
        expert = (tokens @ self.router).argmax(1)
        out = torch.zeros(len(tokens), 4, dtype=x.dtype)
        for e in range(3):
            rows = torch.where(expert == e)[0]
            out = out.index_add(0, rows, torch.tanh(tokens[rows] @ self.weight[e] + self.bias[e]))
        return out.view(*x.shape[:2], 4)

    model = Lambda(
        forward,
        weight=nn.Parameter(torch.randn(3, 6, 4)),
        bias=nn.Parameter(torch.randn(3, 4)),
    )
    model.register_buffer("router", torch.randn(6, 3))
    no_fallback(assert_agrees(model, torch.randn(40, 5, 6), micro_batch=37))


def test_selective_scan():
    def forward(self, x):
        step = F.softplus(x @ self.step_weight + self.step_bias)
        decay = torch.exp(step.unsqueeze(-1) * -torch.exp(self.log_rate))
        source = (step * x).unsqueeze(-1) * (x @ self.read).unsqueeze(2)
        state, outputs = torch.zeros_like(source[:, 0]), []
        for t in range(x.shape[1]):
            state = decay[:, t] * state + source[:, t]
            outputs.append((state * (x[:, t] @ self.write).unsqueeze(1)).sum(-1))
        return torch.stack(outputs, 1) + x * self.skip

    model = Lambda(
        forward,
        step_weight=nn.Parameter(torch.randn(6, 6)),
        step_bias=nn.Parameter(torch.randn(6)),
        log_rate=nn.Parameter(torch.randn(6, 3)),
        read=nn.Parameter(torch.randn(6, 3)),
        write=nn.Parameter(torch.randn(6, 3)),
        skip=nn.Parameter(torch.randn(6)),
    )
    no_fallback(assert_agrees(model, SEQUENCES))


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell])
def test_recurrent_cells_in_a_loop(kind):
    def forward(self, x):
        state = None
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
        return state[0] if isinstance(state, tuple) else state

    no_fallback(assert_agrees(Lambda(forward, cell=kind(6, 4)), SEQUENCES))


def test_weight_norm_and_low_rank_updates_are_pulled_back_through_the_weight():
    def forward(self, x):
        return self.normed(x) + F.linear(x, self.base + self.up @ self.down)

    model = Lambda(
        forward,
        normed=nn.utils.parametrizations.weight_norm(nn.Linear(6, 4)),
        base=nn.Parameter(torch.randn(4, 6)),
        up=nn.Parameter(torch.randn(4, 2)),
        down=nn.Parameter(torch.randn(2, 6)),
    )
    no_fallback(assert_agrees(model, SEQUENCES))


def test_prelu():
    model = nn.Sequential(nn.Conv2d(4, 6, 3), nn.PReLU(6), nn.Flatten())
    no_fallback(assert_agrees(model, IMAGES, tolerance=CONVOLUTION))


def test_a_function_without_a_rule_goes_to_vmap_and_says_so():
    model = Lambda(
        lambda self, x: torch.special.xlog1py(self.layer(x), self.weight.abs()),
        layer=nn.Linear(6, 6),
        weight=nn.Parameter(torch.rand(6)),
    )
    result = assert_agrees(model, VECTORS)
    assert result.routes["weight"] == "vmap (no rule for special_xlog1py)"
    assert result.routes["layer.weight"] == "linear"


def test_what_vmap_cannot_do_goes_to_the_loop_and_says_so():
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g

    model = Lambda(
        lambda self, x: x * Doubled.apply(self.weight), weight=nn.Parameter(torch.randn(6))
    )
    result = assert_agrees(model, VECTORS)
    assert result.routes["weight"].startswith("loop (vmap: ")


def test_unused_parameters_have_zero_fisher():
    model = Lambda(lambda self, x: self.used(x), used=nn.Linear(6, 2), spare=nn.Linear(3, 3))
    result = assert_agrees(model, VECTORS)
    assert result.routes["spare.weight"] == "unused"
    assert result.zeros["spare.weight"] == 9


def test_a_frozen_parameter_is_left_out_and_a_choice_is_kept():
    model = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2))
    model[0].bias.requires_grad_(False)
    assert "0.bias" not in diagonal(model, wavy, (VECTORS, None)).sums
    chosen = diagonal(model, wavy, (VECTORS, None), parameters=["1.weight"])
    assert list(chosen.sums) == ["1.weight"]


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    before = [p.clone() for p in model.parameters()]
    diagonal(model, wavy, (VECTORS, None))
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert model.training


def test_many_samples_and_wide_layers_take_the_compiled_kernels():
    model = nn.Sequential(
        nn.Linear(6, 70), nn.ReLU(), nn.Linear(70, 40), nn.Tanh(), nn.Linear(40, 33)
    )
    assert_agrees(model, torch.randn(501, 6))
    tokens = nn.Sequential(nn.Linear(6, 70), nn.ReLU(), nn.Linear(70, 39), nn.LayerNorm(39))
    assert_agrees(tokens, torch.randn(33, 15, 6))
    images = nn.Sequential(
        nn.Conv2d(4, 18, 3), nn.ReLU(), nn.Conv2d(18, 21, 3, padding=1, stride=2)
    )
    assert_agrees(images, torch.randn(21, 4, 13, 13), tolerance=CONVOLUTION)


def test_activation_checkpointing_changes_nothing():
    from torch.utils.checkpoint import checkpoint

    inner = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 6))
    model = Lambda(
        lambda self, x: self.head(checkpoint(self.inner, self.stem(x), use_reentrant=False)),
        stem=nn.Linear(6, 6),
        inner=inner,
        head=nn.Linear(6, 2),
    )
    no_fallback(assert_agrees(model, SEQUENCES))


def test_the_batch_size_does_not_matter():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    whole = diagonal(model.double(), wavy, (VECTORS.double(), None))
    for size in (1, 2, 4):
        parts = diagonal(model, wavy, (VECTORS.double(), None), micro_batch=size)
        torch.testing.assert_close(parts.flat(), whole.flat(), rtol=1e-12, atol=0)
    expected = by_definition(model, wavy, VECTORS, None)
    torch.testing.assert_close(whole["0.weight"], expected["0.weight"], rtol=1e-12, atol=0)
