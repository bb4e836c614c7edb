"""The transformer: published per-seed values, torch's own attention, and the exact zeros."""

import numpy as np
import pytest
import torch
from torch import nn

from fimtiers.networks.modules import construct
from fimtiers.networks.transformer_block import PreNormBlock, SelfAttention
from fimtiers.substrates import transformer
from fimtiers.tiers import published_ratio

PUBLISHED = {  # depth: tier ratio for seeds 0, 1, 2
    1: [94.8527405, 103.4121854, 92.84897191],
    2: [93.78962428, 106.0806961, 103.5474555],
    3: [118.406593, 117.3240848, 122.2747473],
    4: [152.4341753, 129.9095233, 128.5539296],
    6: [161.6796232, 150.4494873, 191.8683309],
    8: [210.4776085, 191.3392744, 226.2728717],
}

LOG_VARIANCE_WITHOUT_KEY_BIAS = {1: 2.239, 2: 1.879, 3: 1.893, 4: 1.982, 6: 2.255, 8: 2.560}


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in transformer.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds):
    state = transformer.build_state(settings, np.array(seeds))
    return transformer.fisher_diagonal(settings, state)


def of_role(fisher, role):
    chosen = [tensor.role == role for tensor in fisher.tensors]
    return fisher.fim[:, np.repeat(chosen, [tensor.size for tensor in fisher.tensors])]


@pytest.mark.parametrize("depth", PUBLISHED)
def test_each_depth_has_the_published_tier_ratios(depth):
    result = fisher(settings(depth=depth), range(3))
    ratios = published_ratio(result.fim, "smallest_tenth_floor")
    np.testing.assert_allclose(ratios, PUBLISHED[depth], rtol=1e-6)


@pytest.mark.parametrize("depth", LOG_VARIANCE_WITHOUT_KEY_BIAS)
def test_without_the_key_biases_the_log_variance_has_its_known_value(depth):
    fim = fisher(settings(depth=depth, exact_zeros=True), range(3)).fim
    variance = np.mean([np.log(row[row > 0]).var() for row in fim])
    assert variance == pytest.approx(LOG_VARIANCE_WITHOUT_KEY_BIAS[depth], abs=5e-4)


def test_fisher_of_the_key_biases_is_rounding_error_of_the_precision_used():
    single = of_role(fisher(settings(depth=2, probes=50), [0]), "key_bias")
    double = of_role(fisher(settings(depth=2, probes=50, precision="float64"), [0]), "key_bias")
    assert single.shape == (1, 2 * 32)
    assert 0 < single.max() < 1e-15
    assert 0 < double.max() < 1e-33


def test_exact_zeros_are_those_of_the_key_biases_only():
    result = fisher(settings(depth=2, probes=50, exact_zeros=True), [0])
    assert not of_role(result, "key_bias").any()
    assert (result.fim == 0).sum() == 2 * 32


def test_double_precision_changes_the_tier_ratio_by_rounding_only():
    single = fisher(settings(depth=4, probes=50), [0]).fim
    double = fisher(settings(depth=4, probes=50, precision="float64"), [0]).fim
    ratios = published_ratio(np.concatenate([single, double]), "smallest_tenth_floor")
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_equals_that_of_torch(causal):
    (ours,), (our_stream,) = construct(lambda: SelfAttention(24, 3, causal=causal), [4])
    (theirs,), (their_stream,) = construct(
        lambda: nn.MultiheadAttention(24, 3, batch_first=True), [4]
    )
    projections = torch.cat([ours.query.weight, ours.key.weight, ours.value.weight])
    assert torch.equal(projections, theirs.in_proj_weight)
    assert torch.equal(ours.out.weight, theirs.out_proj.weight)
    assert torch.equal(our_stream.get_state(), their_stream.get_state())
    x = torch.randn(2, 7, 24)
    mask = torch.ones(7, 7, dtype=torch.bool).triu(1) if causal else None
    expected, _ = theirs(x, x, x, attn_mask=mask)
    torch.testing.assert_close(ours(x), expected)


def test_a_causal_block_does_not_look_ahead():
    (block,), _ = construct(lambda: PreNormBlock(16, 4, causal=True), [0])
    x = torch.randn(6, 16)
    changed = x.clone()
    changed[4:] += 1
    torch.testing.assert_close(block(changed)[:4], block(x)[:4])


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"width is 10; expected a multiple of heads \(4\)"):
        SelfAttention(10, 4, causal=False)


def test_a_block_has_12704_parameters_and_is_one_layer():
    state = transformer.build_state(settings(depth=3), np.array([0]))
    assert state.theta.shape == (1, 2112 + 3 * 12_704)
    sizes = np.zeros(5, dtype=int)
    for tensor in state.tensors:
        sizes[tensor.layer] += tensor.size
    assert sizes.tolist() == [1056, 12_704, 12_704, 12_704, 1056]


def test_sixteen_blocks_give_finite_values():
    result = fisher(settings(depth=16, probes=2), [0])
    assert np.isfinite(result.fim).all()


def test_more_probes_continue_the_same_stream():
    # Of the biases of keys there is only rounding, which knows no probes.
    exact = settings(depth=1, exact_zeros=True)
    state = transformer.build_state(exact, np.array([0]))
    few = transformer.fisher_diagonal({**exact, "probes": 5}, state).fim
    many = transformer.fisher_diagonal({**exact, "probes": 10}, state).fim
    assert (10 * many >= 5 * few * (1 - 1e-6)).all()
