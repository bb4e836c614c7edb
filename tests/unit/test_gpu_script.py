"""The script for a GPU runs from end to end without one, and says what it lacks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **further: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [ROOT / "benchmarks/gpu.sh", *arguments],
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin", **further},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_rehearsal_on_the_processor_takes_every_step_and_writes_the_results(tmp_path):
    ended = run("--device", "cpu", "--to", str(tmp_path / "gpu.json"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["machine"]["versions"]["torch"] == torch.__version__
    assert found["machine"]["date"].startswith("20")
    steps = found["steps"]
    assert [step["status"] for step in steps.values()] == ["passed"] * 3
    assert all(steps[name]["results"]["tests"] > 0 for name in ("unit tests", "conformance"))
    ratios = {row["method"]: row["ratio"] for row in steps["workloads"]["results"]}
    assert ratios["plain pass"] == 1
    assert {"fimtiers", "fimtiers, first call", "loop"} < set(ratios)


def test_without_a_gpu_it_ends_in_one_sentence(tmp_path):
    ended = run("--to", str(tmp_path / "gpu.json"), CUDA_VISIBLE_DEVICES="")
    assert ended.returncode == 1
    assert ended.stderr.strip().startswith("No GPU: torch")
    assert len(ended.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
