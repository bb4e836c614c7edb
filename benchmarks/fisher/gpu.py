"""Run tests and benchmark of the engine on a device, each within a time, and write one JSON file.

What `benchmarks/gpu.sh` calls. Every step is a process of its own, so that one that hangs or dies
spoils itself alone; a step that failed is written down as such, and the exit status is 1.
"""

import argparse
import datetime
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

PACKAGES = (
    "torch", "numpy", "numba", "safetensors", "sklearn", "scipy", "transformers", "pytest",
    "hypothesis",
)  # fmt: skip
"""Modules that must be there."""

DISTRIBUTIONS = {"sklearn": "scikit-learn"}

SECONDS = {"unit tests": 150, "conformance": 150, "workloads": 120, "kernels": 45}
"""Most time of each step; together less than eight minutes."""

UNIT = ("tests/unit/fisher",)
CONFORMANCE = ("tests/conformance", "--hypothesis-profile=brief")
REHEARSED = {
    "unit tests": ("tests/unit/fisher/test_fisher_devices.py", "-k", "perceptron"),
    "conformance": (*CONFORMANCE, "-k", "Linear-float32 or matmul-float64"),
}
"""What a rehearsal on the processor runs of the tests."""


def main() -> int:
    """Run all steps; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--to", type=Path, default=Path("reports/benchmark/gpu.json"))
    arguments = parser.parse_args()
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        return say(f"{sys.executable} lacks {', '.join(missing)}; nothing was run.")
    import torch

    if arguments.device == "cuda" and not torch.cuda.is_available():
        return say(f"No GPU: torch {torch.__version__} finds no CUDA device; nothing was run.")
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    found = {"machine": machine(arguments.device), "steps": {}}
    rehearsal = arguments.device == "cpu"
    for name, command in steps(arguments.device).items():
        found["steps"][name] = step = run(name, command, SECONDS[name])
        arguments.to.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {step['status']}, {step['seconds']} s", flush=True)
    failed = [name for name, step in found["steps"].items() if step["status"] != "passed"]
    what = "Rehearsed on the processor" if rehearsal else f"Ran on {found['machine']['card']}"
    end = f"failed: {', '.join(failed)}" if failed else "all steps passed"
    print(f"{what}; {end}; see {arguments.to}.")
    return int(bool(failed))


def say(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def machine(device: str) -> dict[str, Any]:
    """Return what the numbers belong to: card, versions, date."""
    import torch

    card = None
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        card = f"{properties.name}, {properties.total_memory >> 30} GiB"
    return {
        "device": device,
        "card": card,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "versions": {name: installed(DISTRIBUTIONS.get(name, name)) for name in PACKAGES}
        | {"triton": installed("triton")},
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def commit() -> str | None:
    """Return the commit, or nothing where there is no git or no repository."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, encoding="utf-8"
        )
    except FileNotFoundError:
        return None
    return asked.stdout.strip() or None


def steps(device: str) -> dict[str, Sequence[str]]:
    """Return the arguments of Python for each step, ``{file}`` being where its results go."""
    tests = {"unit tests": UNIT, "conformance": CONFORMANCE}
    workloads = []
    if device == "cpu":
        tests, workloads = REHEARSED, ["small_mlp"]
    pytest = ("-m", "pytest", "-p", "no:cacheprovider", "--device", device, "--tb=line", "-q")
    found: dict[str, Sequence[str]] = {
        name: (*pytest, "--junit-xml={file}", *chosen) for name, chosen in tests.items()
    }
    benchmark = ("-m", "benchmarks.fisher.cuda", "--device", device, "--json", "{file}")
    found["workloads"] = (*benchmark, "workloads", *workloads)
    if device == "cuda" and find_spec("triton") is not None:
        found["kernels"] = (*benchmark, "kernels")
    return found


def run(name: str, command: Sequence[str], seconds: float) -> dict[str, Any]:
    """Run one step in a process of its own; return its status, time and results."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results"
        words = [sys.executable, *(word.format(file=file) for word in command)]
        try:
            ended = subprocess.run(
                words, capture_output=True, text=True, encoding="utf-8", timeout=seconds
            )
            status = "failed" if ended.returncode else "passed"
            output = ended.stdout + ended.stderr
        except subprocess.TimeoutExpired as stopped:
            status = f"stopped after {seconds} s"
            output = (stopped.stdout or b"").decode(errors="replace")
        results = read(file) if file.exists() else None
    step = {"status": status, "seconds": round(time.monotonic() - start, 1), "results": results}
    return step if status == "passed" else step | {"end of output": output[-2000:]}


def read(file: Path) -> Any:
    """Return the JSON of the benchmark, or the numbers and failures of a run of pytest."""
    text = file.read_text(encoding="utf-8")
    if not text.startswith("<"):
        return json.loads(text)
    cases = list(ElementTree.fromstring(text).iter("testcase"))
    bad = {
        f"{case.get('classname')}::{case.get('name')}": str(problem.get("message"))[:500]
        for case in cases
        for problem in (*case.findall("failure"), *case.findall("error"))
    }
    return {"tests": len(cases), "failed": len(bad), "failures": bad}


if __name__ == "__main__":
    sys.exit(main())
