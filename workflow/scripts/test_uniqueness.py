"""Run the three published uniqueness tests on measured values (rule test_uniqueness)."""

import pandas as pd

from fimtiers import io
from fimtiers.job import run_job
from fimtiers.statistics.uniqueness import uniqueness_tests
from fimtiers.tables import write_json
from fimtiers.tiers import published_ratio, published_top_mass

RULE = "smallest_positive_floor"


def main(args):
    blocks = []
    for path in args.fisher:
        for diagonal in io.read_fisher(path).values():
            block = {
                "system": path.stem,
                "tier_ratio": published_ratio(diagonal.fim, RULE),
                "top_mass": published_top_mass(diagonal.fim),
            }
            blocks.append(pd.DataFrame(block))
    rows = pd.concat(blocks, ignore_index=True)
    write_json(args.output, uniqueness_tests(rows, network=args.fisher[0].stem))


if __name__ == "__main__":
    run_job(main, __file__, "fisher*", "output")
