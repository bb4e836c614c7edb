"""Where results come from: the systems, code and package versions named in their files."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

Attributes = Mapping[str, str]
"""Attributes of a results file, see `fimtiers.io.read_attributes`."""


def describe_versions(files: Sequence[Attributes], commit: str) -> pd.DataFrame:
    """Return the versions of all that made some files.

    Parameters
    ----------
    files
        Attributes of each file.
    commit
        Of the code that the workflow runs, see `fimtiers.commit`.

    Returns
    -------
    DataFrame
        ``name``, ``version`` and ``files``, the number of files that were made with it. A package
        has a row for each version in use, and counts where it was loaded. The commit has no count.
    """
    used = Counter(
        (name, version)
        for file in files
        for name, version in {
            "fimtiers": file["fimtiers_version"],
            **json.loads(file["versions"]),
        }.items()
    )
    rows = [{"name": "commit of the checkout", "version": commit, "files": pd.NA}]
    rows += [
        {"name": name, "version": version, "files": count}
        for (name, version), count in sorted(used.items())
    ]
    return pd.DataFrame(rows).astype({"files": "Int64"})


def describe_systems(
    stages: Mapping[str, Sequence[Attributes]], groups: Mapping[str, str]
) -> pd.DataFrame:
    """Return what each system of a study is, and a hash of the code that made each of its files.

    Parameters
    ----------
    stages
        Name of a stage, such as ``fisher``, to the attributes of its files, one for each system.
    groups
        Name of a system to its claimed group.

    Returns
    -------
    DataFrame
        One row per system: ``system``, ``group``, ``substrate``, ``seeds``, ``points``, their
        number, ``settings``, a setting that is swept with all its values, and, for each stage,
        ``STAGE_code``. Equal hashes mean equal code; a system that measures the states of another
        has none of its own.
    """
    systems: dict[str, dict[str, Any]] = {}
    for stage, files in stages.items():
        for file in files:
            job = json.loads(file["settings"])
            row = systems.setdefault(job["system"], {})
            # States do not know the settings that only later stages read.
            row.update({**_description(job, groups), f"{stage}_code": file["code"]})
    return pd.DataFrame(systems.values())


def _description(job: Mapping[str, Any], groups: Mapping[str, str]) -> dict[str, Any]:
    points = [settings for _, settings in job["points"]]
    values = {
        name: list(dict.fromkeys(json.dumps(settings[name]) for settings in points))
        for name in points[0]
    }
    return {
        "system": job["system"],
        "group": groups[job["system"]],
        "substrate": job["substrate"],
        "seeds": ", ".join(map(str, job["seeds"])),
        "points": len(points),
        "settings": "; ".join(f"{name}: {', '.join(texts)}" for name, texts in values.items()),
    }
