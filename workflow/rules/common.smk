# The study, read and checked, and the functions that rules use. No rule lives here.

import atexit
import functools
import json
import os
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

from fimtiers.commit import commit_of
from fimtiers.data_files import named_files
from fimtiers.failures import causes
from fimtiers.figures import figure_numbers
from fimtiers.provenance import code_closure, package_versions
from fimtiers.study import StudyError, read_study, substrate_settings
from fimtiers.study_files import check_files, check_whole
from fimtiers.yaml_faults import syntax_error


class RefusedStudy(WorkflowError):
    """Shown as its message alone: the lines of this file that raised it help no one."""

    __traceback__ = None


# Jobs, wherever they run, append to this file why they failed.
CAUSES = Path(".snakemake/causes.txt").resolve()
TABLE_FILES = ["csv", "html"]
FIGURE_FILES = ["svg", "pdf", "rst"]
DEFAULT_STUDY = Path("config/config.yaml")
if "systems" not in config and not workflow.configfiles:
    if DEFAULT_STUDY.exists() and (fault := syntax_error(DEFAULT_STUDY)):
        raise RefusedStudy(fault)

    configfile: DEFAULT_STUDY


def as_typed(path):
    """A path that Snakemake has made absolute, as it is shorter to read and can be typed again."""
    path, here = Path(path), Path.cwd()
    moved = workflow.overwrite_workdir is not None
    return path.relative_to(here) if path.is_relative_to(here) and not moved else path


def load_study():
    """The study of this run, or one clear message of what is wrong with it."""
    schema = yaml.safe_load(
        (WORKFLOW / "schemas/config.schema.yaml").read_text(encoding="utf-8")
    )
    files = [as_typed(path) for path in workflow.configfiles]
    default = (
        DEFAULT_STUDY if DEFAULT_STUDY.exists() else WORKFLOW.parent / DEFAULT_STUDY
    )
    try:
        check_files(files)
        check_whole(config, schema["properties"], files, default)
        return read_study(config, schema)
    except StudyError as error:
        raise RefusedStudy(f"this study cannot run:\n{error}") from None
    except SyntaxError as error:
        raise RefusedStudy(no_python(error)) from None


def no_python(error):
    return f"{error.filename}, line {error.lineno}: this is no Python: {error.msg}"


STUDY = load_study()


def as_json(value=None, /, **entries):
    """Parameters as text: equal settings give equal texts, in whatever order they are written."""
    return json.dumps(entries if value is None else value, sort_keys=True)


@functools.cache
def commit():
    """The commit of the code, asked for once in a run."""
    return commit_of(WORKFLOW.parent)


settings_table = functools.cache(substrate_settings)


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


def code_of(script, *modules, files={}):
    """What the result of `script` depends on in this repository and outside it, as one parameter.

    Hashes of the import closure and versions of the packages that it imports. Modules that the
    script loads by name, and not by an import statement, are given after it.
    """
    roots = (SCRIPTS / script, *modules)
    try:
        return json.dumps({**code_closure(*roots), **package_versions(*roots), **files})
    except SyntaxError as error:
        raise RefusedStudy(no_python(error)) from None


def files_of(wildcards, points):
    """Content of the files that settings of these points name."""
    return named_files(points, settings_table(system_of(wildcards).substrate))


def substrate_code(script, *functions):
    """What `script` depends on, if all that it calls of a substrate are these functions.

    A setting that is the path of a file, such as a checkpoint, counts with the file's content.
    """

    def depends_on(wildcards):
        roots = (f"{substrate_module(wildcards)}:{name}" for name in functions)
        points = dict(system_of(wildcards).points())
        chosen = (
            [points[wildcards.point]]
            if "point" in wildcards.keys()
            else points.values()
        )
        return code_of(script, *roots, files=files_of(wildcards, chosen))

    return depends_on


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


# Targets name every file that is made, so that one which is deleted is noticed and made again.


def data_targets(systems):
    """The data files of systems: states, those of each point where it has a job of its own, F, tiers."""
    owners = [name for name in systems if not STUDY.systems[name].states_of]
    points = [
        f"<results>/states/{name}/{point}.nc"
        for name in owners
        if STUDY.systems[name].split
        for point, _ in STUDY.systems[name].points()
    ]
    states = collect("<results>/states/{system}.nc", system=owners)
    files = collect(
        "<results>/{stage}/{system}.nc", stage=["fisher", "tiers"], system=systems
    )
    return [*points, *states, *files]


