"""Install the packages of a lock into an environment: ``python installation.py FOLDER LOCK``.

An environment cannot be moved, so each is made in a folder of its own, ``FOLDER-HASH`` after its
lock, and ``FOLDER`` is a link to it that is set last, in one step. Whatever happens before, be it
an interruption or a network that is not there, the environment in use stays as it is. The copy of
the lock in the environment, ``installed``, says what it holds.

Run as a file by the Python that is to be used, with nothing but the standard library.
"""

from __future__ import annotations  # so that an older Python gets as far as to say that it is one

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
STAMP = "installed"
HASH_DIGITS = 12


class InstallationError(Exception):
    """Why there is no new environment, and what to do."""


def install(folder: Path, lock: Path, without: list[str]) -> None:
    """Make `folder` a link to an environment with the packages of `lock`, and no other.

    Parameters
    ----------
    folder
        The link; a folder or link that is there is replaced when the new environment is whole.
    lock
        Requirements of pip.
    without
        Packages that others ask for and that are taken out at the end.

    Raises
    ------
    InstallationError
        If Python or pip cannot; `folder` is then as it was.
    """
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        oldest, newest = (".".join(map(str, version)) for version in (OLDEST, NEWEST))
        raise InstallationError(
            f"fimtiers needs Python {oldest} to {newest}, and this is {sys.version.split()[0]}; "
            f"set PYTHON=/path/to/python{oldest}"
        )
    content = lock.read_bytes()
    digest = hashlib.sha256(content + repr(sys.version_info).encode()).hexdigest()[:HASH_DIGITS]
    made = folder.with_name(f"{folder.name}-{digest}")
    with folder.with_name(f"{folder.name}.lock").open("w", encoding="utf-8") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # until it is closed: a second installation waits
        if not _holds(made, content):
            _fill(made, lock, without)
            (made / STAMP).write_bytes(content)
        before = folder.resolve()
        _link(folder, made)
        _remove_others(folder, {made.resolve(), before})


def _holds(environment: Path, content: bytes) -> bool:
    stamp = environment / STAMP
    return stamp.is_file() and stamp.read_bytes() == content


def _fill(environment: Path, lock: Path, without: list[str]) -> None:
    """Make an environment; nothing is left of one that could not be finished."""
    python = environment / "bin/python"
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    try:
        _run(
            [sys.executable, "-m", "venv", "--clear", str(environment)],
            "no venv module: on Debian and Ubuntu, apt install python3-venv",
        )
        _run(
            [*pip, "install", "--requirement", str(lock)],
            "the packages could not be installed, see above; an environment that was there is "
            "still there, and is used again once the file of versions is what it was",
        )
        if without:
            _run([*pip, "uninstall", "--yes", *without], "pip could not remove a package")
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        raise


def _run(command: list[str], advice: str) -> None:
    if subprocess.run(command, check=False).returncode:
        raise InstallationError(advice)


def _link(folder: Path, made: Path) -> None:
    """Let `folder` be a link to `made`."""
    if folder.is_dir() and not folder.is_symlink():  # made before there were links
        folder.rename(folder.with_name(f"{folder.name}-{'0' * HASH_DIGITS}"))
    link = folder.with_name(f"{folder.name}.new")
    link.unlink(missing_ok=True)
    link.symlink_to(made.name)
    os.replace(link, folder)


def _remove_others(folder: Path, kept: set[Path]) -> None:
    """Remove older environments; the last stays, for what still runs in it or goes back to it."""
    for path in folder.parent.resolve().glob(f"{folder.name}-{'[0-9a-f]' * HASH_DIGITS}"):
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def main() -> None:
    """Read the arguments and install, or say in one line why not."""
    parser = argparse.ArgumentParser(description="Install the packages of a lock.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--without", nargs="*", default=[], help="packages to take out again")
    arguments = parser.parse_args()
    try:
        install(arguments.folder, arguments.lock, arguments.without)
    except InstallationError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
