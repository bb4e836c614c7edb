"""NetCDF files of states and Fisher diagonals: one file per system and stage, one group per point.

``xarray.open_datatree`` shows everything a reader needs: values with their seeds, the tensor that
each parameter belongs to, the settings, how F was estimated, and the versions that made the file.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fimtiers.records import FisherDiagonal, Settings, State, Tensor, Variable

CONVENTIONS = "CF-1.11"
CHECKED = {"fletcher32": True}
"""A checksum of each chunk, which any netCDF reader checks."""
COMPRESSED = {"zlib": True, "complevel": 1, "shuffle": True, **CHECKED}
"""Lossless. For integers: the noise in real numbers shrinks by a fifth at five times the cost."""
LOCKING = "HDF5_USE_FILE_LOCKING"
"""Environment variable that the HDF5 library reads when it is loaded."""
os.environ.setdefault(LOCKING, "FALSE")
# No file is read while it is written (see `atomic`), so none has to be locked; some file systems of
# clusters have no locks, and the library would fail there.
SEAL = b"\nblake2b %s\n"
"""Last bytes of a file: a hash of all before. HDF5 readers ignore what follows their data."""
BLOCK_BYTES = 1 << 20
TENSOR_TABLE = ("tensor_name", "layer", "role", "shape")


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` if all went well.

    Whatever happens before the rename, `path` does not exist half-written. Leftovers of killed
    processes with the same target are removed.

    Raises
    ------
    OSError
        If the file cannot be written; the message names it and the space left on its disk.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in path.parent.glob(f".{path.name}.*.partial{path.suffix}"):
            leftover.unlink(missing_ok=True)
        yield temporary
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        details = f"{error}{_space_left(path.parent)}{_locking_advice(error)}"
        raise OSError(f"cannot write {path}: {details}") from error
    finally:
        with contextlib.suppress(NotADirectoryError):
            temporary.unlink(missing_ok=True)


def _space_left(folder: Path) -> str:
    if not folder.is_dir():
        return ""
    return f"; {shutil.disk_usage(folder).free / 1e6:.1f} MB left on its disk"


def _locking_advice(error: Exception) -> str:
    """Say that locks may be the cause, where the HDF5 library was told to lock; it says nothing."""
    locking = os.environ.get(LOCKING)
    if "HDF" not in str(error) or locking == "FALSE":
        return ""
    return (
        f"; {LOCKING} is {locking}, which fails if another program holds the file or its file "
        "system has no locks: unset it"
    )


def write_tree(path: Path, tree: xr.DataTree) -> None:
    """Write `tree` to a netCDF-4 file in one step, integers compressed, sealed with a checksum."""
    encoding = {
        node.path: {
            name: CHECKED if variable.dtype.kind == "f" else COMPRESSED
            for name, variable in node.variables.items()
            if variable.dtype.kind in "biuf" and variable.ndim
        }
        for node in tree.subtree
    }
    with atomic(path) as temporary:
        tree.to_netcdf(temporary, engine="netcdf4", encoding=encoding, write_inherited_coords=False)
        seal = _seal(temporary, temporary.stat().st_size)
        with temporary.open("ab") as file:
            file.write(seal)


def read_tree(path: Path) -> xr.DataTree:
    """Read a whole file into memory.

    The seal is checked first: the HDF5 library may crash on a damaged file, and it checks numbers
    but not names and attributes.

    Raises
    ------
    OSError
        If the file is missing, truncated, damaged, or whole and not to be read all the same; the
        message names it.
    """
    with _named_if_damaged(path), xr.open_datatree(path, engine="netcdf4") as tree:
        return tree.load()


def read_attributes(path: Path) -> dict[str, str]:
    """Read the attributes of a whole file and none of its numbers; the errors of `read_tree`."""
    with _named_if_damaged(path), xr.open_dataset(path, engine="netcdf4") as root:
        return dict(root.attrs)


@contextlib.contextmanager
def _named_if_damaged(path: Path) -> Iterator[None]:
    """Check the seal of a file before it is read; say its name if that or the reading fails."""
    try:
        size = path.stat().st_size - len(_seal(path, 0))
        with path.open("rb") as file:
            file.seek(max(size, 0))
            intact = file.read() == _seal(path, size)
    except OSError as error:
        raise OSError(f"cannot read {path}: {error}") from error
    if not intact:
        raise OSError(
            f"cannot read {path}: it is damaged or incomplete, its checksum does not match; "
            "delete it and run again"
        )
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        advice = f"; its checksum is right, so the file is whole{_locking_advice(error)}"
        raise OSError(f"cannot read {path}: {error}{advice}") from error


def _seal(path: Path, size: int) -> bytes:
    """Make the seal of the first `size` bytes of a file."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, BLOCK_BYTES))):
            digest.update(block)
            size -= len(block)
    return SEAL % digest.hexdigest().encode()


