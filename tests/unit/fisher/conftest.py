"""Every test of the engine starts from the same random numbers, on one thread, on one device.

With `--device cuda` the tests run on a GPU: it is the default device, so models and data that a
test makes are there; those that a module holds or a parameter gives are moved.
"""

import copy
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

PROCESSOR_ONLY = {"test_fisher_register_tiles.py", "test_fisher_documentation.py"}
"""Tests of kernels for the processor, and of examples that say where they compute."""

OWN_DEVICES = {"test_fisher_devices.py", "test_fisher_fused.py"}
"""Tests that choose devices themselves."""


def pytest_ignore_collect(collection_path, config) -> bool | None:
    absent = collection_path.name == "test_fisher_fused.py" and not find_spec("triton")
    elsewhere = config.getoption("--device") != "cpu" and collection_path.name in PROCESSOR_ONLY
    return True if absent or elsewhere else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item) -> None:
    """Move what a test is parametrised by."""
    device = item.config.getoption("--device")
    if device != "cpu" and item.path.name not in OWN_DEVICES and hasattr(item, "callspec"):
        for name, given in item.callspec.params.items():
            item.callspec.params[name] = _moved(given, device)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _on_device(request, monkeypatch):
    """Make the device of the option the default one, and move what the module holds."""
    device = request.config.getoption("--device")
    if device == "cpu" or request.path.name in OWN_DEVICES:
        yield
        return
    for name, held in list(vars(request.module).items()):
        if isinstance(held, (Tensor, dict, list, tuple, nn.Module)) and not name.startswith("_"):
            monkeypatch.setattr(request.module, name, _moved(held, device))
    generator = torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda place=device: generator(place))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # 1e-3, where 1e-6 is asked
    with torch.device(device):
        yield


def _moved(held, device: str):
    """Return nested tensors and modules on a device."""
    if isinstance(held, Tensor):
        return held.to(device)
    if isinstance(held, nn.Module):
        return copy.deepcopy(held).to(device)
    if type(held) is dict:
        return {key: _moved(value, device) for key, value in held.items()}
    if type(held) in (list, tuple):
        return type(held)(_moved(value, device) for value in held)
    return held