def statistics_targets():
    """All statistics of this study: those of each panel, and those that it has the systems for."""
    by_panel = [
        "observations.csv",
        "intervals.csv",
        "point_intervals.csv",
        "relative_intervals.csv",
        "dichotomy.json",
        "thresholds.csv",
        "roc.csv",
        "leave_one_system_out.csv",
        "convergence.csv",
        "margin.csv",
        "probe_limits.csv",
        "partition_free.csv",
        "partition_free.json",
        "classifiers.csv",
    ]
    targets = collect(
        "<results>/statistics/{panel}/{name}", panel=STUDY.panel, name=by_panel
    )
    targets += collect(
        "<results>/convergence/{system}.nc",
        system=dict.fromkeys(
            name for panel in STUDY.panel for name in converging(panel)
        ),
    )
    targets.append("<results>/statistics/published/pseudodata_thresholds.csv")
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


FIGURE_NUMBERS = figure_numbers(STUDY)


def number_of(figure):
    """The number of a figure, by panel."""
    return lambda panel: FIGURE_NUMBERS[f"{figure}_{panel}"]


def figure_labels(name, title, panel=None):
    """What the report lists a figure under: its number, title and panel. All may have wildcards.

    One label holds all three: the report makes a switch of a label with two values, and looks for
    each number under both.
    """

    def labels(wildcards):
        number = FIGURE_NUMBERS[name.format(**wildcards)]
        words = title if panel is None else f"{title}, {panel}"
        return {"figure": f"{number}. {words}".format(**wildcards)}

    return labels


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


def begin_run():
    """Forget the causes of an earlier run; where files are only touched, keep their records.

    The record of a file says with what it was really made. Snakemake would write those of today
    over it, and call old results up to date.
    """
    CAUSES.unlink(missing_ok=True)
    if workflow.touch:
        workflow.execution_settings.keep_metadata = False


def say_causes_last():
    """Say why jobs failed when all else has been said: messages of other jobs may follow."""
    atexit.register(print, causes(CAUSES), sep="\n", file=sys.stderr)


def prepare_shell():
    """Let jobs find the scripts, the package, and the Python that runs Snakemake.

    A conda environment brings its own Python. This text is no part of a rule, so results do not
    depend on where the repository lies.
    """
    lines = [
        f"export FIMTIERS_SCRIPTS={shlex.quote(str(SCRIPTS.resolve()))}",
        f"export PYTHONPATH={shlex.quote(str(SOURCE.resolve()))}"
        "${{PYTHONPATH:+:$PYTHONPATH}}",  # where a substrate finds a model of the user's
        f"export FIMTIERS_CAUSES={shlex.quote(str(CAUSES))}",
        "export PYTHONHASHSEED=0 PYTHONUTF8=1",
    ]
    if not workflow.deployment_settings.deployment_method:
        lines.append(f"export PATH={shlex.quote(str(Path(sys.prefix, 'bin')))}:$PATH")
    shell.prefix("set -euo pipefail; " + "; ".join(lines) + "; ")


def prepare_submission():
    """Let the path of Python have spaces where jobs are submitted.

    Snakemake pastes it, as it is, into the command of a SLURM job, and again into that of its step.
    """
    if Path(sys.executable).exists():  # a path that is quoted already does not
        sys.executable = shlex.quote(sys.executable)


def prepare_cache():
    """Make the folder that checkouts share, if this run names one, open to all who share it.

    Snakemake opens the files in it to all, whatever the umask; a private folder would shut them in.
    """
    if folder := os.environ.get("SNAKEMAKE_OUTPUT_CACHE"):
        made = [
            path for path in (Path(folder), *Path(folder).parents) if not path.exists()
        ]
        Path(folder).mkdir(parents=True, exist_ok=True)
        for path in made:
            path.chmod(0o777 if path == Path(folder) else 0o755)


prepare_shell()
prepare_submission()
prepare_cache()


onstart:
    begin_run()


onerror:
    say_causes_last()
