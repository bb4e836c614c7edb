"""Time the fused kernel against tiles on a GPU, over the layers of the workloads with tokens.

    python -m benchmarks.fisher.cuda

To be run by hand where there is a GPU and Triton; nothing in the repository reports its numbers.
Seconds are those between two events on the GPU, the median of interleaved rounds.
"""

import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from fimtiers.fisher import fused, squares

ROUNDS = 9
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
    """Print the table."""
    if not torch.cuda.is_available():
        raise SystemExit("no GPU; this benchmark compares kernels on one")
    print("| layer | samples | tokens | left | right | tiles, ms | kernel, ms | error |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, (samples, tokens, rows, columns) in SHAPES.items():
        left = torch.randn(samples, tokens, 1, rows, device="cuda")
        right = torch.randn(samples, tokens, 1, columns, device="cuda")
        times, error = compare(left, right)
        tiles, kernel = (1000 * t for t in times)
        print(
            f"| {name} | {samples} | {tokens} | {rows} | {columns} "
            f"| {tiles:.3f} | {kernel:.3f} | {error:.1e} |"
        )


def compare(left: Tensor, right: Tensor) -> tuple[list[float], float]:
    """Return the seconds of tiles and of the kernel, and their largest relative difference."""

    def tiles() -> Tensor:
        return squares._tile_squares(left.permute(0, 2, 3, 1), right.permute(0, 2, 1, 3))

    def kernel() -> Tensor:
        return fused.token_squares(left, right, 1.0)

    reference = tiles()
    error = float(((kernel() - reference) / reference).abs().amax())
    rounds = [[seconds(work) for work in (tiles, kernel)] for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)], error


def seconds(work: Callable[[], Tensor]) -> float:
    """Return the time of one call on the GPU."""
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    stop.record()
    stop.synchronize()
    return start.elapsed_time(stop) / 1000


if __name__ == "__main__":
    main()
