"""Measure one workload: correctness, CPU time in interleaved rounds, and peak memory.

Times are CPU times of this process, on one thread, divided by that of one plain batched forward
and backward pass of the same round: what else the machine does then matters little. Memory is
measured in a fresh process per method, as what is in use at the peak.
"""

import argparse
import copy
import csv
import ctypes
import datetime
import multiprocessing
import os
import re
import statistics
import time
import warnings
from collections.abc import Callable
from math import nan
from pathlib import Path
from typing import Any

import torch

from benchmarks.fisher import peers
from benchmarks.fisher.runs import processor
from benchmarks.fisher.workloads import WORKLOADS, Workload

ROUNDS = 5
"""Rounds of the plain pass and of `fimtiers`, and most rounds of the others."""

BUDGET = 12.0
"""CPU seconds after which another method takes part in no further round."""

CHECKED = 4
"""Samples on which values are compared with the float64 loop."""

TOLERANCE = 1e-4
"""Largest relative error of a tensor that counts as agreement in float32."""

ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 16),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 16),
    "MALLOC_TOP_PAD_": "0",
}
"""Has glibc give memory back as soon as it is free, in processes that start with it. Otherwise the
peak is also that of what lies free between calls, and differs by half from one to the next."""

OWN = ("fimtiers", "fimtiers, stacked")
"""Methods of which a further batch is measured: on one network, on several."""

REPEATS, ENOUGH = 15, 0.1
"""Most runs of a method in a round, and CPU seconds after which there are no more."""

FIELDS = (
    "workload", "title", "target", "method", "status", "error", "missing", "samples", "rounds",
    "ratio", "low", "high", "further", "further_low", "further_high", "memory_mb", "first",
    "processor", "date",
)  # fmt: skip
Row = dict[str, Any]


def measure(name: str) -> list[Row]:
    """Return one row per method, the plain pass first."""
    workload = make(name)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    passes = peers.plain_passes(workload.models)
    rows = {method: Row(status="", samples=len(workload.inputs)) for method in passes}
    extracts = {}
    for method, prepare in taking_part(workload).items():
        rows[method], extract = check(workload, prepare)
        if extract is not None and method in peers.ESTIMATES:
            rows[method]["status"] = "estimate"
        if extract is not None:
            samples = count(workload, method)
            rows[method]["samples"] = samples
            extracts[method] = extract, samples
    time_rounds(workload, extracts, rows)
    keep_fastest_chunk(rows)
    for method, row in rows.items():
        if "ratio" in row:
            row["memory_mb"] = in_fresh_process(name, method, row["samples"])
        row.update(workload=name, title=workload.title, target=workload.target, method=method)
        row.update(first=workload.first, processor=processor(), date=today)
    return list(rows.values())