def write_states(
    path: Path, states: Mapping[str, State], job: Settings, attributes: Mapping[str, str]
) -> None:
    """Write one state per point.

    Parameters
    ----------
    path
        File to write.
    states
        Point name to state.
    job
        Settings of the job: ``seeds`` and, under ``points``, name and settings of each point.
    attributes
        Further attributes of the file, see `provenance_attributes`.
    """
    nodes = {"/": xr.Dataset(attrs=_file_attributes(job, attributes))}
    for point, settings in job["points"]:
        state = states[point]
        dataset = _parameter_dataset("theta", state.theta, state.tensors, job["seeds"])
        dataset["theta"].attrs["long_name"] = "parameters"
        dataset = dataset.assign(_prefixed("fixed", state.fixed))
        dataset = dataset.assign(_prefixed("diagnostic", state.diagnostics))
        dataset.attrs["settings"] = json.dumps(settings)
        nodes[f"/{point}"] = dataset
    write_tree(path, xr.DataTree.from_dict(nodes))


def read_states(path: Path) -> dict[str, State]:
    """Read the states that `write_states` wrote, by point."""
    return {
        point: State(
            theta=dataset["theta"].values,
            tensors=_read_tensors(dataset),
            fixed=_unprefixed("fixed", dataset),
            diagnostics=_unprefixed("diagnostic", dataset),
        )
        for point, dataset in _read_points(path)
    }


def write_fisher(
    path: Path,
    diagonals: Mapping[str, FisherDiagonal],
    job: Settings,
    attributes: Mapping[str, str],
) -> None:
    """Write one Fisher diagonal per point; the arguments are those of `write_states`."""
    nodes = {"/": xr.Dataset(attrs=_file_attributes(job, attributes))}
    for point, settings in job["points"]:
        diagonal = diagonals[point]
        dataset = _parameter_dataset("fim", diagonal.fim, diagonal.tensors, job["seeds"])
        dataset["fim"].attrs = {
            "long_name": "diagonal of the Fisher information",
            "cell_methods": "probe: mean of squared gradients",
        }
        dataset = dataset.assign(_prefixed("diagnostic", diagonal.diagnostics))
        dataset.attrs = {
            "settings": json.dumps(settings),
            "probes": diagonal.probes,
            "estimator": diagonal.estimator,
            "definition": diagonal.definition,
        }
        nodes[f"/{point}"] = dataset
    write_tree(path, xr.DataTree.from_dict(nodes))


def read_fisher(path: Path) -> dict[str, FisherDiagonal]:
    """Read the Fisher diagonals that `write_fisher` wrote, by point."""
    return {
        point: FisherDiagonal(
            fim=dataset["fim"].values,
            tensors=_read_tensors(dataset),
            probes=int(dataset.attrs["probes"]),
            estimator=dataset.attrs["estimator"],
            definition=dataset.attrs["definition"],
            diagnostics=_unprefixed("diagnostic", dataset),
        )
        for point, dataset in _read_points(path)
    }


