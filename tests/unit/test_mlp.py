"""The multilayer perceptron: published per-seed values, plain autograd, and symmetries."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fimtiers import fisher as fisher_engine
from fimtiers.networks.activations import ACTIVATIONS
from fimtiers.networks.initialisation import INITIALISATIONS
from fimtiers.records import State
from fimtiers.substrates import mlp
from fimtiers.tiers import gini_coefficient, published_ratio

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"
PANEL_WIDTHS = [32, 64, 128, 256]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As in the jobs of the workflow: rounding depends on the number of threads, and speed too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in mlp.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds, **changed):
    state = mlp.build_state(settings, np.array(seeds))
    return mlp.fisher_diagonal(settings | changed, state)


def published_panel(system, width):
    table = pd.read_csv(PUBLISHED / "panel_per_seed.csv")
    chosen = table[(table["system"] == system) & (table["point"] == f"width={width}")]
    return chosen.sort_values("seed")["value"].to_numpy()


@pytest.mark.parametrize("width", PANEL_WIDTHS)
def test_untrained_networks_have_the_published_tier_ratios(width):
    result = fisher(settings(width=width), range(5))
    ratios = published_ratio(result.fim, "percentile")
    expected = published_panel("nn_untrained_pooled", width)
    np.testing.assert_allclose(ratios, expected, rtol=1e-6)


def test_networks_trained_for_3000_steps_have_the_published_tier_ratios():
    table = pd.read_csv(PUBLISHED / "uniqueness_per_seed.csv")
    expected = table[table["system"] == "deep_mlp"].sort_values("seed")["tier_ratio"]
    result = fisher(settings(width=34, steps=3000, batch=64, probes=32), range(6))
    ratios = published_ratio(result.fim, "smallest_positive_floor")
    np.testing.assert_allclose(ratios, expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("width", [32, 64])
def test_networks_trained_for_20000_steps_have_the_published_tier_ratios(width):
    result = fisher(settings(width=width, steps=20_000), range(5))
    ratios = published_ratio(result.fim, "percentile")
    expected = published_panel("nn_trained_pooled", width)
    np.testing.assert_allclose(ratios, expected, rtol=1e-2)


def test_probes_whose_dimension_is_not_a_multiple_of_16_follow_the_published_stream():
    grid = pd.read_csv(PUBLISHED / "partition_grid.csv")
    rows = grid[(grid["top_percent"] == 1) & (grid["bottom_percent"] == 50)]
    result = fisher(settings(dim=8, width=16, depth=6), range(5))
    ratios = published_ratio(result.fim, "smallest_tenth_floor")
    expected = rows.sort_values("seed")["tier_ratio"]
    np.testing.assert_allclose(ratios, expected, rtol=1e-6)


@pytest.mark.parametrize("depth", [2, 4, 8, 12])
def test_untrained_networks_have_the_published_gini_coefficients(depth):
    table = pd.read_csv(PUBLISHED / "partition_free.csv").set_index("system")
    result = fisher(settings(depth=depth, probes=500), [42])
    expected = table.loc[f"mlp_untrained_L{depth}"]
    assert result.fim.shape[1] == expected["n"]
    np.testing.assert_allclose(gini_coefficient(result.fim), expected["gini"], rtol=1e-8)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [  # specification of the activation sweep: tier ratio at depth 8, seeds 0 to 2
        ("relu", [2173529.99, 12312093, 16707728]),
        ("gelu", [4790037.97, 4565488.01, 5227238.41]),
        ("tanh", [2320.3108, 1952.12471, 2306.3254]),
        ("silu", [5917757.89, 5364206.16, 6219612.34]),
    ],
)
def test_each_activation_has_the_published_tier_ratios_at_depth_8(activation, expected):
    result = fisher(settings(depth=8, activation=activation, probes=500), range(3))
    ratios = published_ratio(result.fim, "smallest_tenth_floor")
    np.testing.assert_allclose(ratios, expected, rtol=1e-6)


def test_double_precision_has_the_published_tier_ratio():
    result = fisher(settings(dim=32, width=256, precision="float64", probes=100), [0])
    ratio = published_ratio(result.fim, "smallest_tenth_floor")
    np.testing.assert_allclose(ratio, 1206.293634, rtol=1e-9)


def test_inputs_discarded_before_training_give_the_published_trained_ratio():
    changed = settings(depth=2, steps=10_000, discarded_inputs=1000, probes=1000)
    ratios = published_ratio(fisher(changed, range(5)).fim, "smallest_tenth_floor")
    expected = [7.1831434, 6.4619422, 6.1677607, 6.6415907, 6.8089762]
    np.testing.assert_allclose(ratios, expected, rtol=1e-5)


def test_he_initialisation_has_the_small_tier_ratios_of_the_control_run():
    # Geometric means over seeds 0 to 4 of the specification's control, printed to its digits.
    for depth, expected in ((2, 15.1), (4, 98), (8, 307)):
        changed = settings(depth=depth, initialisation="he_normal", probes=1000)
        ratios = published_ratio(fisher(changed, range(5)).fim, "smallest_tenth_floor")
        np.testing.assert_allclose(np.exp(np.log(ratios).mean()), expected, rtol=5e-3)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_fisher_diagonal_is_the_mean_square_of_single_sample_gradients(activation):
    changed = settings(dim=5, width=7, depth=3, activation=activation, probes=40, steps=3, batch=4)
    state = mlp.build_state(changed, np.array([2, 9]))
    result = mlp.fisher_diagonal(changed, state)
    function = {"relu": torch.relu, "tanh": torch.tanh}[activation]
    for seed, packed in enumerate(state.fixed["generator"][1]):
        generator = torch.Generator()
        generator.set_state(torch.from_numpy(packed.copy()))
        theta = torch.from_numpy(state.theta[seed])
        parts = theta.split([tensor.size for tensor in state.tensors])
        shaped = zip(parts, state.tensors, strict=True)
        parameters = [part.view(tensor.shape).requires_grad_() for part, tensor in shaped]
        total, loss_sum = 0.0, 0.0
        for _ in range(40):
            x = torch.empty(1, 5).normal_(generator=generator)
            a = function(x @ parameters[0].T + parameters[1])
            a = function(a @ parameters[2].T + parameters[3])
            loss = 0.5 * (a @ parameters[4].T + parameters[5] - x).square().mean()
            gradient = torch.autograd.grad(loss, parameters)
            total = total + torch.cat([g.flatten() for g in gradient]).double().square()
            loss_sum += loss.item()
        np.testing.assert_allclose(result.fim[seed], (total / 40).numpy(), rtol=1e-4, atol=1e-18)
        assert result.diagnostics["probe_loss"][1][seed] == pytest.approx(loss_sum / 40, rel=1e-5)


TINY = {"dim": 4, "width": 5, "depth": 3, "probes": 12}


def outputs(theta, tensors, x, function=torch.tanh):
    """The network by its definition; theta (parameter,), x (probe, dim)."""
    parts = theta.split([tensor.size for tensor in tensors])
    w = [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
    hidden = function(function(x @ w[0].T + w[1]) @ w[2].T + w[3])
    return hidden @ w[4].T + w[5]


def probes_of(state, seed, count, dim):
    generator = torch.Generator()
    generator.set_state(torch.from_numpy(state.fixed["generator"][1][seed].copy()))
    return torch.cat([torch.empty(1, dim).normal_(generator=generator) for _ in range(count)])


@pytest.mark.parametrize("steps", [0, 30])
def test_the_true_fisher_is_the_mean_squared_slope_of_each_output_by_finite_differences(steps):
    """mean_x Σ_j (∂y_j/∂θ)² / dim, from nothing but evaluations of the network."""
    chosen = settings(
        **TINY, activation="tanh", steps=steps, batch=8, precision="float64", definition="true"
    )
    state = mlp.build_state(chosen, np.array([3, 8]))
    result = mlp.fisher_diagonal(chosen, state)
    assert result.definition == "true"
    for seed in range(2):
        generator = torch.Generator()
        generator.set_state(torch.from_numpy(state.fixed["generator"][1][seed].copy()))
        x = torch.cat([
            torch.empty(1, 4, dtype=torch.float64).normal_(generator=generator) for _ in range(12)
        ])  # fmt: skip
        theta = torch.from_numpy(state.theta[seed]).double()
        step = 1e-5
        for i in range(len(theta)):
            up, down = theta.clone(), theta.clone()
            up[i] += step
            down[i] -= step
            slope = (outputs(up, state.tensors, x) - outputs(down, state.tensors, x)) / (2 * step)
            expected = slope.square().sum(1).mean().item() / 4
            assert result.fim[seed, i] == pytest.approx(expected, rel=1e-6, abs=1e-14)


def test_the_true_fisher_is_the_mean_over_labels_drawn_from_the_likelihood():
    """Labels y ~ N(net(x), dim); autograd of each probe's own loss, then the square."""
    chosen = settings(**TINY, activation="tanh", definition="true")
    state = mlp.build_state(chosen, np.array([1]))
    result = mlp.fisher_diagonal(chosen, state).fim[0]
    x = probes_of(state, 0, 12, 4)
    theta = torch.from_numpy(state.theta[0]).requires_grad_()
    draws, total = 400, 0.0
    noise = torch.Generator().manual_seed(0)
    for row in x:
        y = outputs(theta, state.tensors, row[None])[0]
        slopes = [torch.autograd.grad(c, theta, retain_graph=True)[0].double() for c in y]
        labels = y.detach() + 2 * torch.empty(draws, 4).normal_(generator=noise)
        residual = (y.detach() - labels).double() / 4  # ∂ℓ/∂y at a drawn label
        total = total + (residual @ torch.stack(slopes)).square().mean(0)
    # The square of a normal number has relative spread √2, less where outputs add up.
    np.testing.assert_allclose(result, (total / 12).numpy(), rtol=5 * 2**0.5 / draws**0.5)
    assert result.sum() == pytest.approx((total / 12).sum().item(), rel=0.03)


