"""Diagonals as files: sums and numbers of samples in safetensors, so that shards add up."""

import json
from functools import reduce
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from fimtiers.fisher.result import Diagonal

FORMAT = "fimtiers.fisher.Diagonal/1"


def save(diagonal: Diagonal, path: str | Path) -> None:
    """Write a diagonal to a safetensors file.

    The file appears under its name when it is complete.
    """
    path = Path(path)
    tensors = {f"sum/{name}": total.contiguous() for name, total in diagonal.sums.items()}
    tensors |= {f"symmetric/{n}": m.contiguous() for n, m in diagonal.symmetric.items()}
    about = {
        "n": diagonal.n,
        "kind": diagonal.kind,
        "unit": diagonal.unit,
        "routes": dict(diagonal.routes),
        "exponents": dict(diagonal.exponents),
    }
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, {"format": FORMAT, "about": json.dumps(about)})
    partial.replace(path)


def load(*paths: str | Path) -> Diagonal:
    """Read a diagonal, or the sum of several shards, added in the order given.

    Raises
    ------
    ValueError
        If a file was not written by `save`, or shards do not belong together.
    """
    if not paths:
        raise ValueError("no file given; expected at least one")
    return reduce(Diagonal.merge, map(_read, paths))


def _read(path: str | Path) -> Diagonal:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise ValueError(f"{path} has format {metadata.get('format')!r}; expected {FORMAT!r}")
        about = json.loads(metadata["about"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    return Diagonal(
        # The file sorts its tensors; routes kept the order of the parameters.
        sums={name: tensors[f"sum/{name}"] for name in about["routes"]},
        symmetric={
            name: tensors[f"symmetric/{name}"]
            for name in about["routes"]
            if f"symmetric/{name}" in tensors
        },
        **about,
    )