def _read_points(path: Path) -> list[tuple[str, xr.Dataset]]:
    return [(point, node.to_dataset()) for point, node in read_tree(path).children.items()]


def _file_attributes(job: Settings, attributes: Mapping[str, str]) -> dict[str, str]:
    return {
        "Conventions": CONVENTIONS,
        "title": f"fimtiers system {job['system']}",
        "substrate": job["substrate"],
        "settings": json.dumps(job),
        **attributes,
    }


def _parameter_dataset(
    name: str, values: NDArray[Any], tensors: tuple[Tensor, ...], seeds: list[int]
) -> xr.Dataset:
    index = np.repeat(np.arange(len(tensors), dtype=np.int32), [t.size for t in tensors])
    columns = {
        "tensor_name": [tensor.name for tensor in tensors],
        "layer": np.array([tensor.layer for tensor in tensors], np.int32),
        "role": [tensor.role for tensor in tensors],
        "shape": [",".join(map(str, tensor.shape)) for tensor in tensors],
    }
    return xr.Dataset(
        {
            name: (("seed", "parameter"), values),
            "tensor": ("parameter", index, {"long_name": "position in the table of tensors"}),
            **{column: ("tensor_table", np.asarray(rows)) for column, rows in columns.items()},
        },
        coords={"seed": np.asarray(seeds), "parameter": np.arange(values.shape[1])},
    )


def _read_tensors(dataset: xr.Dataset) -> tuple[Tensor, ...]:
    rows = zip(*(dataset[column].values.tolist() for column in TENSOR_TABLE), strict=True)
    return tuple(
        Tensor(name, layer, role, tuple(int(n) for n in shape.split(",") if n))
        for name, layer, role, shape in rows
    )


def _prefixed(prefix: str, variables: Mapping[str, Variable]) -> dict[str, Variable]:
    return {f"{prefix}_{name}": variable for name, variable in variables.items()}


def _unprefixed(prefix: str, dataset: xr.Dataset) -> dict[str, Variable]:
    start = f"{prefix}_"
    return {
        str(name).removeprefix(start): (tuple(map(str, variable.dims)), variable.values)
        for name, variable in dataset.data_vars.items()
        if str(name).startswith(start)
    }


def write_tiers(
    path: Path,
    summaries: Mapping[str, Mapping[str, NDArray[Any]]],
    job: Settings,
    attributes: Mapping[str, str],
    describe: Callable[[str], dict[str, str]],
) -> None:
    """Write the statistics of all points and seeds of a system.

    Parameters
    ----------
    path
        File to write.
    summaries
        Point name to statistic name to values, shape (seed,) or (probe_count, seed).
    job, attributes
        As for `write_states`. The settings that differ between points become coordinates.
    describe
        From the name of a statistic, the attributes of its variable. It is an argument, so that
        reading a state does not depend on the code of the statistics.
    """
    points = [point for point, _ in job["points"]]
    variables: dict[str, Any] = {}
    for name in summaries[points[0]]:
        values = np.stack([summaries[point][name] for point in points])
        dims = ("point", "seed") if values.ndim == 2 else ("point", "probe_count", "seed")
        variables[name] = (dims, values, describe(name))
    coords: dict[str, Any] = {"point": points, "seed": np.asarray(job["seeds"])}
    for key in job["points"][0][1]:
        setting = [settings[key] for _, settings in job["points"]]
        if any(value != setting[0] for value in setting):
            coords[key] = ("point", setting)
    if "probe_counts" in job:
        coords["probe_count"] = np.asarray(job["probe_counts"])
    dataset = xr.Dataset(variables, coords=coords, attrs=_file_attributes(job, attributes))
    write_tree(path, xr.DataTree(dataset))


def read_tiers(path: Path) -> xr.Dataset:
    """Read what `write_tiers` wrote, with dimensions (point, seed)."""
    return read_tree(path).to_dataset()
