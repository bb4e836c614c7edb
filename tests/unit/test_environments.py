"""The conda environments: exact pins, equal to the lock, published, and enough for each rule."""

import re
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from fimtiers.provenance import package_versions
from fimtiers.study import substrate_names

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted((ROOT / "workflow/envs").glob("*.yaml"))
SCRIPTS = ROOT / "workflow/scripts"
ON_PYPI = {"pytorch-cpu": "torch", "pytorch-gpu": "torch", "matplotlib-base": "matplotlib"}
"""Names on conda-forge that differ from those on PyPI in more than capitals."""
IMPORTED_AS = {**ON_PYPI, "scikit-learn": "sklearn"}
LOADED_BY_NAME = {"xarray": "netcdf4"}
"""xarray loads its netCDF engine by name, where no import statement shows it."""
NOT_NEEDED = {"triton"}
"""Imported only if asked for by an environment variable; comes with torch where it can be used."""
COMES_WITH = {"numba": "llvmlite"}
"""Each version of numba asks for one of llvmlite, and is written for it."""
PER_SYSTEM = {
    "build_states.py",
    "extract_fisher.py",
    "measure_initialised.py",
    "measure_convergence.py",
}
RULE = re.compile(r"^rule \w+:\n(?:(?: .*)?\n)*", re.MULTILINE)


def pins(path):
    """Version of each package of an environment but Python's, by its name on conda-forge."""
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    assert all(re.fullmatch(r"[a-z0-9-]+=[0-9.]+", pin) for pin in dependencies), dependencies
    return dict(pin.split("=") for pin in dependencies if not pin.startswith("python="))


def lock():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name.lower(): version.strip() for name, version in pairs}


def on_conda_forge():
    """Versions of each package in the table of docs/reference/environments.md."""
    text = (ROOT / "docs/reference/environments.md").read_text()
    _, _, table = text.partition("### Versions known to exist on conda-forge")
    rows = re.findall(r"^\| ([a-z0-9-]+) \| ([0-9., ]+) \|", table, re.MULTILINE)
    return {name: set(versions.split(", ")) for name, versions in rows}


def modules(environment):
    """Names under which the packages of an environment are imported."""
    pinned = pins(ROOT / "workflow/envs" / environment)
    brought = {COMES_WITH[name] for name in pinned if name in COMES_WITH}
    return {IMPORTED_AS.get(name, name) for name in pinned} | brought


def needed(*roots):
    """Packages that a script or module may import, directly or not."""
    found = set(package_versions(*roots)) - NOT_NEEDED
    return found | {LOADED_BY_NAME[name] for name in found & set(LOADED_BY_NAME)}


def rules_by_environment():
    """Pairs of script and environment, of the rules whose environment is fixed."""
    pairs = []
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in RULE.findall(path.read_text()):
            environment = re.search(r'envs/(\w+\.yaml)"', rule)
            if environment:
                pairs.append(
                    (re.search(r'"\$FIMTIERS_SCRIPTS/(\w+\.py)"', rule)[1], environment[1])
                )
    return pairs


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_every_pin_is_the_version_of_the_lock(path):
    locked = lock()
    for name, version in pins(path).items():
        assert version == locked[ON_PYPI.get(name, name)], name


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
def test_every_package_of_the_lock_can_be_had_for_the_first_release_of_each_python(python):
    refusing = {}
    for name, version in lock().items():
        package = metadata.distribution(name)
        installed = package.version.partition("+")[0]  # what follows is the kind of build
        assert installed == version, f"{name} is not installed as locked"
        allowed = package.metadata["Requires-Python"] or ""
        if python not in SpecifierSet(allowed):
            refusing[name] = allowed
    assert refusing == {}


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_every_pin_is_known_to_exist_on_conda_forge(path):
    known = on_conda_forge()
    for name, version in pins(path).items():
        assert version in known[name], f"{name}={version}"


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_only_conda_forge_is_asked(path):
    assert yaml.safe_load(path.read_text())["channels"] == ["conda-forge", "nodefaults"]


@pytest.mark.parametrize(("script", "environment"), rules_by_environment())
def test_a_rule_has_all_that_its_script_may_import(script, environment):
    assert needed(SCRIPTS / script) <= modules(environment)


@pytest.mark.parametrize("substrate", substrate_names())
def test_a_system_has_all_that_its_module_and_scripts_may_import(substrate):
    module = f"fimtiers.substrates.{substrate}"
    needs = needed(module, *(SCRIPTS / script for script in PER_SYSTEM))
    environment = "torch.yaml" if "torch" in package_versions(module) else "lattice.yaml"
    assert needs <= modules(environment)


def test_every_script_is_of_a_rule_with_a_fixed_environment_or_runs_per_system():
    fixed = {script for script, _ in rules_by_environment()}
    assert fixed | PER_SYSTEM == {path.name for path in SCRIPTS.glob("*.py")}


def test_lattices_chains_and_circuits_need_no_torch():
    light = {"ising_chain", "harmonic_chain", "u1_lattice", "su2_lattice", "boolean_circuit"}
    assert all("torch" not in package_versions(f"fimtiers.substrates.{name}") for name in light)


def test_the_variant_with_cuda_differs_in_its_build_of_torch_alone():
    plain, cuda = (pins(ROOT / f"workflow/envs/{name}.yaml") for name in ("torch", "torch-gpu"))
    assert plain.pop("pytorch-cpu") == cuda.pop("pytorch-gpu")
    assert plain == cuda


def test_the_environment_of_networks_can_be_chosen():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    for name in schema["properties"]["torch_environment"]["enum"]:
        assert (ROOT / f"workflow/envs/{name}.yaml").is_file()
