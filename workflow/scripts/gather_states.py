"""Put the states of all points of a system into one file (rule gather_states)."""

from fimtiers import io
from fimtiers.environment import version_attributes
from fimtiers.job import run_job


def main(args):
    states = {}
    for path in args.states:
        states |= io.read_states(path)
    io.write_states(args.output, states, args.settings, version_attributes())


if __name__ == "__main__":
    run_job(main, __file__, "settings", "states*", "output")
