"""The figures of a study: their numbers, and the files of those that are asked for.

``python -m fimtiers.figures WANTED STUDY...`` prints files for Snakemake to make. Snakefiles import
this module, so it must not load anything heavy.
"""

import sys
from pathlib import Path

import yaml

from fimtiers.schema_faults import StudyError, suggestion
from fimtiers.study import Study, read_study
from fimtiers.sweeps import read_figures

OF_THEIR_OWN = ("depth_law", "variance", "layers", "theory")
"""Figures of the mechanism that show something else than tier ratios along sweeps."""
OF_A_PANEL = ("dichotomy", "relative", "log_fisher", "thresholds", "invariants")
SCHEMA = Path(__file__).parents[2] / "workflow/schemas/config.schema.yaml"


def figure_numbers(study: Study) -> dict[str, int]:
    """Return the number of each figure of a study, from 1, by the name of its files.

    A figure of the mechanism that is not drawn keeps its number, so that a small study has the
    numbers of the study that it was made from. The order of entries does not count.
    """
    entries = study.config.get("mechanism", {}).get("figures", {})
    mechanism = [figure for figure in OF_THEIR_OWN if figure in entries]
    mechanism += sorted(set(entries) - set(OF_THEIR_OWN))
    names = [f"{figure}_{panel}" for figure in OF_A_PANEL for panel in study.panel]
    names += ["margin", *(f"mechanism_{figure}" for figure in mechanism)]
    return {name: number for number, name in enumerate(names, start=1)}


def find_figures(wanted: str, study: Study) -> dict[str, int]:
    """Find the figures that are drawn and that a number or the beginning of a name stands for.

    Parameters
    ----------
    wanted
        A number, or a name or its beginning, of a figure of the mechanism also without
        ``mechanism_``.
    study
        The study.

    Returns
    -------
    dict
        Names and numbers.

    Raises
    ------
    StudyError
        Listing all figures if there is no such one.
    """
    undrawn = {
        f"mechanism_{figure}"
        for figure in study.config.get("mechanism", {}).get("figures", {})
        if figure not in read_figures(study)
    }
    drawn = {name: number for name, number in figure_numbers(study).items() if name not in undrawn}
    short = {name: name.removeprefix("mechanism_") for name in drawn}
    if wanted.isdecimal():
        chosen = [name for name, number in drawn.items() if number == int(wanted)]
    else:
        exact = [name for name in drawn if wanted in (name, short[name])]
        begun = [name for name in drawn if wanted and short[name].startswith(wanted)]
        chosen = exact or begun or [name for name in drawn if wanted and name.startswith(wanted)]
    if not chosen:
        allowed = "".join(f"\n{number:4}  {name}" for name, number in drawn.items())
        raise StudyError(
            f"F={wanted!r}: no such figure{suggestion(wanted, short.values())}; "
            f"F is a number, a name or the beginning of one:{allowed}"
        )
    return {name: drawn[name] for name in chosen}


def main(wanted: str, files: list[str]) -> None:
    """Print the files of the figures that are wanted, and to the terminal their numbers."""
    from snakemake.utils import update_config

    config: dict[str, object] = {}
    for file in files:
        update_config(config, yaml.safe_load(Path(file).read_text(encoding="utf-8")))
    try:
        study = read_study(config, yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
        chosen = find_figures(wanted, study)
    except StudyError as error:
        sys.exit(str(error))
    folder = study.config.get("pathvars", {}).get("results", "results")
    for name, number in chosen.items():
        print(f"figure {number}: {folder}/figures/{name}.svg", file=sys.stderr)
        print(f"{folder}/figures/{name}.svg")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
