"""What is done, what will run, and why: ``python -m fimtiers.status [snakemake arguments]``.

Without arguments it speaks of the default study and of the smoke study, of each that has results.

Snakemake decides what runs. Its dry run says so job by job, with the parameters of a job before and
now as text; here they are compared module by module and setting by setting, and the jobs are listed
under the change that causes them.
"""

import ast
import json
import os
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fimtiers.study import ONLY_POINT

SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))
JOB = re.compile(r"^(?:local)?rule (\w+):$|^    (reason|wildcards): (.+)$", re.MULTILINE)
PARAMS = re.compile(r"across all output: before: (.*) now: (.*?)\s*(?:; [A-Z].*)?$")
UNRECORDED = re.compile(r"^(\d+) jobs have missing provenance/metadata", re.MULTILINE)
TARGETS = ("all", "panel", "mechanism")
FOLLOWS = "follows from the above"
DEFAULT, SMOKE = Path("config/config.yaml"), Path("config/smoke.yaml")
NOTHING_YET = "nothing of the default study is there yet."
WIDTH = 100


@dataclass(frozen=True)
class PlannedJob:
    """One job that Snakemake would start."""

    rule: str
    wildcards: str
    reason: str

    def __str__(self) -> str:
        return " ".join(filter(None, [self.rule, self.wildcards]))


def explain(dry_run: str, all_jobs: str) -> str:
    """Say what is done and what will run, each job under its cause.

    Parameters
    ----------
    dry_run
        Output of ``snakemake --dry-run``.
    all_jobs
        Output of ``snakemake --dry-run --forceall``.
    """
    planned, total = planned_jobs(dry_run), len(planned_jobs(all_jobs))
    lines = [f"{total - len(planned)} of {total} jobs are done and up to date."]
    unrecorded = UNRECORDED.search(dry_run)
    if unrecorded:
        lines.append(
            f"{unrecorded[1]} of them have results without a record in .snakemake/metadata: "
            "whether these are up to date is not known."
        )
    if planned:
        lines.append(counts_by_rule(planned))
    by_cause: dict[str, list[str]] = {}
    for job in planned:
        for cause in causes(job.reason) or [FOLLOWS]:
            by_cause.setdefault(cause, []).append(str(job))
    for cause, jobs in sorted(by_cause.items(), key=lambda item: item[0] == FOLLOWS):
        lines += ["", f"{cause}:", *(f"  {job}" for job in sorted(jobs))]
    return "\n".join(lines)


def counts_by_rule(planned: list[PlannedJob]) -> str:
    """Count the jobs, first those of the rule with the most."""
    counts = sorted(Counter(job.rule for job in planned).items(), key=lambda c: (-c[1], c[0]))
    together = "\N{NO-BREAK SPACE}"
    listed = ", ".join(f"{count}{together}{rule}" for rule, count in counts)
    noun = "job" if len(planned) == 1 else "jobs"
    text = textwrap.fill(f"{len(planned)} {noun} would run: {listed}.", WIDTH)
    return text.replace(together, " ")


def planned_jobs(dry_run: str) -> list[PlannedJob]:
    """Read the jobs from the output of a dry run; targets make nothing and are left out."""
    jobs: list[dict[str, str]] = []
    for rule, name, value in JOB.findall(dry_run):
        if rule:
            jobs.append({"rule": rule, "wildcards": "", "reason": ""})
        else:
            jobs[-1][name] = value.replace(", ", " ") if name == "wildcards" else value
    return [PlannedJob(**job) for job in jobs if job["rule"] not in TARGETS]


def causes(reason: str) -> list[str]:
    """Name what changed, from the reason that Snakemake gives for a job.

    A job that only follows another one has no cause of its own.
    """
    found = []
    if "Params have changed" in reason:
        found += changed_params(reason)
    if "Code has changed" in reason:
        found.append("the rule itself changed")
    if "Software environment" in reason:
        found.append("the conda environment changed")
    updated = re.search(r"Updated input files: ([^;]+)", reason)
    if updated:
        found.append(f"{updated[1].strip()} changed")
    if "Incomplete output files" in reason:
        found.append("interrupted before it was done")
    if "Set of input files has changed" in reason and not found:
        found.append("other input files than before")
    if "Missing output files" in reason and "updated by another job" not in reason and not found:
        found.append("no result yet")
    return found


