"""The page of the benchmark shows the range over recorded runs, with their processors."""

import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.fisher import runs, summary

    yield runs, summary
    for name in [name for name in sys.modules if name.startswith("benchmarks")]:
        monkeypatch.delitem(sys.modules, name)


def table(date: str, processor: str, prepared: float, peer: float) -> pd.DataFrame:
    costs = {"plain pass": 1, "fimtiers": prepared, "fimtiers, first call": 1.3, "nngeometry": peer}
    return pd.DataFrame([
        {
            "title": "MLP, 10 samples", "target": 1.25, "first": None, "method": method,
            "status": "" if method == "plain pass" else "correct", "ratio": ratio,
            "further": 1.0 if method == "fimtiers" else None, "samples": 10, "memory_mb": 2,
            "date": date, "processor": processor,
        }
        for method, ratio in costs.items()
    ])  # fmt: skip


def test_the_summary_is_of_all_runs_and_bold_where_one_misses_the_requirement(benchmarks):
    runs, summary = benchmarks
    tables = [table("2026-01-01", "A", 1.1, 1.4), table("2026-02-01", "B (R) @ 2 GHz", 1.3, 1.2)]
    line = summary.summary([tables]).splitlines()[-1]
    assert "| **1.10–1.30** |" in line
    assert "| **1.20–1.40 (nngeometry)** |" in line
    assert runs.listed(tables) == "Runs: 2026-01-01, A; 2026-02-01, B (R) @ 2 GHz.\n"


def test_a_run_is_kept_by_date_and_processor_and_counts_once(benchmarks, tmp_path):
    runs, _ = benchmarks
    results, recorded = tmp_path / "results", tmp_path / "recorded"
    results.mkdir()
    table("2026-02-01", "B (R) @ 2 GHz", 1.3, 1.2).to_csv(results / "small_mlp.csv", index=False)
    kept = runs.record(results, recorded)
    assert kept.name == "2026-02-01-B-R-2-GHz"
    found = runs.read([*runs.folders(recorded), results])
    assert [len(tables) for tables in found.values()] == [1]
