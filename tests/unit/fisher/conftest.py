"""Every test of the engine starts from the same random numbers, on one thread."""

from importlib.util import find_spec

import pytest
import torch

collect_ignore = [] if find_spec("triton") else ["test_fisher_fused.py"]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
