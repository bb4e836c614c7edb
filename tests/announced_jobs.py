"""The jobs that Snakemake announces, read from what it prints."""

import re
from collections import Counter

from fimtiers.status import TARGETS

JOB = re.compile(
    r"^(?:local)?rule (?P<rule>\w+):$"
    r"|^    (?P<field>input|output|wildcards): (?P<value>.+)$",
    re.MULTILINE,
)


def jobs_of(output: str) -> Counter[str]:
    """Count the announced jobs, as ``rule`` or ``rule wildcard=value ...``.

    Only the rules that make something count, so `all` and the like are left out.
    """
    return Counter(_name(job) for job in _described_jobs(output))


def with_followers(output: str, *roots: str) -> Counter[str]:
    """Count the jobs `roots` and all that need their files, in a run that announced all jobs."""
    made_by: dict[str, str] = {}
    needs: dict[str, list[str]] = {}
    for job in _described_jobs(output):
        made_by |= dict.fromkeys(job["output"].split(", "), _name(job))
        needs[_name(job)] = job["input"].split(", ")
    assert set(roots) <= set(needs), f"{sorted(set(roots) - set(needs))} are no jobs of this study"
    chosen = set(roots)
    while True:
        reached = {job for job in needs if any(made_by.get(f) in chosen for f in needs[job])}
        if reached <= chosen:
            return Counter(chosen)
        chosen |= reached


def files_without_a_target(output: str) -> set[str]:
    """Find the files that some announced job makes and that no announced target names."""
    made = {path for job in _described_jobs(output) for path in job["output"].split(", ")}
    named = {
        path for job in _described_jobs(output, of=TARGETS) for path in job["input"].split(", ")
    }
    assert named
    return made - named


def _described_jobs(output: str, of: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Read input, output and wildcards of each job; of some rules, or of all that make a file."""
    jobs: list[dict[str, str]] = []
    for rule, field, value in JOB.findall(output):
        if rule:
            jobs.append({"rule": rule, "input": "", "output": "", "wildcards": ""})
        else:
            jobs[-1][field] = value
    return [job for job in jobs if (job["rule"] in of if of else job["rule"] not in TARGETS)]


def _name(job: dict[str, str]) -> str:
    return " ".join([job["rule"], *filter(None, [job["wildcards"].replace(", ", " ")])])
