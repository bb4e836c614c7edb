"""The tiny study, run undisturbed once, and copies of it to disturb."""

import pytest
from checkout import Checkout, check_out


@pytest.fixture(scope="session")
def untouched(tmp_path_factory) -> Checkout:
    """Give a checkout in which nothing runs; all others are copies of it."""
    return check_out(tmp_path_factory.mktemp("untouched") / "repository")


@pytest.fixture(scope="session")
def undisturbed(untouched, tmp_path_factory) -> Checkout:
    """Give a checkout in which the study has run; treat it as read-only."""
    checkout = untouched.copy(tmp_path_factory.mktemp("undisturbed") / "repository")
    checkout.snakemake("--cores", "2")
    return checkout


@pytest.fixture(scope="session")
def same_as_undisturbed(undisturbed):
    """Give a check that results are some of the undisturbed ones, byte for byte."""
    expected = undisturbed.results()

    def check(results):
        assert results
        assert [path for path in results if results[path] != expected.get(path)] == []

    return check


@pytest.fixture
def clone(undisturbed, tmp_path) -> Checkout:
    """Copy the finished study, with its results and what Snakemake knows about them."""
    return undisturbed.copy(tmp_path / "clone")


@pytest.fixture
def fresh(untouched, tmp_path) -> Checkout:
    """Give a checkout in which nothing has run."""
    return untouched.copy(tmp_path / "fresh")