def changed_params(reason: str) -> list[str]:
    """Compare the parameters before and now, module by module and setting by setting."""
    match = PARAMS.search(reason)
    if not match:
        return ["parameters changed"]
    before, now = map(_parameters, match.groups())
    return [*_changed_code(before["code"], now["code"]), *_changed_settings(before, now)]


def _parameters(text: str) -> dict[str, dict[str, Any]]:
    """Read the parameters, which Snakemake prints as Python literals of JSON texts."""
    parameters: dict[str, dict[str, Any]] = {"code": {}, "settings": {}}
    if not text.startswith("<nothing"):
        for literal in ast.literal_eval(f"[{text}]"):
            value = json.loads(literal)
            parameters["code" if "fimtiers.job" in value else "settings"] = value
    return parameters


def _changed_code(before: dict[str, str], now: dict[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if name.startswith("file "):
            yield f"{name} changed"
        elif not name.startswith("fimtiers") and not name.endswith(".py"):
            yield f"package {name}: {old or 'none'} → {new or 'none'}"
        elif old and new:
            yield f"{name} changed"
        else:
            yield f"{name} is imported {'now' if new else 'no more'}"


def _changed_settings(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    old, new = before["settings"], now["settings"]
    if not (old and new):
        return
    where = f"{new['system']}: " if "system" in new else ""
    old_points, new_points = (dict(side.pop("points", [])) for side in (old, new))
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield f"{where}{name} {_shown(old, name)} → {_shown(new, name)}"
    for point in dict.fromkeys([*old_points, *new_points]):
        if point in old_points and point in new_points:
            yield from _changed_point(where, point, old_points[point], new_points[point])
        else:
            yield f"{where}point {point} is {'new' if point in new_points else 'gone'}"


def _changed_point(
    where: str, point: str, old: dict[str, Any], new: dict[str, Any]
) -> Iterator[str]:
    at = "" if point == ONLY_POINT else f" at {point}"
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield f"{where}{name} {_shown(old, name)} → {_shown(new, name)}{at}"


def _shown(settings: dict[str, Any], name: str) -> str:
    return json.dumps(settings[name], ensure_ascii=False) if name in settings else "none"


def known_studies() -> dict[str, list[str]]:
    """Return the arguments of Snakemake for each shipped study with results, by its ``make``.

    Of the smoke study the sweeps are left out while there is nothing of them.
    """
    smoke = _results(SMOKE)
    if smoke is None or not smoke.is_dir():
        return {"make": []}
    targets = ["panel", *(["mechanism"] if (smoke / "statistics/sweeps").is_dir() else [])]
    studies = {"make smoke": ["--configfile", str(DEFAULT), str(SMOKE), "--", *targets]}
    results = _results(DEFAULT) or Path("results")
    if any(folder != smoke for folder in results.glob("*")):
        studies = {"make": [], **studies}
    return studies


def _results(study: Path) -> Path | None:
    """Return where a study writes, by its own file; None if that does not say."""
    if not study.is_file():
        return None
    content = yaml.safe_load(study.read_text(encoding="utf-8")) or {}
    folder = content.get("pathvars", {}).get("results")
    return Path(folder) if folder else None


def main(arguments: list[str]) -> None:
    """Print the status of the study that Snakemake would run with these arguments."""
    studies = {"": arguments} if arguments else known_studies()
    texts = [_status(chosen) for chosen in studies.values()]
    if list(studies) in ([""], ["make"]):
        _print(texts[0])
        return
    texts = [f"{name}: {text}" for name, text in zip(studies, texts, strict=True)]
    if "make" not in studies:
        texts.append(f"make: {NOTHING_YET}")
    _print("\n\n".join(texts))


def _status(arguments: list[str]) -> str:
    dry_runs = [
        subprocess.run(
            [SNAKEMAKE, "--dry-run", *flags, *_told_in_full(arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env={**os.environ, "PYTHONUTF8": "1"},
            check=False,
        )
        for flags in ([], ["--forceall"])
    ]
    for dry_run in dry_runs:
        if dry_run.returncode:
            sys.exit(dry_run.stdout)
    return explain(*(dry_run.stdout for dry_run in dry_runs))


def _told_in_full(arguments: list[str]) -> list[str]:
    """Let Snakemake leave out no more than its host, whatever the arguments or a profile ask for.

    What follows two dashes are targets, so this goes in front of them.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:end], "--quiet", "host", *arguments[end:]]


def _print(text: str) -> None:
    """Print a text, of which whoever reads it, such as ``head``, may want no more than a part."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main(sys.argv[1:])
