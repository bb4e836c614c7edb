"""Folders with unusual names, and runs that are started from another folder."""

import os
import re
import sys
from dataclasses import replace

import pytest
from checkout import MINI_STUDY, ROOT, Checkout

RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))
SHELL = re.compile(r"^    shell:\n((?:        .+\n)+)", re.MULTILINE)
UNQUOTED = re.compile(r"(?<!\")\$\w+|\{(?:input|output|log|params|wildcards)[\w.]*\}")


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_every_path_in_a_shell_line_is_quoted(path):
    lines = SHELL.findall(path.read_text(encoding="utf-8"))
    assert [found for line in lines for found in UNQUOTED.findall(line)] == []


def test_a_line_without_quotes_is_found():
    assert UNQUOTED.findall('"python $SCRIPTS/a.py {log}"') == ["$SCRIPTS", "{log}"]
    assert UNQUOTED.findall("""'python "$SCRIPTS/a.py" --log {log:q}'""") == []


def test_spaces_umlauts_and_quotes_in_every_folder_of_a_run(untouched, finished, tmp_path):
    (tmp_path / "p y").symlink_to(sys.prefix)
    copy = untouched.copy(tmp_path / "a b ü 'c'" / "fim tiers")
    checkout = replace(copy, launcher=(str(tmp_path / "p y/bin/python"),))
    checkout.environment["TMPDIR"] = str(tmp_path / "t m ü")
    os.mkdir(checkout.environment["TMPDIR"])
    folders = "pathvars: {results: 'my results ü', logs: 'my logs'}\n"
    checkout.write("config/config.yaml", checkout.read("config/config.yaml") + folders)
    checkout.run("my results ü/tiers/chain.nc")
    for stage in ("states", "fisher", "tiers"):
        made = checkout.root / f"my results ü/{stage}/chain.nc"
        assert made.read_bytes() == (finished.root / f"results/{stage}/chain.nc").read_bytes()
    assert (checkout.root / "my logs/aggregate_tiers/chain.log").is_file()


def test_the_profile_of_a_cluster_is_named_by_its_path_from_another_folder(untouched, tmp_path):
    (tmp_path / "study.yaml").write_text(MINI_STUDY.read_text(encoding="utf-8"), encoding="utf-8")
    announced = Checkout(tmp_path).snakemake(
        *("--snakefile", untouched.root / "workflow/Snakefile"),
        *("--profile", untouched.root / "slurm"),
        *("--configfile", "study.yaml"),
        "--dry-run",
    )
    assert "rule build_states:" in announced
    assert "runtime=10" in announced
