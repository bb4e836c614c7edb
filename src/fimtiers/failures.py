"""Why jobs failed: each says so in a file of the run, which ends with what is in there.

Snakefiles import this module, so it must not load anything heavy.
"""

import os
from pathlib import Path

FILE = "FIMTIERS_CAUSES"
"""Environment variable with the path of that file."""
SILENT = (
    "no job said why: it could not start, or was killed, for want of memory for example, or the "
    "disk is full; see what is printed above"
)


def record_cause(cause: str) -> None:
    """Append a cause to the file of the run, if there is one; one write, as jobs run side by side.

    A file that cannot be written is left: the cause is in the log of the job and on the terminal.
    """
    if path := os.environ.get(FILE):
        line = " ".join(cause.split()) + "\n"
        try:
            with open(path, "ab", buffering=0) as file:
                file.write(line.encode())
        except OSError:
            return


def causes(path: Path) -> str:
    """Return what is in the file of the run, each cause once, as the last lines of the run."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return "\n    ".join(["Cause:", *(dict.fromkeys(lines) or [SILENT])])
