"""The process that a job runs in: its threads, and the versions of what it loaded."""

import json
import sys
from importlib import metadata

from fimtiers import __version__
from fimtiers.provenance import DISTRIBUTIONS

RECORDED = ("netCDF4", "numba", "numpy", "pandas", "scipy", "sklearn", "torch", "xarray")


def limit_threads() -> None:
    """Keep torch to one thread, if the job uses it: jobs run side by side, each on its own core.

    The other libraries read the environment variables that Snakemake sets for each job.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def version_attributes() -> dict[str, str]:
    """Return attributes for a results file: versions of this package and of all it has loaded."""
    versions = {
        name: metadata.version(DISTRIBUTIONS.get(name, name))
        for name in RECORDED
        if name in sys.modules
    }
    versions["python"] = ".".join(map(str, sys.version_info[:3]))
    return {"fimtiers_version": __version__, "versions": json.dumps(versions)}
