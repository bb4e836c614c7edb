"""An operation without a rule leaves its own parameters to the fallback, and no others."""

import pytest
import torch
from fisher_definition import by_definition, wavy
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fimtiers.fisher import Diagonal, diagonal
from fimtiers.fisher.reasons import MOST, in_short

WIDTH = 4
VECTORS = torch.rand(7, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TOKENS = torch.randint(0, 5, (7, 3), generator=torch.Generator().manual_seed(1))
SPLITS = [[1], [2], [2, 2, 3], [1, 4, 2], [7]]


class First(nn.Module):
    """An operation of some parameters on raw data, and layers behind it."""

    def __init__(self, function, behind: nn.Module, **parameters: Tensor) -> None:
        super().__init__()
        self.function, self.behind = function, behind
        for name, p in parameters.items():
            setattr(self, name, nn.Parameter(p.double()))

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self.function(self, x))


def layers() -> nn.Module:
    parts = nn.Linear(WIDTH, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 2)
    return nn.Sequential(*parts).double()


def assert_exact(model: nn.Module, inputs: Tensor, fallback: dict[str, str]) -> Diagonal:
    """Check values against the definition, and the routes of what has no rule."""
    model = model.double()
    for sizes in SPLITS:
        batches = inputs[: sum(sizes)].split(sizes)
        expected = by_definition(model, wavy, inputs[: sum(sizes)], None)
        result = diagonal(model, wavy, [(batch, None) for batch in batches])
        for name, reference in expected.items():
            error = torch.linalg.vector_norm(result[name] - reference)
            assert error <= 1e-10 * torch.linalg.vector_norm(reference), (sizes, name, error)
        taken = {n: r for n, r in result.routes.items() if r.startswith(("vmap", "loop"))}
        # A single sample is in no place, and what is made of it may as well be of parameters.
        assert taken == fallback or (sizes == [1] and not taken), sizes
    return result


def entropy(self, x: Tensor) -> Tensor:
    return torch.special.xlog1py(x, self.weight.abs())


def test_first_operation_without_rule():
    model = First(entropy, layers(), weight=torch.rand(WIDTH))
    result = assert_exact(model, VECTORS, {"weight": "vmap (no rule for special_xlog1py)"})
    assert result.routes["behind.0.weight"] == "linear"


def test_first_operation_without_rule_on_two_parameters():
    def function(self, x):
        return torch.special.xlog1py(x * self.scale, self.weight.abs())

    model = First(function, layers(), weight=torch.rand(WIDTH), scale=torch.rand(WIDTH))
    result = assert_exact(model, VECTORS, {"weight": "vmap (no rule for special_xlog1py)"})
    assert result.routes["scale"] == "mul"


def test_distances_to_learned_centres():
    def function(self, x):
        return torch.cdist(x, self.centres)

    model = First(function, layers(), centres=torch.rand(WIDTH, WIDTH))
    assert_exact(model, VECTORS, {"centres": "vmap (no rule for cdist)"})


def test_two_such_operations_one_after_the_other():
    def function(self, x):
        found = torch.special.xlog1py(x, self.first.abs())
        return torch.special.xlog1py(found, self.second.abs())

    model = First(function, layers(), first=torch.rand(WIDTH), second=torch.rand(WIDTH))
    assert_exact(model, VECTORS, dict.fromkeys(
        ("first", "second"), "vmap (no rule for special_xlog1py)"))  # fmt: skip


def test_two_such_operations_side_by_side():
    def function(self, x):
        return torch.special.xlog1py(x, self.first.abs()) + torch.special.entr(self.second * x)

    model = First(function, layers(), first=torch.rand(WIDTH), second=torch.rand(WIDTH))
    result = assert_exact(model, VECTORS, {"first": "vmap (no rule for special_xlog1py)"})
    assert result.routes["second"] == "mul"


def test_what_is_made_of_parameters_alone_keeps_its_rule():
    mask = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)

    def function(self, x):
        kept = torch.special.xlog1py(mask, self.weight.abs())  # a constant, no data
        return x @ (self.matrix * kept)

    model = First(function, layers(), weight=torch.rand(WIDTH), matrix=torch.rand(WIDTH, WIDTH))
    assert_exact(model, VECTORS, {})


