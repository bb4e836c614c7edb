"""Tables and small results as CSV and JSON, written in one step, every digit kept."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fimtiers.io import atomic


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV; floats have all the digits that tell them apart."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table that `write_table` wrote; text that looks empty stays text."""
    return pd.read_csv(
        path,
        float_precision="round_trip",
        keep_default_na=False,
        na_values=["nan", ""],
        encoding="utf-8",
    )


def write_json(path: Path, result: Any) -> None:
    """Write a result as JSON, in one step.

    Dataclasses become objects, tables lists of objects, ∞ and NaN the texts "inf" and "nan".
    """
    with atomic(path) as temporary:
        text = json.dumps(_plain(result), indent=2, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote, with the texts "inf" and "nan" as numbers again."""
    return _numbers(json.loads(path.read_text(encoding="utf-8")))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, pd.DataFrame):
        return _plain(value.to_dict("records"))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if value in ("inf", "-inf", "nan") else value
