"""Tables looked up by index, one row for each word or a sum over a bag of words."""

import torch
from conformance_draws import Draws
from conformance_layouts import LEADING, Placed, leading
from torch import Tensor, nn

Made = tuple[nn.Module, list[Tensor]]


def embedding(d: Draws) -> Made:
    rows, width = d.choice(1, 2, 4, 12), d.length()
    options = d.choice({}, {}, {"scale_grad_by_freq": True}, {"sparse": True})
    layer = nn.Embedding(rows, width, padding_idx=d.choice(None, 0, -1), **options)
    layout = d.choice(*LEADING)
    item = d.choice((), (d.length(),))
    return Placed(layer, layout), [d.below(rows, *leading(layout, d.samples, d.tokens(), item))]


class Bags(nn.Module):
    """A pooled table whose bags are rows of a matrix, or stretches of a vector."""

    def __init__(self, layer: nn.EmbeddingBag, stretches: bool, weighted: bool) -> None:
        super().__init__()
        self.layer, self.stretches, self.weighted = layer, stretches, weighted

    def forward(self, words: Tensor, weights: Tensor) -> Tensor:
        """Return one row per bag of words, shape (sample, word)."""
        scales = weights if self.weighted else None
        if not self.stretches:
            return self.layer(words, per_sample_weights=scales)
        ends = len(words) + self.layer.include_last_offset
        offsets = torch.arange(ends, device=words.device) * words.shape[1]
        flat = None if scales is None else scales.flatten()
        return self.layer(words.flatten(), offsets, flat)


def embedding_bag(d: Draws) -> Made:
    rows, mode = d.choice(1, 2, 4, 12), d.choice("sum", "mean", "max")
    stretches = d.yes()
    layer = nn.EmbeddingBag(
        rows, d.length(), mode=mode, padding_idx=d.choice(None, None, 0),
        include_last_offset=stretches and d.yes(), sparse=mode != "max" and d.yes(),
    )  # fmt: skip
    shape = d.samples, d.length()
    model = Bags(layer, stretches, weighted=mode == "sum" and d.yes())
    return model, [d.below(rows, *shape), d.normal(*shape)]


TABLES = {"Embedding": embedding, "EmbeddingBag": embedding_bag}
