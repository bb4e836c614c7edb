"""Which jobs of the study follow from which."""

import pytest
from announced_jobs import with_followers


@pytest.fixture(scope="session")
def following(untouched):
    """Name the jobs that follow from some jobs of the mini study, these included."""
    announced = untouched.snakemake("--dry-run")
    return lambda *roots: with_followers(announced, *roots)
