import re
import types
from pathlib import Path

import numpy as np

from fimtiers.tiers import tier_ratio

ROOT = Path(__file__).parents[2]


def test_the_substrate_of_the_how_to_works_as_printed():
    page = (ROOT / "docs/how-to/add-a-substrate.md").read_text()
    (source,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    module = types.ModuleType("linear_output")
    exec(source, module.__dict__)
    settings = {name: schema["default"] for name, schema in module.SETTINGS.items()}
    state = module.build_state(settings, np.array([0, 1]))
    few = module.fisher_diagonal(settings, state).fim
    many = module.fisher_diagonal({**settings, "probes": 100_000}, state).fim
    assert (tier_ratio(many) < tier_ratio(few)).all()
    np.testing.assert_allclose(tier_ratio(many), 1, atol=0.02)


def test_links_between_pages_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "config").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
