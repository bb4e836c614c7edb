"""The tiny study, run undisturbed once, and copies of it to disturb."""

import shutil

import pytest
from checkout import Checkout, check_out


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Checkout:
    """Give a checkout in which the study has run; treat it as read-only."""
    checkout = check_out(tmp_path_factory.mktemp("undisturbed") / "repository")
    checkout.snakemake("--cores", "2")
    return checkout


@pytest.fixture
def clone(undisturbed, tmp_path) -> Checkout:
    """Copy the finished study, with its results and what Snakemake knows about them."""
    shutil.copytree(undisturbed.root, tmp_path / "clone", symlinks=True)
    return Checkout(tmp_path / "clone")


@pytest.fixture
def fresh(tmp_path) -> Checkout:
    """Give a checkout in which nothing has run."""
    return check_out(tmp_path / "fresh")
