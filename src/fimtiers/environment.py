"""The process that a job runs in: its threads, its code, and the versions of what it loaded."""

import hashlib
import json
import sys
from importlib import metadata
from pathlib import Path

from fimtiers import __version__
from fimtiers.provenance import DISTRIBUTIONS, HASH_DIGITS, code_closure

PROVENANCE = ("fimtiers_version", "code", "versions")
RECORDED = ("netCDF4", "numba", "numpy", "pandas", "scipy", "sklearn", "torch", "xarray")


def limit_threads() -> None:
    """Keep torch to one thread, if the job uses it: jobs run side by side, each on its own core.

    The other libraries read the environment variables that Snakemake sets for each job.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def provenance_attributes(script: str, *modules: str) -> dict[str, str]:
    """Return attributes for a results file: what code made it, in which environment.

    Parameters
    ----------
    script
        ``__file__`` of the script.
    *modules
        What the script loads by name, as its rule declares it.

    Returns
    -------
    dict
        The entries of `PROVENANCE`: ``fimtiers_version``; ``code``, one hash of all that the rule
        declares, so that equal hashes mean equal code; ``versions``, JSON, of Python and of every
        recorded package in use.
    """
    closure = json.dumps(code_closure(Path(script), *modules))
    versions = {
        name: metadata.version(DISTRIBUTIONS.get(name, name))
        for name in RECORDED
        if name in sys.modules
    }
    versions["python"] = ".".join(map(str, sys.version_info[:3]))
    return {
        "fimtiers_version": __version__,
        "code": hashlib.sha256(closure.encode()).hexdigest()[:HASH_DIGITS],
        "versions": json.dumps(versions),
    }