def make(name: str) -> Workload:
    """Return a workload with the same weights and data every time."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return WORKLOADS[name]()


def taking_part(workload: Workload) -> dict[str, Callable[..., Any]]:
    """Return the methods that are compared on a workload."""
    return {
        method: prepare
        for method, prepare in peers.methods(workload.models).items()
        if workload.peers is None or method.startswith("fimtiers") or method in workload.peers
    }


def count(workload: Workload, method: str) -> int:
    """Return the number of samples that a method gets."""
    full = method.startswith("fimtiers") or (
        workload.inputs.ndim == 2 and method in peers.NO_SAMPLE_GRADIENTS
    )
    return len(workload.inputs) if full else workload.few


def check(workload: Workload, prepare: Callable[..., Any]) -> tuple[Row, Any]:
    """Compare a method with the loop in float64 on few samples; return a row and the method."""
    x, y = workload.inputs[:CHECKED], workload.targets[:CHECKED]
    exact = [copy.deepcopy(model).double() for model in workload.models]
    reference = peers.each(peers.loop)(exact)(x.double() if x.is_floating_point() else x, y)
    try:
        extract = prepare(workload.models)
        found = extract(x.clone(), y)
        missing = sorted(set(reference) - set(found))
        given = [name for name in reference if name in found]
        error = max(relative_error(found[name], reference[name]) for name in given)
    except Exception as problem:  # what a peer raises is what is measured
        return Row(status=f"raises {type(problem).__name__}"), None
    status = "correct"
    if error > TOLERANCE:
        status = "wrong"
    elif missing:
        status = "incomplete"
    return Row(status=status, error=error, missing=f"{len(missing)} of {len(reference)}"), extract


def relative_error(found: torch.Tensor, reference: torch.Tensor) -> float:
    return float((found.double() - reference).norm() / reference.norm())


def time_rounds(workload: Workload, extracts: dict[str, Any], rows: dict[str, Row]) -> None:
    """Run all methods in turn, `ROUNDS` times, and add ratios to the plain pass to the rows."""
    x, y = workload.inputs, workload.targets
    spent = dict.fromkeys(extracts, 0.0)
    passes = peers.plain_passes(workload.models)
    ratios: dict[str, list[float]] = {method: [] for method in passes}
    further: dict[str, list[float]] = {}
    for run in passes.values():
        run(x, y)
    for method, (extract, samples) in extracts.items():
        # Kernels of `fimtiers` are compiled when there is enough to do.
        few = samples if method.startswith("fimtiers") else min(samples, CHECKED)
        extract(x[:few].clone(), y[:few])
    for number in range(workload.rounds or ROUNDS):
        units = {method: cpu_time(lambda r=run: r(x, y)) for method, run in passes.items()}
        unit = units["plain pass"]
        for method, seconds in units.items():
            ratios[method].append(seconds / unit)
        for method, (extract, n) in extracts.items():
            always = method.startswith("fimtiers") or number < 1 or workload.peers is not None
            if spent[method] > BUDGET and not always:
                continue
            part = x[:n].clone(), y[:n]
            seconds = cpu_time(lambda e=extract, p=part: e(*p))
            spent[method] += max(seconds, ENOUGH)
            ratios.setdefault(method, []).append(seconds / unit * len(x) / n)
            if method == OWN[len(workload.models) > 1]:
                more = cpu_time(batch_runner(workload, 2))
                further.setdefault(method, []).append((more - seconds) / unit)
    for method, values in ratios.items():
        median, low, high = statistics.median(values), min(values), max(values)
        rows[method].update(rounds=len(values), ratio=median, low=low, high=high)
    for method, values in further.items():
        median, low, high = statistics.median(values), min(values), max(values)
        rows[method].update(further=median, further_low=low, further_high=high)


def batch_runner(workload: Workload, number: int) -> Callable[[], Any]:
    """Return what runs `fimtiers` on several equal batches; all but the first cost no set-up."""
    batches = [(workload.inputs, workload.targets)] * number
    if len(workload.models) > 1:
        return lambda: peers.diagonal_ensemble(workload.models, peers.loss, batches)
    extract = peers.Extractor(workload.models[0], peers.loss)
    extract(batches[:1])
    return lambda: extract(batches)


def cpu_time(work: Callable[[], Any]) -> float:
    """Return the median CPU time of a few runs."""
    seconds: list[float] = []
    while not seconds or (len(seconds) < REPEATS and sum(seconds) < ENOUGH):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def keep_fastest_chunk(rows: dict[str, Row]) -> None:
    """Keep the fastest of the chunks of vmap."""
    chunks = [method for method in rows if method.startswith("vmap")]
    for method in sorted(chunks, key=lambda m: rows[m].get("ratio", float("inf")))[1:]:
        del rows[method]


def in_fresh_process(name: str, method: str, samples: int) -> float:
    """Return the peak of resident memory above that before the call, MB."""
    os.environ.update(ALLOCATOR)  # for the new process; too late for this one
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(peak_memory, (name, method, samples))


def peak_memory(name: str, method: str, samples: int) -> float:
    """Return the peak memory of one call after a first one, MB (Linux with glibc only).

    The first call loads code; what it leaves free goes back to the system before the second.
    """
    warnings.simplefilter("ignore")
    workload = make(name)
    x, y = workload.inputs[:samples].clone(), workload.targets[:samples]
    passes: dict[str, Callable[..., Any]] = {**peers.plain_passes(workload.models)}
    work = passes.get(method) or peers.methods(workload.models)[method](workload.models)
    work(x, y)
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets the high-water mark
    before = resident("VmRSS")
    work(x, y)
    return (resident("VmHWM") - before) / 1024


def resident(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1])


def main() -> None:
    """Measure the workloads named, each into a CSV file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", metavar="workload", help=", ".join(WORKLOADS))
    parser.add_argument("--directory", type=Path, default=Path("reports/benchmark"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for name in arguments.workloads or WORKLOADS:
        rows = measure(name)
        with (arguments.directory / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)
        for row in rows:
            print(f"{name:12} {row['method']:22} {row['status']:22} {row.get('ratio', nan):8.2f}")


if __name__ == "__main__":
    main()
