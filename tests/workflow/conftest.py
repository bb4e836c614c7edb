"""Which jobs of the study follow from which."""

import pytest
from announced_jobs import with_followers


@pytest.fixture(scope="session")
def announced(untouched):
    """Give what Snakemake says of all jobs of the mini study."""
    return untouched.snakemake("--dry-run")


@pytest.fixture(scope="session")
def following(announced):
    """Name the jobs that follow from some jobs of the mini study, these included."""
    return lambda *roots: with_followers(announced, *roots)
