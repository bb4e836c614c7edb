"""The examples of docs/how-to/fisher-engine.md run, in order, as one session."""

import re
from pathlib import Path

import torch

PAGE = Path(__file__).parents[3] / "docs/how-to/fisher-engine.md"


def test_the_examples_run():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 4
    torch.set_num_threads(1)
    names: dict = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
