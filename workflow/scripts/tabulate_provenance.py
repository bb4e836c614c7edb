"""Tabulate what made the results: systems, code and versions (rule tabulate_provenance)."""

from pathlib import Path

from fimtiers import io
from fimtiers.job import run_job
from fimtiers.origin import commit_of, describe_systems, describe_versions
from fimtiers.pages import write_table_and_page

ROOT = Path(__file__).parents[2]


def main(args):
    stages = {
        stage: [io.read_attributes(path) for path in getattr(args, stage)]
        for stage in ("states", "fisher", "tiers")
    }
    files = [file for of_stage in stages.values() for file in of_stage]
    versions, systems, *_ = args.output
    write_table_and_page(versions, describe_versions(files, commit_of(ROOT)), "Versions")
    write_table_and_page(
        systems, describe_systems(stages, args.settings["groups"]), "Systems and their code"
    )


if __name__ == "__main__":
    run_job(main, __file__, "settings", "states*", "fisher*", "tiers*", "output*")
