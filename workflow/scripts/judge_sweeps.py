"""Say what may be said of each sweep: laws, intervals, factors (rule judge_sweeps)."""

from fimtiers.job import run_job
from fimtiers.pages import write_table_and_page
from fimtiers.statistics.law_verdicts import judge_sweeps
from fimtiers.statistics.prediction_errors import prediction_errors
from fimtiers.statistics.sweep_intervals import sweep_factors, sweep_intervals
from fimtiers.tables import read_table


def main(args):
    settings = args.settings
    runs, fits = read_table(args.runs), read_table(args.fits)
    confidence = settings["confidence"]
    drawn = {"seed": settings["seed"], "resamples": settings["resamples"]}
    shown = {
        "Which law describes each sweep": judge_sweeps(runs, fits, confidence),
        "Tier ratios along sweeps, with intervals": sweep_intervals(
            runs, confidence=confidence, **drawn
        ),
        "Factors along sweeps and by training": sweep_factors(
            runs, settings["untrained"], confidence
        ),
        "Errors of predictions by sweep": prediction_errors(runs),
    }
    tables = [path for path in args.output if path.suffix == ".csv"]
    for path, (title, table) in zip(tables, shown.items(), strict=True):
        write_table_and_page(path, table, title)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "runs", "fits", "output*")
