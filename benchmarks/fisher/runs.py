"""Runs of the benchmark: a folder of CSV files each, kept by date and processor."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import pandas as pd


def processor() -> str:
    """Return the model of the processor, where Linux tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "an unknown processor"


def folders(recorded: Path) -> list[Path]:
    """Return the folders of recorded runs, oldest first."""
    return sorted(path for path in recorded.glob("*") if path.is_dir())


def read(where: Iterable[Path]) -> dict[str, list[pd.DataFrame]]:
    """Return the tables of each workload, in the order of the folders; a run counts once."""
    found: dict[str, list[pd.DataFrame]] = {}
    for folder in where:
        for file in sorted(folder.glob("*.csv")):
            table, known = pd.read_csv(file, encoding="utf-8"), found.setdefault(file.stem, [])
            if not any(table.equals(other) for other in known):
                known.append(table)
    return found


def record(results: Path, recorded: Path) -> Path:
    """Keep the results of a run under its date and processor; return the folder.

    Raises
    ------
    FileNotFoundError
        If there are no results.
    """
    files = sorted(results.glob("*.csv"))
    if not files:
        raise FileNotFoundError(f"no results in {results}; run `make benchmark`")
    newest = max(map(identity, map(pd.read_csv, files)))
    kept = recorded / re.sub(r"[^\w.-]+", "-", " ".join(newest))
    kept.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, kept)
    return kept


def identity(table: pd.DataFrame) -> tuple[str, str]:
    """Return the date and the processor of a table."""
    return str(table.date[0]), str(table.processor[0])


def listed(tables: Iterable[pd.DataFrame]) -> str:
    """Return a sentence that names the runs."""
    known = sorted({identity(table) for table in tables})
    named = "; ".join(f"{date}, {model}" for date, model in known)
    return f"Runs: {named}.\n"
