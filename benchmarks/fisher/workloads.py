"""Models and data of the benchmark: one function per workload, all with the same loss.

Weights and data are random. The loss of a sample is its cross-entropy, the mean over tokens if it
has several; a classification loss is the one that every peer supports.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, relu, scaled_dot_product_attention


@dataclass(frozen=True)
class Workload:
    """Networks, data, and how much of it the slow methods get.

    Attributes
    ----------
    title
        For the table and the figure.
    models
        One network, or several of one architecture that share the data.
    inputs, targets
        First axis is the sample.
    few
        Number of samples for methods that would take minutes for all.
    target
        Required ratio of CPU time per prepared call to the plain pass, if there is one.
    first
        The same of a first call.
    peers
        Peers that take part, all if None: what a large model has memory and time for.
    rounds
        Rounds, if there are others than of most workloads.
    """

    title: str
    models: Sequence[nn.Module]
    inputs: Tensor
    targets: Tensor
    few: int
    target: float | None = None
    first: float | None = None
    peers: Sequence[str] | None = None
    rounds: int | None = None


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each sample, mean over its tokens: shape (sample,)."""
    classes_second = outputs.movedim(-1, 1)
    losses = cross_entropy(classes_second, targets, reduction="none")
    return losses.reshape(len(targets), -1).mean(1)


def small_mlp() -> Workload:
    x, y = torch.randn(1000, 16), _labels(16, 1000, 1)
    return Workload("MLP 16–64×6–16, 1000 samples", [_mlp([16, *[64] * 6, 16])], x, y, 1000, 1.25)


def wide_mlp() -> Workload:
    x, y = torch.randn(512, 1024), _labels(1024, 512, 1)
    return Workload("MLP 1024×4, 512 samples", [_mlp([1024] * 5)], x, y, 16, 1.10)


def resnet() -> Workload:
    x, y = torch.randn(64, 3, 32, 32), _labels(10, 64, 1)
    return Workload("ResNet-18, 64 images of 32×32", [ResNet18().eval()], x, y, 8, 1.10)


def gpt() -> Workload:
    x, y = _labels(2048, 32, 128), _labels(2048, 32, 128)
    model = Transformer(nn.Embedding(2048, 256), 256, 4, 128, 2048, causal=True)
    return Workload("GPT 4×256, 32 sequences of 128", [model], x, y, 8, 1.05)


def vit() -> Workload:
    x, y = torch.randn(32, 64, 48), _labels(10, 32, 1)
    model = ViT(patch=48, width=192, layers=6, patches=64, classes=10)
    return Workload("ViT 6×192, 32 images of 65 tokens", [model], x, y, 16, 1.10)


def gpt2_block() -> Workload:
    x, y = _labels(512, 8, 128), _labels(512, 8, 128)
    return Workload("GPT-2 block of 768, 8 sequences of 128", [GPT2Block()], x, y, 8, 1.05)


def experts() -> Workload:
    x, y = torch.randn(16, 64, 256), _labels(16, 16, 64)
    return Workload(
        "Mixture of 8 experts, 16 sequences of 64", [Experts(256, 512, 8, 16)], x, y, 8, 1.60
    )


def ensemble() -> Workload:
    x, y = torch.randn(1000, 16), _labels(16, 1000, 1)
    models = [_mlp([16, *[64] * 6, 16]) for _ in range(20)]
    return Workload("20 stacked MLPs 16–64×6–16, 1000 samples", models, x, y, 1000, 1.05)


def llama(tokens: int, tied: bool) -> Workload:
    x, y = _labels(LLAMA_WORDS, 8, tokens), _labels(LLAMA_WORDS, 8, tokens)
    title = f"{'Tied' if tied else 'Untied'} Llama 30×576 at {tokens} tokens, 8 sequences"
    return Workload(
        title, [Llama(tied)], x, y, 8, 1.15, first=1.35, peers=("loop", "vmap, chunks of 8"),
        rounds=3,
    )  # fmt: skip


WORKLOADS: dict[str, Callable[[], Workload]] = {
    make.__name__: make
    for make in (small_mlp, wide_mlp, resnet, gpt, vit, gpt2_block, experts, ensemble)
} | {
    f"llama_{'tied' if tied else 'untied'}_{tokens}": partial(llama, tokens, tied)
    for tied in (True, False)
    for tokens in (64, 256)
}


