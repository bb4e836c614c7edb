"""Classify each system by fits to all others (rule classify_held_out)."""

from fimtiers.job import run_job
from fimtiers.statistics.classifier import classify_held_out
from fimtiers.tables import read_table, write_table


def main(args):
    write_table(args.output, classify_held_out(read_table(args.observations)))


if __name__ == "__main__":
    run_job(main, __file__, "observations", "output")
