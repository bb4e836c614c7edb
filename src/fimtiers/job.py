"""The frame of every workflow script: its arguments, its log, and a check of what it loaded."""

import argparse
import gc
import json
import logging
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from fimtiers.failures import record_cause
from fimtiers.provenance import PACKAGE, code_closure, undeclared_modules

logger = logging.getLogger(PACKAGE)
JSON_ARGUMENTS = ("settings",)
OBJECTS_PER_COLLECTION = 50_000
"""New objects between two searches for cycles. Python's 700 cost a fifth of an import of torch."""


def run_job(
    main: Callable[[argparse.Namespace], None],
    script: str,
    *arguments: str,
    modules: Callable[[argparse.Namespace], list[str]] = lambda args: [],
) -> None:
    """Run `main` on the command line's arguments and end the process.

    The log says what ran and, if it failed, ends with the cause. The job also fails if it loaded a
    module of the package that the rule cannot have declared, since an edit of that module would
    then go unnoticed.

    Parameters
    ----------
    main
        Reads, calls, writes; gets the parsed arguments.
    script
        ``__file__`` of the script.
    *arguments
        Names of the arguments, each given as ``--name value [value ...]``. ``settings`` is read as
        JSON; a trailing ``*`` in a name stands for one or more values, a ``?`` for one or none.
    modules
        From the arguments, the modules that the script loads by name.
    """
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    start = time.monotonic()
    args = argparse.Namespace(log=None)
    try:
        _parser().parse_known_args(namespace=args)
        _start_log(args.log)
        _parser(arguments).parse_args(namespace=args)
        main(args)
        _check_modules(code_closure(Path(script), *modules(args)))
    except Exception as error:
        logger.info("".join(traceback.format_exception(error)))
        cause = f"{Path(script).stem} failed: {type(error).__name__}: {error} (log: {args.log})"
        logger.error(cause)
        record_cause(cause)
        _remove(args)
        sys.exit(1)
    logger.info("%s done in %.1f s", Path(script).stem, time.monotonic() - start)
    gc.freeze()  # at the end of the process a search would visit all that torch made, for nothing


class _Parser(argparse.ArgumentParser):
    """A parser that raises what is wrong, so that it reaches the log, instead of ending at once."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _parser(arguments: tuple[str, ...] = ()) -> argparse.ArgumentParser:
    parser = _Parser(allow_abbrev=False, add_help=bool(arguments))
    parser.add_argument("--log", type=Path, help="log file; the terminal is used as well")
    for argument in arguments:
        name = argument.rstrip("*?")
        kind = json.loads if name in JSON_ARGUMENTS else Path
        if argument.endswith("*"):
            parser.add_argument(f"--{name}", type=kind, nargs="+", required=True)
        else:
            values = "?" if argument.endswith("?") else None
            parser.add_argument(f"--{name}", type=kind, nargs=values, required=True)
    return parser


def _start_log(path: Path | None) -> None:
    """Write everything to the log; show failures, and the progress of long loops, on the terminal.

    Progress is shown on a real terminal only, so that it does not fill files and SLURM's logs.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    watched = sys.stderr.isatty()
    handlers[0].addFilter(
        lambda record: record.levelno >= logging.ERROR or (watched and hasattr(record, "bar"))
    )
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode="w", encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers)
    if path:
        name = "/".join(path.with_suffix("").parts[-2:])
        handlers[0].setFormatter(logging.Formatter(f"%(asctime)s {name}: %(message)s"))
    logger.info("process %d on %s%s", os.getpid(), platform.node(), _slurm_job())


def _slurm_job() -> str:
    job = os.environ.get("SLURM_JOB_ID")
    return f", SLURM job {job} on {os.environ.get('SLURMD_NODENAME')}" if job else ""


def _check_modules(closure: dict[str, str]) -> None:
    undeclared = undeclared_modules(closure)
    if undeclared:
        raise ImportError(
            f"loaded {', '.join(undeclared)}, which no import statement reachable from this "
            "script names: import it where it is used, or pass it as a root of the closure"
        )


def _remove(args: argparse.Namespace) -> None:
    """Leave nothing of a failed job behind."""
    outputs = getattr(args, "output", None) or []
    for output in outputs if isinstance(outputs, list) else [outputs]:
        output.unlink(missing_ok=True)
