"""Time the engine on a GPU: workloads against their plain pass, and the fused kernel against tiles.

    python -m benchmarks.fisher.cuda workloads [name …]
    python -m benchmarks.fisher.cuda kernels

`benchmarks/gpu.sh` runs both. Seconds are those between two events on the GPU, the median of
interleaved rounds; on a processor, CPU time. The peers are those that torch itself has: the loop
and vmap.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.fisher import peers
from benchmarks.fisher.measure import CHECKED, make, relative_error
from benchmarks.fisher.workloads import WORKLOADS
from fimtiers.fisher import fused, squares

ROUNDS = 9
METHODS = ("fimtiers", "fimtiers, first call", "loop", "vmap, chunks of 8", "vmap, chunks of 32")
SHAPES = {
    "GPT 4×256, attention": (32, 128, 256, 768),
    "GPT 4×256, feed-forward": (32, 128, 1024, 256),
    "ViT 6×192, attention": (32, 65, 192, 576),
    "ViT 6×192, feed-forward": (32, 65, 768, 192),
    "GPT-2 block of 768, attention": (8, 128, 768, 2304),
    "GPT-2 block of 768, feed-forward": (8, 128, 3072, 768),
    "16 tokens": (64, 16, 1024, 1024),
    "4 tokens": (256, 4, 1024, 1024),
}
"""Samples, tokens, and lengths of the two sides."""


def main() -> None:
    """Time what was asked for; write it as JSON, or print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("workloads", "kernels"))
    parser.add_argument("names", nargs="*", help="workloads; by default those of one network")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU; this benchmark runs on one")
    if arguments.what == "kernels":
        rows = [kernel_row(name, shape) for name, shape in SHAPES.items()]
    else:
        names = arguments.names or [n for n in WORKLOADS if n != "ensemble"]
        rows = [row for name in names for row in workload_rows(name, arguments.device)]
    text = json.dumps(rows, indent=1, ensure_ascii=False)
    if arguments.json is None:
        print(text)
    else:
        arguments.json.write_text(text, encoding="utf-8")


def workload_rows(name: str, device: str) -> list[dict[str, Any]]:
    """Return seconds and errors of each method on a workload, the plain pass first."""
    workload = make(name)
    models = [model.to(device) for model in workload.models]
    x, y = workload.inputs.to(device), workload.targets.to(device)
    few = slice(0, CHECKED)
    exact = [model.double() for model in make(name).models]
    floats = workload.inputs.is_floating_point()
    reference = peers.each(peers.loop)(exact)(
        workload.inputs[few].double() if floats else workload.inputs[few], workload.targets[few]
    )
    works: dict[str, tuple[Callable[[], Any], int]] = {
        "plain pass": (lambda: peers.plain(models, x, y), len(x))
    }
    errors: dict[str, float] = {}
    for method in METHODS:
        extract = peers.METHODS[method](models)
        found = extract(x[few], y[few])
        errors[method] = max(relative_error(found[n].cpu(), reference[n]) for n in reference)
        samples = len(x) if method.startswith("fimtiers") else min(len(x), workload.few, 64)
        works[method] = (lambda e=extract, n=samples: e(x[:n], y[:n])), samples
    for work, _ in works.values():
        work()
    rounds = 3 if workload.rounds else ROUNDS
    times = [{m: seconds(work, device) for m, (work, _) in works.items()} for _ in range(rounds)]
    medians = {method: statistics.median(t[method] for t in times) for method in works}
    return [
        {
            "workload": name,
            "method": method,
            "samples": samples,
            "error": errors.get(method),
            "seconds": medians[method],
            "ratio": medians[method] / medians["plain pass"] * len(x) / samples,
        }
        for method, (_, samples) in works.items()
    ]


def kernel_row(name: str, shape: tuple[int, int, int, int]) -> dict[str, Any]:
    """Return the seconds of tiles and of the kernel on the layer of a workload."""
    samples, tokens, rows, columns = shape
    left = torch.randn(samples, tokens, 1, rows, device="cuda")
    right = torch.randn(samples, tokens, 1, columns, device="cuda")
    (tiles, kernel), error = compare(left, right)
    return {"layer": name, "shape": shape, "tiles": tiles, "kernel": kernel, "error": error}


def compare(left: Tensor, right: Tensor) -> tuple[list[float], float]:
    """Return the seconds of tiles and of the kernel, and their largest relative difference."""

    def tiles() -> Tensor:
        return squares._tile_squares(left.permute(0, 2, 3, 1), right.permute(0, 2, 1, 3))

    def kernel() -> Tensor:
        return fused.token_squares(left, right, 1.0)

    reference = tiles()
    error = float(((kernel() - reference) / reference).abs().amax())
    rounds = [[seconds(work, "cuda") for work in (tiles, kernel)] for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)], error


def seconds(work: Callable[[], Any], device: str) -> float:
    """Return the time of one call on the GPU, or of the processor."""
    if device == "cpu":
        begun = time.process_time()
        work()
        return time.process_time() - begun
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    stop.record()
    stop.synchronize()
    return start.elapsed_time(stop) / 1000


if __name__ == "__main__":
    main()
