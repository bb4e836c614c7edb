"""Judge every threshold, and the panel without each system in turn (rule sweep_thresholds)."""

from fimtiers.job import run_job
from fimtiers.statistics.thresholds import leave_one_system_out, roc_curve, threshold_sensitivity
from fimtiers.tables import read_table, write_table


def main(args):
    observations = read_table(args.observations)
    thresholds, curve, dropped = args.output
    write_table(thresholds, threshold_sensitivity(observations, args.settings["thresholds"]))
    write_table(curve, roc_curve(observations))
    write_table(dropped, leave_one_system_out(observations))


if __name__ == "__main__":
    run_job(main, __file__, "settings", "observations", "output*")
