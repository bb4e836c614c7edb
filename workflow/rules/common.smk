# The study, read and checked, and the functions that rules use. No rule lives here.

import json
import os
import re
import shlex
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

WORKFLOW = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
SCRIPTS = WORKFLOW / "scripts"
SOURCE = WORKFLOW.parent / "src"
# Relative to where the study runs, since inputs are compared by path.
RESOURCES = Path(os.path.relpath(WORKFLOW.parent / "resources"))
if not SOURCE.is_dir():
    raise WorkflowError(
        f"{WORKFLOW} is not in a clone of the repository, but the jobs need the package beside it: "
        "clone it, and name the path of its Snakefile"
    )
sys.path.insert(0, str(SOURCE))

from fimtiers.provenance import code_closure, package_versions
from fimtiers.study import StudyError, read_study
from fimtiers.yaml_faults import duplicate_keys, syntax_error


class RefusedStudy(WorkflowError):
    """Shown as its message alone: the lines of this file that raised it help no one."""

    __traceback__ = None


DEFAULT_STUDY = Path("config/config.yaml")
if "systems" not in config:
    if DEFAULT_STUDY.exists() and (fault := syntax_error(DEFAULT_STUDY)):
        raise RefusedStudy(fault)

    configfile: DEFAULT_STUDY


def load_study():
    """The study of this run, or one clear message of what is wrong with it."""
    for path in workflow.configfiles:
        duplicated = duplicate_keys(Path(path))
        if duplicated:
            raise RefusedStudy(f"{path}: {duplicated[0]!r} is given twice; keep one")
    schema = yaml.safe_load((WORKFLOW / "schemas/config.schema.yaml").read_text())
    try:
        return read_study(config, schema)
    except StudyError as error:
        raise RefusedStudy(f"this study cannot run:\n{error}") from None


STUDY = load_study()


def names(chosen):
    """A wildcard constraint that matches the names in `chosen`, or nothing."""
    return "|".join(chosen) or "$^"


def system_of(wildcards):
    return STUDY.systems[wildcards.system]


def states_of(wildcards):
    """The file of the states that a system measures, its own or those of the one it names."""
    return f"<results>/states/{system_of(wildcards).states_of or wildcards.system}.nc"


def substrate_module(wildcards):
    return f"fimtiers.substrates.{system_of(wildcards).substrate}"


def code_of(script, *modules):
    """What the result of `script` depends on in this repository and outside it, as one parameter.

    Hashes of the import closure and versions of the packages that it imports. Modules that the
    script loads by name, and not by an import statement, are given after it.
    """
    roots = (SCRIPTS / script, *modules)
    return json.dumps({**code_closure(*roots), **package_versions(*roots)})


def substrate_code(script, *functions):
    """What `script` depends on, if all that it calls of a substrate are these functions."""
    return lambda wildcards: code_of(
        script, *(f"{substrate_module(wildcards)}:{name}" for name in functions)
    )


def environment(wildcards):
    """Substrates without torch get the environment without torch."""
    needs_torch = "torch" in package_versions(substrate_module(wildcards))
    name = STUDY.config.get("torch_environment", "torch") if needs_torch else "lattice"
    return WORKFLOW / f"envs/{name}.yaml"


def memory(wildcards, attempt):
    return system_of(wildcards).memory * attempt


def runtime(wildcards, attempt):
    return system_of(wildcards).runtime * attempt


def small_memory(wildcards, attempt):
    """MB for a job that reads tables and draws or tests: its packages, and Snakemake beside it."""
    return 700 * attempt


def small_runtime(wildcards, attempt):
    """Minutes for a job of seconds."""
    return 5 * attempt


def members(panel):
    """Name and claimed group of each system of a panel, in its order."""
    return [(name, STUDY.systems[name].group) for name in STUDY.panel[panel]]


def converging(panel):
    """The systems of a panel that are measured at several probe counts."""
    return [name for name in STUDY.panel[panel] if STUDY.systems[name].probe_counts]


def statistics_settings(*entries):
    """The named entries of the statistics section, as JSON."""
    return json.dumps({entry: STUDY.config["statistics"][entry] for entry in entries})


def statistics_targets():
    """All statistics of this study: those of each panel, and those that it has the systems for."""
    by_panel = [
        "point_intervals.csv",
        "dichotomy.json",
        "thresholds.csv",
        "margin.csv",
        "probe_limits.csv",
        "partition_free.json",
        "classifiers.csv",
    ]
    targets = collect(
        "<results>/statistics/{panel}/{name}", panel=STUDY.panel, name=by_panel
    )
    targets.append("<results>/statistics/published/pseudodata_bootstrap.json")
    targets.append("<results>/statistics/exponents.csv")
    if "uniqueness" in STUDY.config["statistics"]:
        targets.append("<results>/statistics/uniqueness.json")
    if "controls" in STUDY.config["statistics"]:
        targets.append("<results>/statistics/controls.csv")
    if "partition_grid" in STUDY.config["statistics"]:
        targets.append("<results>/statistics/partition_grid.csv")
    return targets


def panel_settings(*entries, **functions):
    """What a figure of one panel shows besides data, as JSON.

    Names and labels of the panel's own systems only, so that a new label redraws what shows it.
    """
    return lambda wildcards: json.dumps(
        {
            "panel": wildcards.panel,
            "labels": pick(STUDY.labels(), STUDY.panel[wildcards.panel]),
            **{entry: STUDY.config["statistics"][entry] for entry in entries},
            **{key: function(wildcards.panel) for key, function in functions.items()},
        }
    )


def pick(table, names):
    return {name: table[name] for name in names}


def published_names(panel):
    """What each system of a panel, or the system that it corrects, is called as published.

    A control is another system than the one it stands beside, and was not published.
    """
    return {
        name: STUDY.systems[STUDY.systems[name].corrects or name].published_as
        for name in STUDY.panel[panel]
    }


def counterpart(name):
    """The published system that this one corrects or is a control of, if it is not its own."""
    return STUDY.systems[name].corrects or STUDY.systems[name].control_of


def repeat_causes(logs):
    """Say again at the very end why jobs failed: messages of other jobs may have followed."""
    text = "".join(Path(log).read_text() for log in logs)
    causes = re.findall(r"^\S+ \S+ (\w+ failed: .+)$", text, re.MULTILINE)
    if causes:
        print("Cause:", *dict.fromkeys(causes), sep="\n    ", file=sys.stderr)


def prepare_shell():
    """Let jobs find the scripts, the package, and the Python that runs Snakemake.

    A conda environment brings its own Python. This text is no part of a rule, so results do not
    depend on where the repository lies.
    """
    lines = [
        f"export FIMTIERS_SCRIPTS={shlex.quote(str(SCRIPTS.resolve()))}",
        f"export PYTHONPATH={shlex.quote(str(SOURCE.resolve()))}",
        "export PYTHONHASHSEED=0",
    ]
    if not workflow.deployment_settings.deployment_method:
        lines.append(
            f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
        )
    shell.prefix("set -euo pipefail; " + "; ".join(lines) + "; ")


def prepare_cache():
    """Make the folder that checkouts share, if this run names one."""
    if folder := os.environ.get("SNAKEMAKE_OUTPUT_CACHE"):
        Path(folder).mkdir(parents=True, exist_ok=True)


prepare_shell()
prepare_cache()


onerror:
    repeat_causes(log)
