# The sweeps of the study, and the functions that their rules use. No rule lives here.

import dataclasses

from fimtiers.figures import OF_THEIR_OWN
from fimtiers.sweeps import read_checks, read_figures, read_sweeps


def load_mechanism():
    try:
        return read_sweeps(STUDY), read_checks(STUDY)
    except StudyError as error:
        raise RefusedStudy(f"this study cannot run:\n{error}") from None


SWEEPS, CHECKS = load_mechanism()
SWEPT = list(dict.fromkeys(sweep.system for sweep in SWEEPS.values()))
CHECKED = list(CHECKS.values())
SWEPT_OR_CHECKED = list(dict.fromkeys([*SWEPT, *CHECKED]))
UNSWEPT = [name for name in STUDY.systems if name not in SWEPT_OR_CHECKED]


SWEEP_TABLES = []
if SWEEPS:
    SWEEP_TABLES += collect(
        "<results>/tables/sweeps_{table}.{kind}",
        table=[
            "training_means",
            "per_seed",
            "agreement",
            "published_fits",
            "fits",
            "probe_limits",
            "laws",
            "intervals",
            "factors",
            "predictions",
        ],
        kind=TABLE_FILES,
    )
    SWEEP_TABLES.append("<results>/tables/sweeps_runs.csv")
    SWEEP_TABLES += collect(
        "<results>/statistics/sweeps/{system}{part}.csv",
        system=SWEPT,
        part=["", "_layers", "_levels"],
    )
    if CHECKS:
        SWEEP_TABLES.append("<results>/statistics/sweeps/checks.csv")
if "weight_draws" in STUDY.config.get("mechanism", {}):
    SWEEP_TABLES += collect("<results>/tables/weight_draws.{kind}", kind=TABLE_FILES)


def sweep_settings(sweeps):
    """The points of sweeps and what they repeat, as JSON."""
    return as_json({name: dataclasses.asdict(SWEEPS[name]) for name in sweeps})


def check_settings():
    """Seeds of the systems of single claims, and published names, as JSON."""
    settings = {
        check: {"seeds": STUDY.systems[system].seeds}
        for check, system in CHECKS.items()
    }
    observed_as = (
        STUDY.config.get("mechanism", {}).get("checks", {}).get("observed_as", {})
    )
    settings.get("observables", {})["points"] = observed_as
    return as_json(settings)


def file_of_check(check, stage="fisher"):
    """The file that a check reads; none, if the study leaves the check out."""
    return [f"<results>/{stage}/{CHECKS[check]}.nc"] if check in CHECKS else []


SWEEP_FIGURES = read_figures(STUDY)
MECHANISM_FIGURES = collect(
    "<results>/figures/mechanism_{figure}.{kind}",
    figure=SWEEP_FIGURES,
    kind=FIGURE_FILES,
)


def sweep_figure(figure, **extra):
    """What a figure of sweeps shows besides data, as JSON."""
    panels = SWEEP_FIGURES.get(figure, {})
    shown = [name for names_ in panels.values() for name in names_]
    return json.dumps(
        {
            "figure": figure,
            "number": FIGURE_NUMBERS.get(f"mechanism_{figure}"),
            "panels": panels,
            "labels": {name: SWEEPS[name].label for name in shown},
            **extra,
        }
    )


def deepest(sweeps):
    """The last point of each of these sweeps, and its settings."""
    return {
        name: {
            "system": SWEEPS[name].system,
            "point": SWEEPS[name].points[-1].name,
            "position": SWEEPS[name].points[-1].position,
            "settings": dict(STUDY.systems[SWEEPS[name].system].points())[
                SWEEPS[name].points[-1].name
            ],
        }
        for name in sweeps
    }


def drifting():
    """The sweeps over depth of plain networks that figures of laws and of layers show."""
    shown = {
        name: None
        for figure in ("layers", "depth_law")
        for names_ in SWEEP_FIGURES.get(figure, {}).values()
        for name in names_
    }
    return deepest(
        name for name in shown if STUDY.systems[SWEEPS[name].system].substrate == "mlp"
    )


def drift_settings():
    """What the levels of the layers are compared with, as JSON."""
    return as_json(
        {
            "deepest": DRIFTING,
            "labels": {name: SWEEPS[name].label for name in DRIFTING},
            "confidence": STUDY.config["statistics"]["confidence"],
        }
    )


def judge_settings():
    """Which sweep is which before training, and how intervals are taken, as JSON."""
    untrained = {
        name: sweep.untrained for name, sweep in SWEEPS.items() if sweep.untrained
    }
    entries = json.loads(statistics_settings("seed", "confidence", "resamples"))
    return as_json({"untrained": untrained, **entries})


DRIFTING = drifting()


if DRIFTING:
    SWEEP_TABLES.append("<results>/tables/sweeps_levels.csv")
    SWEEP_TABLES += collect(
        "<results>/tables/sweeps_{table}.{kind}",
        table=["drift", "steps"],
        kind=TABLE_FILES,
    )
