"""What a long job says while it runs, and what a job that fails says last."""

import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from fimtiers import progress

ROOT = Path(__file__).parents[2]
SCRIPT = """\
import sys
from fimtiers import progress
from fimtiers.job import run_job

progress.SECONDS_BETWEEN_LINES = 0.0

def main(args):
    for number in progress.track(range(4), 4, "steps"):
        if number == args.settings["fails_at"]:
            raise ValueError("no such number")

if __name__ == "__main__":
    run_job(main, __file__, "settings")
"""


@pytest.fixture
def run(tmp_path):
    """Run a job of four steps that fails at one of them; give its terminal and its log."""
    script, log = tmp_path / "count.py", tmp_path / "logs/count/four.log"
    script.write_text(SCRIPT)

    def start(fails_at, terminal):
        command = [sys.executable, str(script), "--log", str(log)]
        command += ["--settings", f'{{"fails_at": {fails_at}}}']
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run(command, stderr=terminal, env=environment, check=False)
        return done.returncode, log.read_text()

    return start


def test_a_long_loop_logs_what_is_done_how_long_it_took_and_how_long_is_left(caplog, monkeypatch):
    clock = iter([0.0, 4.0, 12.0, 13.0, 14.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO):
        assert list(progress.track("abc", 3, "probes")) == ["a", "b", "c"]
    assert caplog.messages == [
        "[####################..........] 2 of 3 probes, 12 s gone, 6 s left",
        "3 probes in 14.0 s",
    ]


def test_a_terminal_shows_the_bar_and_the_name_of_the_job(run):
    ours, theirs = pty.openpty()
    status, log = run(-1, theirs)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert status == 0
    assert "count/four: [#######.......................] 1 of 4 steps" in shown
    assert "2 of 4 steps" in log
    assert "done in" in log
    assert "done in" not in shown


def test_a_file_in_place_of_a_terminal_gets_no_bar(run, tmp_path):
    with (tmp_path / "terminal").open("w") as terminal:
        status, log = run(-1, terminal)
    assert status == 0
    assert (tmp_path / "terminal").read_text() == ""
    assert "1 of 4 steps" in log


def test_a_failure_ends_the_log_and_the_terminal_with_its_cause(run, tmp_path):
    with (tmp_path / "terminal").open("w") as terminal:
        status, log = run(2, terminal)
    assert status == 1
    assert "Traceback" in log
    last = log.splitlines()[-1]
    assert "count failed: ValueError: no such number (log: " in last
    (line,) = (tmp_path / "terminal").read_text().splitlines()
    assert "count failed: ValueError: no such number" in line
