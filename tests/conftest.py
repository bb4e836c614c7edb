"""Settings of the whole test run, and checkouts in which a study of seconds can be disturbed."""

import pytest
from checkout import Checkout, check_out


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread():
    """Keep torch to one thread, as every job of the workflow does.

    With more threads than idle cores it is many times slower, and sums depend on their number.
    """
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def untouched(tmp_path_factory) -> Checkout:
    """Give a checkout in which nothing has run; treat it as read-only."""
    return check_out(tmp_path_factory.mktemp("untouched") / "repository")


@pytest.fixture(scope="session")
def finished(untouched, tmp_path_factory) -> Checkout:
    """Give a checkout in which the study has run; treat it as read-only."""
    checkout = untouched.copy(tmp_path_factory.mktemp("finished") / "repository")
    checkout.run()
    return checkout


@pytest.fixture
def fresh(untouched, tmp_path) -> Checkout:
    """Give a checkout in which nothing has run, for one test."""
    return untouched.copy(tmp_path / "fresh")


@pytest.fixture
def clone(finished, tmp_path) -> Checkout:
    """Give a checkout in which the study has run, for one test."""
    return finished.copy(tmp_path / "clone")
