"""The small GPT: published per-seed values, and what tying and the scale of the head do."""

import numpy as np
import pytest
import torch
from torch import nn

from fimtiers.networks.modules import fill
from fimtiers.substrates import gpt
from fimtiers.tiers import cut_tiers, published_ratio

WIDTH_64 = {  # depth: tier ratio for seeds 0, 1, 2, head as torch draws it
    1: [452.4, 469.6, 418.9],
    2: [382.1, 410.8, 385.4],
    4: [338.6, 373.7, 346.7],
    6: [315.3, 350.1, 329.0],
    8: [292.7, 332.4, 310.8],
    12: [239.0, 257.9, 252.4],
}
WIDTH_32_SMALL_HEAD = {
    1: [5831, 6580, 6050],
    2: [5419, 6287, 5511],
    4: [5593, 6282, 5163],
    6: [5638, 6054, 4880],
    8: [5925, 5528, 5219],
    12: [6147, 5775, 5292],
}


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in gpt.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds):
    return gpt.fisher_diagonal(settings, gpt.build_state(settings, np.array(seeds)))


def ratios(settings, seeds):
    return published_ratio(fisher(settings, seeds).fim, "smallest_tenth_floor")


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_width_64_has_the_published_tier_ratios_to_their_printed_digits(depth):
    values = ratios(settings(depth=depth), range(3))
    np.testing.assert_allclose(values, WIDTH_64[depth], atol=0.05)


@pytest.mark.slow
def test_width_64_has_the_published_slope_against_root_depth():
    logs = []
    for depth, expected in WIDTH_64.items():
        values = ratios(settings(depth=depth), range(3))
        np.testing.assert_allclose(values, expected, atol=0.051)
        logs.append(np.log(values).mean())
    slope, _ = np.polyfit(np.sqrt(list(WIDTH_64)), logs, 1)
    assert slope == pytest.approx(-0.2165, abs=5e-5)


def test_width_32_with_a_small_head_has_the_published_tier_ratios_and_slope():
    logs = []
    for depth, expected in WIDTH_32_SMALL_HEAD.items():
        values = ratios(settings(width=32, head_std=0.02, depth=depth), range(3))
        np.testing.assert_allclose(values, expected, atol=0.51)
        logs.append(np.log(values).mean())
    slope, _ = np.polyfit(np.sqrt(list(WIDTH_32_SMALL_HEAD)), logs, 1)
    assert slope == pytest.approx(-0.0270, abs=5e-5)


def test_the_scale_of_the_head_explains_the_jump_between_the_published_runs():
    # Values of the specification's control runs, seed 0, one block.
    assert ratios(settings(depth=1, width=32), [0])[0] == pytest.approx(231, abs=0.5)
    assert ratios(settings(depth=1, head_std=0.02), [0])[0] == pytest.approx(5686, abs=0.5)


def test_a_small_head_starves_the_trunk_and_leaves_its_own_gradient():
    usual = cut_tiers(fisher(settings(depth=1), [0]).fim)
    small = cut_tiers(fisher(settings(depth=1, head_std=0.02), [0]).fim)
    assert small.tier1_mean == pytest.approx(usual.tier1_mean, rel=0.1)
    assert 10 < usual.tier3_mean / small.tier3_mean < 30


def test_a_tied_network_is_below_the_threshold_of_100():
    # About 82 and 35 in the specification's control run, which drew other probes.
    assert ratios(settings(depth=1, tied=True), [0])[0] == pytest.approx(82, rel=0.02)
    assert ratios(settings(depth=4, tied=True), [0])[0] == pytest.approx(35, rel=0.02)


def test_tying_removes_the_head_from_the_parameters():
    untied = gpt.build_state(settings(depth=1), np.array([0]))
    tied = gpt.build_state(settings(depth=1, tied=True), np.array([0]))
    assert untied.theta.shape[1] == 59_392
    assert tied.theta.shape[1] == 59_392 - 64 * 64 - 64
    assert "head_weight" not in {tensor.role for tensor in tied.tensors}


def test_a_tied_head_follows_the_token_embedding():
    changed = settings(depth=1, tied=True)
    state = gpt.build_state(changed, np.array([0]))
    network = fill(lambda: gpt._network(changed), state.theta[0], torch.float32)
    assert network.readout["head"].weight is network.embedding["token"].weight


def test_fisher_diagonal_is_that_of_torchs_cross_entropy():
    changed = settings(depth=1, width=8, probes=6, vocabulary=10, length=5)
    state = gpt.build_state(changed, np.array([3]))
    network = fill(lambda: gpt._network(changed), state.theta[0], torch.float32)
    stream = torch.Generator()
    stream.set_state(torch.from_numpy(state.fixed["generator"][1][0].copy()))
    squares = 0.0
    for _ in range(6):
        tokens = torch.randint(0, 10, (1, 5), generator=stream)
        network.zero_grad()
        logits = network(tokens)
        nn.functional.cross_entropy(logits[0], torch.roll(tokens, -1, dims=1)[0]).backward()
        gradient = torch.cat([p.grad.flatten() for p in network.parameters()])
        squares = squares + gradient.double().square().numpy()
    result = gpt.fisher_diagonal(changed, state).fim[0]
    np.testing.assert_allclose(result, squares / 6, rtol=1e-3, atol=1e-14)


def test_exact_zeros_are_those_of_the_key_biases_and_of_absent_tokens():
    result = fisher(settings(depth=1, width=8, probes=40, exact_zeros=True), [0])
    roles = np.repeat([t.role for t in result.tensors], [t.size for t in result.tensors])
    assert set(roles[result.fim[0] == 0]) == {"key_bias"}
