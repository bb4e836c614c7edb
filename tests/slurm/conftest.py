"""One throw-away cluster for all tests here, and the tiny study run without it."""

import pytest
from checkout import Checkout, check_out
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


@pytest.fixture(scope="session")
def untouched(tmp_path_factory) -> Checkout:
    """Give a checkout in which nothing runs; all others are copies of it."""
    return check_out(tmp_path_factory.mktemp("untouched") / "repository")


@pytest.fixture(scope="session")
def local(untouched, tmp_path_factory) -> Checkout:
    """Give a checkout in which the study has run without SLURM."""
    checkout = untouched.copy(tmp_path_factory.mktemp("local") / "repository")
    checkout.snakemake("--cores", "2")
    return checkout


@pytest.fixture
def clone(untouched, tmp_path) -> Checkout:
    """Give a checkout in which nothing has run, for one test."""
    return untouched.copy(tmp_path / "clone")
