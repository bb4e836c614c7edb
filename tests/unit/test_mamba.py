"""The stack of selective state-space blocks: published values, and the recurrence written out."""

import numpy as np
import pytest
import torch

from fimtiers.networks.modules import construct
from fimtiers.substrates import mamba
from fimtiers.tiers import published_ratio

PUBLISHED = {  # depth: tier ratio for seeds 0, 1, 2
    1: [70916, 73760, 69377],
    2: [107147, 119632, 122279],
    4: [144997, 183990, 201538],
    6: [152751, 191500, 184723],
    8: [157389, 182819, 171848],
}


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in mamba.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds):
    return mamba.fisher_diagonal(settings, mamba.build_state(settings, np.array(seeds)))


def test_each_depth_has_the_published_tier_ratios_and_slope():
    logs = []
    for depth, expected in PUBLISHED.items():
        values = published_ratio(
            fisher(settings(depth=depth), range(3)).fim, "smallest_tenth_floor"
        )
        np.testing.assert_allclose(values, expected, atol=0.51)
        logs.append(np.log(values).mean())
    slope, intercept = np.polyfit(np.sqrt(list(PUBLISHED)), logs, 1)
    assert slope == pytest.approx(0.4676, abs=5e-5)
    residual = logs - (intercept + slope * np.sqrt(list(PUBLISHED)))
    assert 1 - residual @ residual / np.var(logs) / len(logs) == pytest.approx(0.7801, abs=5e-5)


def test_a_block_has_5856_parameters():
    for depth in (1, 2):
        state = mamba.build_state(settings(depth=depth), np.array([0]))
        assert state.theta.shape == (1, 2176 + depth * 5856)
        assert max(tensor.layer for tensor in state.tensors) == depth + 1


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_the_block_is_the_recurrence_number_by_number():
    dim, memory, kernel, time = 3, 2, 4, 6
    (block,), _ = construct(lambda: mamba.SelectiveBlock(dim, memory, kernel).double(), [1])
    p = {name: value.detach().numpy() for name, value in block.named_parameters()}
    x = np.random.default_rng(0).standard_normal((time, dim))
    entered = x @ p["input.weight"].T
    before, gate = entered[:, :dim], entered[:, dim:]
    state, expected = np.zeros((dim, memory)), []
    for t in range(time):
        u = p["convolution.bias"].copy()
        for lag in range(min(kernel, t + 1)):
            u += p["convolution.weight"][:, 0, kernel - 1 - lag] * before[t - lag]
        u *= sigmoid(u)
        selection = p["selection.weight"] @ u
        step = np.log1p(np.exp(p["step.weight"] @ u + p["step.bias"]))
        y = np.empty(dim)
        for d in range(dim):
            for n in range(memory):
                decay = np.exp(-step[d] * np.exp(p["log_decay"][d, n]))
                state[d, n] = decay * state[d, n] + step[d] * selection[n] * u[d]
            y[d] = selection[memory:] @ state[d] + p["skip"][d] * u[d]
        expected.append(p["output.weight"] @ (y * gate[t] * sigmoid(gate[t])))
    np.testing.assert_allclose(block(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-10)


def test_decay_rates_start_at_1_2_3_in_every_channel():
    block = mamba.SelectiveBlock(3, 4, 2)
    assert block.log_decay.exp().detach().numpy() == pytest.approx(np.tile([1, 2, 3, 4], (3, 1)))


def test_a_block_does_not_look_ahead():
    (block,), _ = construct(lambda: mamba.SelectiveBlock(8, 4, 4), [0])
    x = torch.randn(2, 6, 8)
    changed = x.clone()
    changed[:, 3:] += 1
    torch.testing.assert_close(block(changed)[:, :3], block(x)[:, :3])


def test_a_sequence_of_one_step_has_no_use_for_the_decay():
    result = fisher(settings(depth=1, length=1, probes=5), [0])
    roles = np.repeat([t.role for t in result.tensors], [t.size for t in result.tensors])
    assert not result.fim[0, roles == "log_decay"].any()