def test_the_true_fisher_is_that_of_the_engine_with_exact_labels():
    chosen = settings(dim=16, width=8, depth=2, probes=20, definition="true")
    state = mlp.build_state(chosen, np.array([5]))
    network = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU(), torch.nn.Linear(8, 16))
    torch.nn.utils.vector_to_parameters(torch.from_numpy(state.theta[0]), network.parameters())
    x = probes_of(state, 0, 20, 16)
    extract = fisher_engine.Extractor(network, fisher_engine.Gaussian(scale=4.0), kind="exact")
    expected = extract((x, x)).flat().numpy()
    np.testing.assert_allclose(mlp.fisher_diagonal(chosen, state).fim[0], expected, rtol=1e-4)


def test_relabelling_hidden_units_relabels_the_fisher_diagonal():
    changed = settings(dim=4, width=6, depth=2, probes=30)
    state = mlp.build_state(changed, np.array([0]))
    order = np.random.default_rng(0).permutation(6)
    weight_in = np.arange(24).reshape(6, 4)
    bias_in = 24 + np.arange(6)
    weight_out = 30 + np.arange(24).reshape(4, 6)
    moved = np.concatenate([
        weight_in[order].ravel(), bias_in[order], weight_out[:, order].ravel(), 54 + np.arange(4),
    ])  # fmt: skip
    relabelled = State(state.theta[:, moved], state.tensors, state.fixed)
    before = mlp.fisher_diagonal(changed, state).fim
    after = mlp.fisher_diagonal(changed, relabelled).fim
    np.testing.assert_allclose(after, before[:, moved], rtol=1e-5)


