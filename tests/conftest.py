"""Settings of the whole test run, and checkouts in which a study of seconds can be disturbed."""

import fcntl
import os
from pathlib import Path

import pytest
from checkout import Checkout, check_out
from hypothesis import settings

# The first example of a property may compile the code that the rest run, so none is timed.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("nightly", deadline=None, max_examples=2000, print_blob=True)
settings.register_profile("brief", deadline=None, max_examples=16, derandomize=True)


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--device", default="cpu", help="where the tests of the engine compute: cpu or cuda"
    )


def pytest_configure(config) -> None:
    if config.getoption("--hypothesis-profile") is None:
        settings.load_profile("ci")


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread():
    """Keep torch to one thread, as every job of the workflow does.

    With more threads than idle cores it is many times slower, and sums depend on their number.
    """
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """Give a folder that all processes share which this test run is divided among."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def untouched(shared) -> Checkout:
    """Give a checkout in which nothing has run; treat it as read-only."""
    return _made_once(shared / "untouched", check_out)


@pytest.fixture(scope="session")
def finished(shared, untouched) -> Checkout:
    """Give a checkout in which the study has run; treat it as read-only."""
    return _made_once(shared / "finished", lambda root: untouched.copy(root).run())


def _made_once(root: Path, make) -> Checkout:
    """Give the checkout at `root`; the first process that asks for it makes it, the others wait."""
    with root.with_name(f"{root.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            incomplete = root.with_name(f"{root.name}.incomplete")
            make(incomplete)
            incomplete.rename(root)
    return Checkout(root)


@pytest.fixture
def fresh(untouched, tmp_path) -> Checkout:
    """Give a checkout in which nothing has run, for one test."""
    return untouched.copy(tmp_path / "fresh")


@pytest.fixture
def clone(finished, tmp_path) -> Checkout:
    """Give a checkout in which the study has run, for one test."""
    return finished.copy(tmp_path / "clone")