def test_parametrised_layer_behind_an_operation_without_rule():
    behind = layers()
    nn.utils.parametrizations.orthogonal(behind[0])
    nn.utils.parametrizations.spectral_norm(behind[3].eval())
    model = First(entropy, behind, weight=torch.rand(WIDTH))
    assert_exact(model.eval(), VECTORS, {"weight": "vmap (no rule for special_xlog1py)"})


def test_layers_that_share_the_parameter_without_rule():
    def function(self, x):
        return F.linear(torch.special.xlog1py(x, self.weight.abs()), self.weight)

    model = First(function, layers(), weight=torch.rand(WIDTH, WIDTH).abs())
    model.weight = nn.Parameter(torch.rand(1, WIDTH, dtype=torch.float64))
    model.function = lambda self, x: torch.special.xlog1py(x, self.weight.abs()) * self.weight
    assert_exact(model, VECTORS, {"weight": "vmap (no rule for special_xlog1py)"})


def test_lookup_scaled_by_how_often_a_row_is_met():
    def function(self, x):
        return F.embedding(x, self.table, scale_grad_by_freq=True).mean(1)

    model = First(function, layers(), table=torch.rand(5, WIDTH))
    result = diagonal(model, wavy, (TOKENS, None))
    expected = by_definition(model, wavy, TOKENS, None)
    for name, reference in expected.items():
        assert torch.allclose(result[name], reference, rtol=1e-10)
    assert result.routes["table"].startswith(("vmap", "loop"))
    assert result.routes["behind.0.weight"] == "linear"


def test_samples_walked_one_by_one():
    def function(self, x):
        rows = [torch.special.xlog1py(row, self.weight.abs()) for row in x.unbind(0)]
        return torch.stack(rows)

    model = First(function, layers(), weight=torch.rand(WIDTH))
    assert_exact(model, VECTORS, {"weight": "vmap (no rule for special_xlog1py)"})


def test_operation_without_rule_on_a_late_batch():
    def function(self, x):
        if bool((x[:, 0] > 0.9).any()):
            return torch.special.xlog1py(x, self.weight.abs())
        return x * torch.log1p(self.weight.abs())

    model = First(function, layers(), weight=torch.rand(WIDTH))
    data = VECTORS.clone()
    data[:, 0] *= 0.5
    data[5, 0] = 0.95
    batches = [(data[:2], None), (data[2:], None)]
    result = diagonal(model, wavy, batches)
    expected = by_definition(model, wavy, data, None)
    for name, reference in expected.items():
        assert torch.allclose(result[name], reference, rtol=1e-10)
    assert result.routes["weight"].startswith("loop (vmap: ")  # for its choice of a way
    assert result.routes["behind.0.weight"] == "linear"


def test_loss_of_nothing_but_a_parameter():
    model = First(lambda self, x: self.weight.square().sum().reshape(1), nn.Identity(),
                  weight=torch.rand(WIDTH))  # fmt: skip
    result = diagonal(model, lambda outputs, _: outputs, (VECTORS[:1], None))
    assert "the loss itself is made of parameters" in result.routes["weight"]
    assert torch.allclose(result["weight"], (2 * model.weight.detach()).square())


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("", "RuntimeError"),
        ("It is so. We do not do that.\nStack: …", "It is so"),
        ("expected 3.5, got 2", "expected 3.5, got 2"),
        ("a" * 1000, "a" * (MOST - 1) + "…"),
    ],
)
def test_reasons_are_short(text, short):
    assert in_short(RuntimeError(text)) == short


def test_routes_hold_no_page_of_torch():
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.rand(WIDTH, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            scale = 2.0 if x.sum().item() > 0 else 1.0
            return scale * torch.special.xlog1py(x, self.weight.abs())

    (route,) = diagonal(Counted(), wavy, (VECTORS, None)).routes.values()
    assert route.startswith("loop (vmap: ")
    assert len(route) < MOST + 20