def _labels(classes: int, samples: int, tokens: int) -> Tensor:
    shape = (samples, tokens) if tokens > 1 else (samples,)
    return torch.randint(0, classes, shape)


def _mlp(widths: Sequence[int]) -> nn.Module:
    layers: list[nn.Module] = []
    for i, o in pairwise(widths):
        layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Residual(nn.Module):
    """Two 3×3 convolutions with batch norm beside a shortcut (He et al. 2016, figure 5)."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outer)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            project = nn.Conv2d(inner, outer, 1, stride, bias=False)
            self.shortcut = nn.Sequential(project, nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of images (B, C, H, W)."""
        inside = self.norm2(self.conv2(relu(self.norm1(self.conv1(x)))))
        return relu(inside + self.shortcut(x))


class ResNet18(nn.Sequential):
    """ResNet-18 for images of 32×32 pixels: 3×3 stem, no pooling before the last layer."""

    def __init__(self) -> None:
        stem = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
        blocks = [
            Residual(inner, outer, stride)
            for a, b, s in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
            for inner, outer, stride in ((a, b, s), (b, b, 1))
        ]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)]
        super().__init__(*stem, *blocks, *head)


class Block(nn.Module):
    """A pre-norm transformer block with four heads."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        """Return new states of tokens (B, T, width)."""
        heads = self.qkv(self.norm1(x)).unflatten(2, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(heads[0], heads[1], heads[2], is_causal=self.causal)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """Embedding, position table as a broadcast parameter, blocks, and a head on every token."""

    def __init__(
        self, embed: nn.Module, width: int, layers: int, tokens: int, classes: int, causal: bool
    ) -> None:
        super().__init__()
        self.embed = embed
        self.position = nn.Parameter(0.02 * torch.randn(1, tokens, width))
        self.blocks = nn.Sequential(*[Block(width, causal) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, T, classes) of tokens."""
        return self.head(self.norm(self.blocks(self.embed(x) + self.position)))


class ViT(nn.Module):
    """A vision transformer with a class token, fed with flattened patches."""

    def __init__(self, patch: int, width: int, layers: int, patches: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(patch, width)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.position = nn.Parameter(0.02 * torch.randn(1, patches + 1, width))
        self.blocks = nn.Sequential(*[Block(width, causal=False) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, classes) of patches (B, T, patch)."""
        x = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x)], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


class GPT2Block(nn.Module):
    """One layer of GPT-2 as in `transformers`: its `Conv1D`, a tied head, few words."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(
            n_layer=1, n_embd=768, n_head=12, vocab_size=512, n_positions=128, use_cache=False,
            bos_token_id=0, eos_token_id=0, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        )  # fmt: skip
        self.gpt = GPT2LMHeadModel(config)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (B, T, word) of words (B, T)."""
        return self.gpt(input_ids=tokens).logits


LLAMA_WORDS = 49152
"""Size of the vocabulary of SmolLM2-135M."""


class Llama(nn.Module):
    """A Llama of the shape of SmolLM2-135M (Allal et al. 2025), head tied to the table or not.

    30 layers of width 576; three heads of keys and values serve nine of queries.
    """

    def __init__(self, tied: bool) -> None:
        super().__init__()
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            num_hidden_layers=30, hidden_size=576, intermediate_size=1536, num_attention_heads=9,
            num_key_value_heads=3, vocab_size=LLAMA_WORDS, max_position_embeddings=8192,
            rms_norm_eps=1e-5, tie_word_embeddings=tied, use_cache=False, bos_token_id=0,
            eos_token_id=0,
        )  # fmt: skip
        self.llama = LlamaForCausalLM(config)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (B, T, word) of words (B, T)."""
        return self.llama(input_ids=tokens).logits


class Experts(nn.Module):
    """Tokens gathered by the two experts that a router prefers, then a head on every token."""

    def __init__(self, width: int, hidden: int, experts: int, classes: int) -> None:
        super().__init__()
        self.norm, self.router = nn.LayerNorm(width), nn.Linear(width, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
            for _ in range(experts)
        )
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, T, classes) of tokens (B, T, width)."""
        rows = self.norm(x).flatten(0, 1)
        weight, choice = self.router(rows).softmax(-1).topk(2)
        mixed = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            row, rank = torch.where(choice == number)
            mixed = mixed.index_add(0, row, weight[row, rank, None] * expert(rows[row]))
        return self.head(x + mixed.view_as(x))
