"""The environment that `make` builds: replaced when the new one is whole, and never before."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALLATION = ROOT / "src/fimtiers/installation.py"
OFFLINE = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
NOT_TO_BE_HAD = "no-such-package-of-fimtiers==1\n"
PATIENCE = 60  # seconds


@pytest.fixture
def checkout(tmp_path):
    """The files that an installation reads, and an environment without packages."""
    root = tmp_path / "a b ü"
    (root / "src/fimtiers").mkdir(parents=True)
    shutil.copy(INSTALLATION, root / "src/fimtiers")
    shutil.copy(ROOT / "Makefile", root)
    (root / "requirements.lock").write_text("# nothing\n", encoding="utf-8")
    return root


def installed(checkout):
    """What `make` does for the environment; exit status and all that it printed."""
    done = subprocess.run(
        ["make", "--no-print-directory", ".venv/installed", f"PYTHON={sys.executable}"],
        cwd=checkout,
        env=OFFLINE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout


def works(checkout):
    """Tell whether a program of the environment starts; its first line names its Python."""
    pip = [checkout / ".venv/bin/pip", "--version"]
    return subprocess.run(pip, stdout=subprocess.DEVNULL, check=False).returncode == 0


def environments(checkout):
    return sorted(path.name for path in checkout.glob(".venv-*"))


def test_the_life_of_an_environment(checkout):
    """Made, kept while the lock says the same, kept when a new one cannot be had, made again."""
    assert installed(checkout)[0] == 0
    assert works(checkout)
    first = environments(checkout)
    os.utime(checkout / "requirements.lock", (2e9, 2e9))
    assert "up to date" in installed(checkout)[1]  # a touched lock is no other lock

    (checkout / "requirements.lock").write_text(NOT_TO_BE_HAD, encoding="utf-8")
    status, output = installed(checkout)
    assert status != 0
    assert "still there" in output
    assert works(checkout)
    assert environments(checkout) == first
    (checkout / "requirements.lock").write_text("# nothing\n", encoding="utf-8")
    assert "up to date" in installed(checkout)[1]

    (checkout / "requirements.lock").write_text("# another nothing\n", encoding="utf-8")
    assert installed(checkout)[0] == 0
    assert works(checkout)
    assert (checkout / ".venv/installed").read_text(encoding="utf-8") == "# another nothing\n"
    assert set(first) < set(environments(checkout))  # for what still runs in it


def test_an_environment_that_is_killed_while_it_is_made_leaves_the_old_one(checkout):
    old = checkout / ".venv"  # as made before environments were links
    (old / "bin").mkdir(parents=True)
    (old / "bin/pip").symlink_to(shutil.which("true"))
    process = subprocess.Popen(
        [sys.executable, INSTALLATION, ".venv", "requirements.lock"],
        cwd=checkout,
        env=OFFLINE,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE
    while not environments(checkout) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(environments(checkout)) == 1
    assert works(checkout)
    assert installed(checkout)[0] == 0
    assert works(checkout)
    assert old.is_symlink()
    assert len(environments(checkout)) == 1


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 14, 0)])
def test_a_python_that_will_not_do_is_named(checkout, version):
    command = (
        "import runpy, sys; sys.version_info = %r; sys.version = '.'.join(map(str, %r)); "
        "sys.argv = ['installation.py', '.venv', 'requirements.lock']; "
        "runpy.run_path('src/fimtiers/installation.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", command % (version, version)],
        cwd=checkout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    named = ".".join(map(str, version))
    assert done.stderr.startswith(f"fimtiers needs Python 3.11 to 3.13, and this is {named}")
    assert not (checkout / ".venv").exists()
