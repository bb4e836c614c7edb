"""Where the conformance suite computes."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False  # 1e-3, where a GPU is asked for float32


@pytest.fixture(scope="session")
def device(request) -> str:
    """Give the device of the option `--device`."""
    return request.config.getoption("--device")
