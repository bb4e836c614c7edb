"""Under autocast, what agrees within the precision that was computed in goes by its rule."""

import pytest
import torch
from fisher_definition import wavy
from torch import Tensor, nn

from fimtiers.fisher import Extractor, SampleCouplingError, diagonal
from fimtiers.fisher.loop_check import TOLERANCE, refuse_coupled, tolerance_of

VECTORS = torch.randn(16, 32, generator=torch.Generator().manual_seed(1))
IMAGES = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(2))
SEQUENCES = torch.randn(16, 6, 32, generator=torch.Generator().manual_seed(3))
TOKENS = torch.randint(0, 20, (16, 6), generator=torch.Generator().manual_seed(4))


def convolutions() -> nn.Module:
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.GroupNorm(2, 8)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(288, 4))


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(192, 4))


MODELS = {
    "perceptron": (
        lambda: nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.Linear(64, 4)),
        VECTORS,
    ),
    "convolutions": (convolutions, IMAGES),
    "encoder": (encoder, SEQUENCES),
    "embedding": (
        lambda: nn.Sequential(nn.Embedding(20, 32), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 4)),
        TOKENS,
    ),
}


def by_loop(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    named = dict(model.named_parameters())
    total = {name: torch.zeros(p.shape, dtype=torch.float64) for name, p in named.items()}
    for n in range(len(inputs)):
        loss = wavy(model(inputs[n : n + 1]).float(), None).sum()
        for name, gradient in zip(named, torch.autograd.grad(loss, named.values()), strict=True):
            total[name] += gradient.double().square()
    return {name: t / len(inputs) for name, t in total.items()}


def single_precision_loss(outputs: Tensor, _: None) -> Tensor:
    return wavy(outputs.float(), None)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", MODELS)
def test_rules_hold_under_autocast(name, dtype):
    make, inputs = MODELS[name]
    model = make()
    with torch.autocast("cpu", dtype):
        extract = Extractor(model, single_precision_loss)
        results = [extract((inputs, None)) for _ in range(2)]
        expected = by_loop(model, inputs)
    assert not [r for r in results[0].routes.values() if r.startswith(("vmap", "loop"))]
    for result in results:
        for key, reference in expected.items():
            noise = result.symmetric.get(key, torch.zeros_like(reference, dtype=torch.bool))
            noise = noise | (reference < 1e-6 * reference.max())  # a bias of attention keys
            error = torch.linalg.vector_norm((result[key] - reference).masked_fill(noise, 0))
            assert error <= 0.03 * torch.linalg.vector_norm(reference), (key, float(error))


def test_autocast_inside_the_model_counts_too():
    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = MODELS["perceptron"][0]()

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return self.layers(x)

    result = diagonal(Inside(), single_precision_loss, (VECTORS, None))
    assert set(result.routes.values()) == {"linear"}


def test_tolerance_is_that_of_the_coarsest_dtype():
    assert tolerance_of(torch.float32) == TOLERANCE[torch.float32]
    assert tolerance_of(torch.float32, torch.bfloat16) == TOLERANCE[torch.bfloat16]
    assert tolerance_of(torch.float64, torch.float32) == TOLERANCE[torch.float32]


def test_losses_far_apart_are_coupled_under_autocast_too():
    alone = torch.tensor([[1.0], [2.0]])
    refuse_coupled(alone * 1.01, alone, {torch.bfloat16})
    with pytest.raises(SampleCouplingError):
        refuse_coupled(alone * 1.01, alone, {torch.float32})
    with pytest.raises(SampleCouplingError):
        refuse_coupled(alone * 1.2, alone, {torch.bfloat16})


def test_coupling_is_refused_under_autocast():
    class Coupled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(32, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x - x.mean(0) * 0.5)

    with torch.autocast("cpu", torch.bfloat16), pytest.raises(SampleCouplingError):
        diagonal(Coupled(), single_precision_loss, (VECTORS, None))


def test_what_cancels_in_half_precision_is_not_flagged():
    """Summands that differ by less than bfloat16 tells are equal there, and their difference 0."""

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.shift, self.layer = nn.Parameter(torch.zeros(3)), nn.Linear(3, 1)

        def forward(self, x):
            return self.layer(x + self.shift).squeeze(2)

    x = torch.ones(6, 2, 3)

    def loss(outputs, _):
        return outputs[:, 0] * 1.001 - outputs[:, 1]

    with torch.autocast("cpu", torch.bfloat16):
        assert not diagonal(Odd(), loss, (x, None)).symmetric
