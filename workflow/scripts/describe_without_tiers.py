"""Describe a panel by statistics that need no tiers (rule describe_without_tiers)."""

from fimtiers.job import run_job
from fimtiers.statistics.partition_free import partition_free_panel, partition_free_verdict
from fimtiers.tables import read_table, write_json, write_table


def main(args):
    panel = partition_free_panel(read_table(args.observations))
    table, verdict = args.output
    write_table(table, panel)
    write_json(verdict, partition_free_verdict(panel))


if __name__ == "__main__":
    run_job(main, __file__, "observations", "output*")
