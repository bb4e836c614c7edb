"""A copy of this repository in which real Snakemake runs a study of seconds."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from announced_jobs import jobs_of

ROOT = Path(__file__).parents[1]
MINI_STUDY = Path(__file__).with_name("mini_study.yaml")
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
SYSTEMS = ("chain", "automaton", "matrix", "circuit", "net", "memory")
TIERS = [f"results/tiers/{system}.nc" for system in SYSTEMS]
"""What the first half of the mini study makes, from states to tiers."""
PATIENCE = 1800.0
"""Seconds after which a Snakemake is taken to hang, on a machine however busy."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository, at `root`.

    Snakemake runs there with `environment` added, as the argument of the command `launcher`.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    launcher: tuple[str, ...] = ()

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start Snakemake in a process group of its own; its output goes to `terminal`."""
        with self.terminal.open("w") as terminal:
            return subprocess.Popen(
                [*self.launcher, str(SNAKEMAKE), *map(str, arguments)],
                cwd=self.root,
                env={**os.environ, **ONE_THREAD, **self.environment},
                stdout=terminal,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def finish(self, process: subprocess.Popen[str], timeout: float = PATIENCE) -> tuple[int, str]:
        """Wait for a started Snakemake; return its exit status and all that it printed."""
        status = process.wait(timeout)
        return status, self.terminal.read_text()

    def snakemake(self, *arguments: str | Path, timeout: float = PATIENCE) -> str:
        """Run Snakemake, which must succeed; return all that it printed."""
        status, output = self.finish(self.start(*arguments), timeout)
        assert status == 0, output
        return output

    def failing_snakemake(self, *arguments: str | Path, timeout: float = PATIENCE) -> str:
        """Run Snakemake, which must fail; return all that it printed."""
        status, output = self.finish(self.start(*arguments), timeout)
        assert status != 0, output
        return output

    def run(self, *arguments: str | Path, cores: int = 2) -> Counter[str]:
        """Run the study, or the targets in `arguments`; return the jobs that ran."""
        return jobs_of(self.snakemake("--cores", str(cores), *arguments))

    def planned(self, *arguments: str | Path) -> Counter[str]:
        """Return the jobs that a run would start."""
        return jobs_of(self.snakemake("--dry-run", *arguments))

    def type(self, command: str, status: int = 0) -> str:
        """Type a command in the checkout; return all that it printed."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.root,
            env={**os.environ, **ONE_THREAD, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"{command}\n{done.stdout}"
        return done.stdout

    @property
    def terminal(self) -> Path:
        """Where the output of the last Snakemake is: beside the checkout, not in it.

        Processes that share the tests among them may start Snakemake in the same checkout.
        """
        return self.root.with_name(f"{self.root.name}_{os.getpid()}.terminal")

    def results(self) -> dict[str, bytes]:
        """Bytes of every results file, hidden ones too, by its path."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.glob("results/**/*"))
            if path.is_file() and path.name != ".snakemake_timestamp"
        }

    def copy(self, root: Path) -> "Checkout":
        """Copy this checkout with its results, their times, and what Snakemake knows of them."""
        shutil.copytree(self.root, root, symlinks=True)
        return Checkout(root)

    def read(self, path: str) -> str:
        """Return the text of a file."""
        return (self.root / path).read_text()

    def write(self, path: str, text: str) -> None:
        """Replace the text of a file."""
        (self.root / path).write_text(text)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the only occurrence of `old` in a file."""
        text = self.read(path)
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {path}"
        self.write(path, text.replace(old, new))


def check_out(root: Path) -> Checkout:
    """Copy the tracked and the new files of the repository, the mini study as the default one."""
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
    shutil.copy2(MINI_STUDY, root / "config/config.yaml")
    # The environment that runs these tests, as `make` would have built it.
    (root / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (root / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy(root / "requirements.lock", root / ".venv/installed")
    return Checkout(root)


def commands(page: str) -> list[str]:
    """Return the commands that a page prints, in blocks of ``sh`` or after a ``$``."""
    found = []
    for language, block in re.findall(
        r"^```(sh|console)\n(.*?)^```", page, re.DOTALL | re.MULTILINE
    ):
        lines = re.findall(r"^(?:.*\\\n)*.*\n", block, re.MULTILINE)
        if language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        found += [line.strip() for line in lines if line.strip()]
    return found


@contextmanager
def tmpfs(mountpoint: Path, size: str) -> Iterator[Path]:
    """Mount an empty memory file system of `size` at `mountpoint`; only root can."""
    mountpoint.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mountpoint)], check=True
    )
    try:
        yield mountpoint
    finally:
        subprocess.run(["umount", "--lazy", str(mountpoint)], check=True)
