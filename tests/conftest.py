"""Settings of the whole test run."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread():
    """Keep torch to one thread, as every job of the workflow does.

    With more threads than idle cores it is many times slower, and sums depend on their number.
    """
    import torch

    torch.set_num_threads(1)
