"""Cut the tiers of one system at other percentages (rule cut_partitions)."""

import numpy as np

from fimtiers import io
from fimtiers.job import run_job
from fimtiers.statistics.partition import partition_sensitivity
from fimtiers.tables import write_table


def main(args):
    (diagonal,) = io.read_fisher(args.fisher).values()
    seeds = np.array(args.settings["seeds"])
    write_table(args.output, partition_sensitivity(diagonal.fim, seeds))


if __name__ == "__main__":
    run_job(main, __file__, "settings", "fisher", "output")
