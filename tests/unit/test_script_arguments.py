"""What scripts do with their arguments: those that are left out, and those that are wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fimtiers import io
from fimtiers.failures import FILE
from fimtiers.records import FisherDiagonal, Tensor
from fimtiers.tables import read_table

ROOT = Path(__file__).parents[2]
TENSORS = (Tensor("weight", 0, "weight", (2, 3)), Tensor("head", 1, "weight", (2,)))
JOB = {"system": "net", "substrate": "mlp", "seeds": [0], "points": [["depth=2", {"depth": 2}]]}


@pytest.fixture
def run(tmp_path):
    """Give a way to run a script; its exit status, the end of its log and the causes of the run."""

    def run_script(script, *arguments):
        log, causes = tmp_path / "logs/a.log", tmp_path / "causes"
        done = subprocess.run(
            [sys.executable, ROOT / "workflow/scripts" / script, "--log", log, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), FILE: str(causes)},
            capture_output=True,
            check=False,
        )
        said = causes.read_text(encoding="utf-8") if causes.exists() else ""
        return done.returncode, log.read_text(encoding="utf-8"), said

    return run_script


def test_one_check_is_evaluated_without_the_others(run, tmp_path):
    fim = np.arange(1.0, 9.0)[None]
    diagonal = FisherDiagonal(fim, TENSORS, 10, "exact", "loss")
    io.write_fisher(tmp_path / "net.nc", {"depth=2": diagonal}, JOB, {})
    table = tmp_path / "checks.csv"
    status, log, _ = run(
        "evaluate_checks.py",
        *("--settings", json.dumps({"pooling": {"seeds": [0]}})),
        *("--pooling", tmp_path / "net.nc", "--spectrum", "--observables", "--states"),
        *("--output", table),
    )
    assert status == 0, log
    assert set(read_table(table)["experiment"]) == {"V6.0c"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--settings", "{"], "argument --settings: invalid loads value: '{'"),
        (["--settings", "{}"], "the following arguments are required: --output"),
        (["--settings", "{}", "--output", "a", "--more", "b"], "unrecognized arguments: --more b"),
    ],
)
def test_a_script_that_dies_in_its_arguments_says_why_in_its_log(run, arguments, message):
    status, log, causes = run("build_states.py", *arguments)
    assert status == 1
    assert log.rstrip().endswith(causes.rstrip())
    assert causes.startswith(f"build_states failed: ValueError: {message}")
