"""Put the states of all points of a system into one file (rule gather_states)."""

from fimtiers import io
from fimtiers.environment import PROVENANCE
from fimtiers.job import run_job


def main(args):
    states, attributes = {}, {}
    for path in args.states:
        states |= io.read_states(path)
        attributes |= io.read_attributes(path)
    # They were made by the jobs of the points, whose code and versions Snakemake keeps the same.
    made_by = {name: attributes[name] for name in PROVENANCE}
    io.write_states(args.output, states, args.settings, made_by)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "states*", "output")
