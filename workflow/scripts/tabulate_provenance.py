"""Tabulate what made the results: systems, code and versions (rule tabulate_provenance)."""

from fimtiers import io
from fimtiers.job import run_job
from fimtiers.origin import describe_systems, describe_versions
from fimtiers.pages import write_table_and_page


def main(args):
    stages = {
        stage: [io.read_attributes(path) for path in getattr(args, stage)]
        for stage in ("states", "fisher", "tiers")
    }
    files = [file for of_stage in stages.values() for file in of_stage]
    versions, systems, *_ = args.output
    table = describe_versions(files, args.settings["commit"])
    write_table_and_page(versions, table, "Versions")
    table = describe_systems(stages, args.settings["groups"])
    write_table_and_page(systems, table, "Systems and their code")


if __name__ == "__main__":
    run_job(main, __file__, "settings", "states*", "fisher*", "tiers*", "output*")
