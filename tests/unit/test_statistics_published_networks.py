"""The published partition tables, from the networks they were measured on."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fimtiers.statistics.partition import partition_sensitivity
from fimtiers.tiers import effective_rank, gini_coefficient, top_mass

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


def untrained_diagonal(seed, widths, probes):
    """Average squared gradients of ½ mean (net(x) − x)² over probes, one backward pass each."""
    torch.manual_seed(seed)
    layers = []
    for fan_in, fan_out in pairwise(widths):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    total = np.zeros(sum(p.numel() for p in network.parameters()))
    for _ in range(probes):
        probe = torch.randn(1, widths[0])
        network.zero_grad()
        (0.5 * ((network(probe) - probe) ** 2).mean()).backward()
        gradient = torch.cat([p.grad.ravel() for p in network.parameters()])
        total += gradient.numpy().astype(np.float64) ** 2
    return total / probes


def test_the_published_partition_grid_is_reproduced_for_every_seed():
    fim = np.stack([untrained_diagonal(seed, [8] + [16] * 5 + [8], 200) for seed in range(5)])
    keys = ["top_percent", "bottom_percent", "seed"]
    published = pd.read_csv(PUBLISHED / "partition_grid.csv").set_index(keys)["tier_ratio"]
    measured = partition_sensitivity(fim, np.arange(5)).set_index(keys)
    ratio = measured["tier_ratio_published"].loc[published.index]
    np.testing.assert_allclose(ratio, published, rtol=1e-5)

    zero = measured["bottom_is_zero"].groupby(keys[:2]).agg(list)
    assert all(zero.pop((0.1, 10.0)))
    assert zero.pop((1.0, 30.0)) == [False, True, True, False, False]
    assert not any(map(any, zero))


@pytest.mark.parametrize("layers", [2, 4, 8, 12])
def test_the_published_partition_free_statistics_of_networks_are_reproduced(layers):
    widths = [16] + [64] * (layers - 1) + [16]
    fim = untrained_diagonal(42, widths, 500)
    published = pd.read_csv(PUBLISHED / "partition_free.csv", index_col="system")
    expected = published.loc[f"mlp_untrained_L{layers}"]
    assert len(fim) == expected["n"]
    measured = [
        gini_coefficient(fim),
        effective_rank(fim, normalise="positive"),
        top_mass(fim, entries="positive"),
    ]
    np.testing.assert_allclose(measured, expected.iloc[1:].to_numpy(float), rtol=1e-7)
