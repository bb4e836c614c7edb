"""Elementary cellular automaton on a ring, probed by how a flipped cell spreads.

Parameters are the initial bits, one per cell: initial data rather than a model's parameters. The
observable is D_i(h), the Hamming distance after h steps between the run and its copy that started
with bit i flipped.

A probe is one horizon h = max(8, ⌊H (1/4 + 3u/4)⌋) with u uniform in [0, 1). The published
protocol counts each distinct horizon once and squares the mean, F_i = (mean_h D_i(h))². The
corrected one counts every draw and takes the mean of squares, F_i = mean_h D_i(h)².
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers import generators
from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "cells": {
        "type": "integer",
        "minimum": 3,
        "default": 128,
        "description": "Number of cells on the ring.",
    },
    "rule": {
        "type": "integer",
        "minimum": 0,
        "maximum": 255,
        "default": 110,
        "description": "Wolfram's number of the rule.",
    },
    "horizon": {
        "type": "integer",
        "minimum": 8,
        "default": 64,
        "description": "H, in steps: horizons lie between a quarter of it and just below it.",
    },
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 32,
        "description": "Number of horizons drawn.",
    },
    "protocol": {
        "enum": ["published", "corrected"],
        "default": "published",
        "description": "`published`: square of the mean over distinct horizons, single precision; "
        "`corrected`: mean of squares over all drawn horizons, double precision.",
    },
}

SHORTEST_HORIZON = 8

BLOCK = 1024
"""Flipped copies run at a time, which bounds the memory on large rings."""


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Draw fair initial bits, one stream of random numbers per seed."""
    cells = settings["cells"]
    streams = generators.seed_numpy(seeds)
    bits = np.stack([stream.random(cells) < 0.5 for stream in streams])
    return State(
        theta=bits.astype(np.uint8),
        tensors=(Tensor("initial_bit", -1, "bit", (cells,)),),
        fixed={"generator": generators.pack_numpy(streams)},
    )


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Flip every cell in turn and average the spread of the damage over horizons."""
    published = settings["protocol"] == "published"
    streams = generators.unpack_numpy(state.fixed["generator"])
    fim = np.empty(state.theta.shape)
    distinct_horizons = []
    for row, bits, stream in zip(fim, state.theta, streams, strict=True):
        horizons = _draw_horizons(stream, settings["horizon"], settings["probes"])
        distinct, draws = np.unique(horizons, return_counts=True)
        distinct_horizons.append(len(distinct))
        distance = damage(bits, distinct, settings["rule"])
        if published:
            row[:] = distance.astype(np.float32).mean(axis=0) ** 2
        else:
            row[:] = np.average(distance.astype(np.float64) ** 2, axis=0, weights=draws)
    return FisherDiagonal(
        fim=fim,
        tensors=state.tensors,
        probes=settings["probes"],
        estimator="bit flip",
        definition="response",
        diagnostics={"distinct_horizons": (("seed",), np.array(distinct_horizons))},
    )


def damage(bits: NDArray[np.uint8], horizons: NDArray[np.int64], rule: int) -> NDArray[np.int64]:
    """Return the Hamming distance that flipping each bit makes at each horizon.

    Parameters
    ----------
    bits
        Initial bits, shape (cell,).
    horizons
        Numbers of steps, ascending and distinct, shape (horizon,).
    rule
        Wolfram's number.

    Returns
    -------
    NDArray
        Shape (horizon, cell): the distance for a flip of that cell.
    """
    cells = len(bits)
    distance = np.empty((len(horizons), cells), np.int64)
    for start in range(0, cells, BLOCK):
        flipped = np.arange(start, min(start + BLOCK, cells))
        copies = np.tile(bits, (len(flipped) + 1, 1))
        copies[np.arange(len(flipped)), flipped] ^= 1
        step = 0
        for at, horizon in zip(distance, horizons, strict=True):
            for _ in range(horizon - step):
                copies = evolve(copies, rule)
            step = horizon
            at[flipped] = np.count_nonzero(copies[:-1] != copies[-1], axis=1)
    return distance


def evolve(bits: NDArray[np.uint8], rule: int) -> NDArray[np.uint8]:
    """Advance one step: the next bit is bit 4·left + 2·self + right of the rule's number.

    Parameters
    ----------
    bits
        Shape (..., cell); the last axis is the ring.
    rule
        Wolfram's number.

    Returns
    -------
    NDArray
        Same shape.
    """
    table = np.array([rule >> neighbourhood & 1 for neighbourhood in range(8)], np.uint8)
    neighbourhood = 4 * np.roll(bits, 1, axis=-1) + 2 * bits + np.roll(bits, -1, axis=-1)
    return table[neighbourhood]


def _draw_horizons(stream: np.random.Generator, longest: int, probes: int) -> NDArray[np.int64]:
    horizons = (longest * (0.25 + 0.75 * stream.random(probes))).astype(np.int64)
    return np.maximum(horizons, SHORTEST_HORIZON)