def test_rescaling_a_relu_layer_against_the_next_rescales_its_fisher_diagonal():
    changed = settings(dim=4, width=6, depth=2, probes=30)
    state = mlp.build_state(changed, np.array([0]))
    scale = np.ones((1, 58), np.float32)
    scale[:, :30], scale[:, 30:54] = 4, 0.25  # a power of two, so the rounding is the same
    rescaled = State(state.theta * scale, state.tensors, state.fixed)
    before = mlp.fisher_diagonal(changed, state).fim
    after = mlp.fisher_diagonal(changed, rescaled).fim
    np.testing.assert_array_equal(after, before / scale.astype(float) ** 2)


def test_chunks_of_probes_do_not_matter(monkeypatch):
    changed = settings(dim=5, width=6, depth=3, probes=100)
    state = mlp.build_state(changed, np.array([0, 1]))
    whole = mlp.fisher_diagonal(changed, state).fim
    monkeypatch.setattr(mlp, "ELEMENTS_PER_CHUNK", 7 * 2 * 22)
    np.testing.assert_allclose(mlp.fisher_diagonal(changed, state).fim, whole, rtol=1e-5)


def test_draws_of_several_batches_at_once_do_not_matter(monkeypatch):
    changed = settings(dim=5, width=6, depth=2, steps=20, batch=3)
    whole = mlp.build_state(changed, np.array([0, 1]))
    monkeypatch.setattr(mlp, "ELEMENTS_PER_DRAW", 1)
    assert np.array_equal(mlp.build_state(changed, np.array([0, 1])).theta, whole.theta)


