"""Copies of this repository, with a tiny study, on which real Snakemake runs."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = Path(__file__).with_name("tiny.yaml")
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))
JOB = re.compile(
    r"^(?:local)?rule (?P<rule>\w+):$"
    r"|^    (?P<field>input|output|wildcards): (?P<value>.+)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository whose default study is the tiny one."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def snakemake(self, *arguments, succeed=True, cwd=None):
        """Run Snakemake; return all that it printed."""
        done = subprocess.run(
            [SNAKEMAKE, *map(str, arguments)],
            cwd=cwd or self.root,
            env={**os.environ, "OMP_NUM_THREADS": "1", **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == succeed, done.stdout
        return done.stdout

    def run(self, *arguments, cores=2):
        """Run the study, or the targets in `arguments`; return the jobs that ran."""
        return jobs_of(self.snakemake("--cores", cores, *arguments))

    def planned(self, *arguments):
        """Return the jobs that a run would start."""
        return jobs_of(self.snakemake("--dry-run", *arguments))

    def read(self, path):
        return (self.root / path).read_text()

    def write(self, path, text):
        (self.root / path).write_text(text)

    def edit(self, path, old, new):
        """Replace the only occurrence of `old` in a file."""
        text = self.read(path)
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {path}"
        self.write(path, text.replace(old, new))

    def results(self):
        """Bytes of every results file by its path."""
        results = self.root / "results"
        return {
            str(path.relative_to(results)): path.read_bytes()
            for path in sorted(results.rglob("*"))
            if path.is_file()
        }


def described_jobs(output):
    """Read input, output and wildcards of each job that Snakemake announced."""
    jobs = []
    for rule, field_name, value in JOB.findall(output):
        if rule:
            jobs.append({"rule": rule, "input": "", "output": "", "wildcards": ""})
        else:
            jobs[-1][field_name] = value
    return [job for job in jobs if job["rule"] != "all"]


def jobs_of(output):
    """Count the jobs that Snakemake announced, as ``rule`` or ``rule wildcard=value ...``.

    Only the rules that make something count, so `all` is left out.
    """
    return Counter(_name(job) for job in described_jobs(output))


def with_followers(output, *roots):
    """Count the jobs `roots` and all that need their files, in a run that announced all jobs."""
    made_by, needs = {}, {}
    for job in described_jobs(output):
        made_by |= dict.fromkeys(job["output"].split(", "), _name(job))
        needs[_name(job)] = job["input"].split(", ")
    assert set(roots) <= set(needs), f"{sorted(set(roots) - set(needs))} are no jobs of this study"
    chosen = set(roots)
    while True:
        reached = {job for job in needs if any(made_by.get(f) in chosen for f in needs[job])}
        if reached <= chosen:
            return Counter(chosen)
        chosen |= reached


def _name(job):
    return " ".join([job["rule"], *filter(None, [job["wildcards"].replace(", ", " ")])])


def check_out(root):
    """Copy the tracked and the new files of the repository to `root`."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, root / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    shutil.copy2(TINY, root / "config/config.yaml")
    return Checkout(root)


def copy_of(checkout, root):
    """Copy a checkout with its results, their times, and what Snakemake knows about them."""
    shutil.copytree(checkout.root, root, symlinks=True)
    return Checkout(root)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """A checkout in which nothing has run; treat it as read-only."""
    return check_out(tmp_path_factory.mktemp("fresh") / "repository")


@pytest.fixture(scope="session")
def finished(fresh, tmp_path_factory):
    """A checkout in which the tiny study has run; treat it as read-only."""
    checkout = copy_of(fresh, tmp_path_factory.mktemp("finished") / "repository")
    checkout.run()
    return checkout


@pytest.fixture
def clone(finished, tmp_path):
    """A copy of the finished study, to edit."""
    return copy_of(finished, tmp_path / "clone")


@pytest.fixture
def empty(fresh, tmp_path):
    """A checkout in which nothing has run, to edit."""
    return copy_of(fresh, tmp_path / "empty")
