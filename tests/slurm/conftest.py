"""One throw-away cluster for all tests here."""

import pytest
from throwaway_cluster import Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Start a real SLURM; the tests fail, with the reason, where that is not possible."""
    throwaway = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        throwaway.start()
        yield throwaway
    finally:
        throwaway.stop()
