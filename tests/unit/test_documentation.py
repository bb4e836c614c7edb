import re
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import torch
import yaml

from fimtiers import torch_generators
from fimtiers.networks.modules import fill, module_state
from fimtiers.tiers import tier_ratio

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "hooks"))
RULES = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))


def test_the_substrate_of_the_how_to_works_as_printed():
    page = (DOCS / "how-to/add-a-substrate.md").read_text()
    source, _ = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    module = types.ModuleType("linear_output")
    exec(source, module.__dict__)
    settings = {name: schema["default"] for name, schema in module.SETTINGS.items()}
    state = module.build_state(settings, np.array([0, 1]))
    few = module.fisher_diagonal(settings, state).fim
    many = module.fisher_diagonal({**settings, "probes": 100_000}, state).fim
    assert (tier_ratio(many) < tier_ratio(few)).all()
    np.testing.assert_allclose(tier_ratio(many), 1, atol=0.02)


def test_the_torch_substrate_of_the_how_to_has_the_f_of_its_definition():
    page = (DOCS / "how-to/add-a-substrate.md").read_text()
    _, source = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    module = types.ModuleType("two_layers")
    exec(source, module.__dict__)
    settings = {"width": 4, "probes": 5}
    state = module.build_state(settings, np.array([0, 7]))
    fim = module.fisher_diagonal(settings, state).fim
    streams = torch_generators.unpack(state.fixed["generator"])
    for row, theta, stream in zip(fim, state.theta, streams, strict=True):
        network = fill(lambda: module.network(settings), theta, torch.float64)
        squares = []
        for x in module.draw(stream, 5).double().split(1):
            network.zero_grad()
            module.loss(network(x), x).sum().backward()
            squares.append(torch.cat([p.grad.flatten() ** 2 for p in network.parameters()]))
        np.testing.assert_allclose(row, torch.stack(squares).mean(dim=0), rtol=1e-4, atol=1e-9)


def test_buffers_that_the_constructor_loads_are_there_again():
    def network():
        module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
        module[1].running_mean[:] = torch.tensor([3.0, 4.0])
        return module

    state, *_ = module_state(network, np.array([0]), {"weight": "weight", "bias": "bias"})
    assert fill(network, state.theta[0], torch.float32)[1].running_mean.tolist() == [3, 4]


def test_links_between_pages_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "config").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_page_of_commands_names_every_target_of_make():
    lines = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    page = (DOCS / "reference/commands.md").read_text()
    assert [name for name in " ".join(lines).split() if f"`make {name}" not in page] == []


def test_the_page_of_results_names_every_file_that_a_rule_makes():
    page = (DOCS / "reference/results.md").read_text()
    made = re.findall(r'"<results>/[^"]*?([^"/]+)"', RULES)
    names = {name.replace("{panel}", "PANEL").replace(".html", ".csv") for name in made}
    names = {re.sub(r"\.(svg|pdf|rst)$", "", name) for name in names}
    assert [name for name in names if "{" not in name and f"`{name}`" not in page] == []


PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "config/README.md"]


def test_each_command_names_the_snakemake_of_the_environment_that_make_builds():
    texts = [
        *PAGES,
        *(ROOT / "config").glob("*.yaml"),
        *(ROOT / "workflow/profiles").rglob("*.yaml"),
    ]
    for path in texts:
        bare = re.findall(r"(?<![\w/.-])snakemake -\S+", path.read_text())
        assert bare == [], path
        assert re.findall(r"^(?:\$ )?snakemake\b.*", path.read_text(), re.MULTILINE) == [], path


def test_one_place_holds_the_address_of_the_repository(tmp_path):
    from pages import CLONE, with_address

    citation = (ROOT / "CITATION.cff").read_text()
    assert citation.count("repository-code: ") == 1
    for page in ("README.md", "docs/tutorial.md"):
        text = (ROOT / page).read_text()
        assert f"{CLONE} fimtiers\n" in text
        assert "ADDRESS is the `repository-code` in" in " ".join(text.split())
        published = tmp_path / "CITATION.cff"
        published.write_text(
            citation.replace("# repository-code: ADDRESS", "repository-code: there")
        )
        assert "git clone there fimtiers\n" in with_address(text, published)
    clones = [path for path in PAGES if "git clone" in path.read_text()]
    assert {path.name for path in clones} == {"README.md", "tutorial.md"}


def test_the_citation_and_the_changelog_have_the_version_and_its_date():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]
    heading = f"## {citation['version']}, {citation['date-released']}"
    assert heading in (ROOT / "CHANGELOG.md").read_text().splitlines()


def test_the_pages_say_where_a_study_of_ones_own_writes():
    for page in (
        "config/README.md",
        "docs/reference/commands.md",
        "docs/how-to/add-a-substrate.md",
    ):
        assert "pathvars" in (ROOT / page).read_text()


def test_the_catalogue_of_workflows_is_told_what_is_there():
    catalogue = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    methods = catalogue["software-stack-deployment"]
    assert methods["conda"] == any((ROOT / "workflow/envs").iterdir())
    assert catalogue["report"] == ("report(" in RULES)
    assert (ROOT / "workflow/Snakefile").is_file()
    assert (ROOT / "config/README.md").is_file()