def test_seeds_trained_together_equal_seeds_trained_alone_to_rounding():
    changed = settings(width=32, steps=100)
    together = mlp.build_state(changed, np.arange(3)).theta
    alone = [mlp.build_state(changed, np.array([seed])).theta[0] for seed in range(3)]
    np.testing.assert_allclose(together, np.stack(alone), rtol=0, atol=1e-6)


def test_a_state_names_its_tensors_by_layer_and_role():
    state = mlp.build_state(settings(dim=4, width=6, depth=3), np.array([0]))
    named = [(t.name, t.layer, t.role, t.shape) for t in state.tensors]
    assert named == [
        ("layers.0.weight", 0, "weight", (6, 4)),
        ("layers.0.bias", 0, "bias", (6,)),
        ("layers.1.weight", 1, "weight", (6, 6)),
        ("layers.1.bias", 1, "bias", (6,)),
        ("layers.2.weight", 2, "weight", (4, 6)),
        ("layers.2.bias", 2, "bias", (4,)),
    ]
    assert state.theta.dtype == np.float32
    assert state.diagnostics == {}


def test_the_loss_on_record_falls_and_ends_at_the_last_step():
    changed = settings(
        dim=4, width=16, depth=2, steps=1050, batch=1000, learning_rate=0.05, probes=2000
    )
    state = mlp.build_state(changed, np.array([0, 1]))
    steps = state.diagnostics["training_step"][1]
    losses = state.diagnostics["training_loss"][1]
    assert steps[0] == 10
    assert steps[-1] == 1050
    assert losses.shape == (2, len(steps))
    assert (losses[:, -1] < 0.2 * losses[:, 0]).all()
    probe_loss = mlp.fisher_diagonal(changed, state).diagnostics["probe_loss"][1]
    np.testing.assert_allclose(probe_loss, losses[:, -1], rtol=0.3)


def test_a_diverged_training_is_refused_with_seed_and_step():
    with pytest.raises(FloatingPointError, match=r"seed 4 diverged.*step \d+ of 500.*rate \(50"):
        mlp.build_state(
            settings(width=16, activation="identity", steps=500, learning_rate=50.0), np.array([4])
        )


def test_the_choices_in_the_schema_are_those_in_the_code():
    assert mlp.SETTINGS["activation"]["enum"] == list(ACTIVATIONS)
    assert mlp.SETTINGS["initialisation"]["enum"] == list(INITIALISATIONS)
